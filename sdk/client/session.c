#include <stdio.h>
#include <sys/socket.h>

#include "plane.h"

#define CALL_BYTES_MAX (1024ull * 1024 * 1024) /* no limit of plugd's is believed beyond this */

plug_err
plugc_greet(struct plug_client *client)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__ClientHello hello = PLUG__CLIENT_HELLO__INIT;
	size_t size;
	plug_err err;

	env.body_case = PLUG__ENVELOPE__BODY_CLIENT_HELLO;
	env.client_hello = &hello;
	hello.protocol_min = PLUG_PROTOCOL_MIN;
	hello.protocol_max = PLUG_PROTOCOL_MAX;
	hello.name = client->name;
	if (client->address.have_token) {
		hello.token.data = client->address.token;
		hello.token.len = sizeof(client->address.token);
	}
	err = plug_envelope_pack(&env, client->scratch, sizeof(client->scratch), &size);
	if (err == PLUG_OK &&
	    send(client->fd, client->scratch, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		client->broken = true; /* whoever reads next finds out why */
	return err;
}

static void
welcomed(struct plug_client *client, const Plug__ClientWelcome *welcome)
{
	uint64_t limit = welcome->limits ? welcome->limits->call_bytes : 0;

	if (welcome->protocol < PLUG_PROTOCOL_MIN || welcome->protocol > PLUG_PROTOCOL_MAX) {
		plugc_lose(client, PLUG_EPROTO, "plugd chose protocol %u, offered were %d to %d",
			   welcome->protocol, PLUG_PROTOCOL_MIN, PLUG_PROTOCOL_MAX);
		return;
	}
	if (limit == 0)
		limit = PLUG_CALL_BYTES;
	client->call_bytes = limit < CALL_BYTES_MAX ? limit : CALL_BYTES_MAX;
	snprintf(client->server_version, sizeof(client->server_version), "%s",
		 plug_str(welcome->plugd));
	client->state = PLUGC_READY;
	plugc_flush(client);
}

static void
refused(struct plug_client *client, const Plug__Refused *refusal)
{
	plug_err err = refusal->code ? (plug_err)refusal->code : PLUG_EDENIED;
	const char *text = plug_str(refusal->message);

	if (err == PLUG_EVERSION)
		plugc_lose(client, err,
			   "plugd %s speaks protocols %u to %u, this program %d to %d; upgrade the "
			   "older one",
			   plug_str(refusal->plugd), refusal->protocol_min, refusal->protocol_max,
			   PLUG_PROTOCOL_MIN, PLUG_PROTOCOL_MAX);
	else
		plugc_lose(client, err, "plugd refused this client: %s",
			   *text ? text : plug_err_text(err));
}

/* Takes env. */
static void
receive(struct plug_client *client, Plug__Envelope *env)
{
	struct plugc_call *call = (struct plugc_call *)plugc_table_find(&client->calls, env->id);
	bool is_grant = env->body_case == PLUG__ENVELOPE__BODY_CHANNEL_GRANT;

	if (!call) {
		plug_envelope_free(env); /* of a call that ended here before plugd knew */
		return;
	}
	if (call->route && is_grant) {
		plugc_open_granted(client, call->route, env);
		return;
	}
	if (call->route || is_grant)
		plug_envelope_free(env);
	if (call->route || is_grant || plugc_call_receive(client, call, env) != PLUG_OK)
		plugc_lose(client, PLUG_EPROTO,
			   "plugd sent something that does not belong to what it sent before; the "
			   "connection is closed");
}

static bool
allowed(const struct plug_client *client, const Plug__Envelope *env)
{
	bool greeting = client->state == PLUGC_GREETING;

	switch (env->body_case) {
	case PLUG__ENVELOPE__BODY_CLIENT_WELCOME:
	case PLUG__ENVELOPE__BODY_REFUSED:
		return greeting;
	case PLUG__ENVELOPE__BODY_REPLY:
	case PLUG__ENVELOPE__BODY_CHUNK:
	case PLUG__ENVELOPE__BODY_RESPONSE:
	case PLUG__ENVELOPE__BODY_CHANNEL_GRANT:
		return !greeting;
	default:
		return false;
	}
}

void
plugc_packet(struct plug_client *client, const uint8_t *data, size_t size)
{
	Plug__Envelope *env = NULL;
	plug_err err =
		size > PLUG_MESSAGE_BYTES ? PLUG_ETOOLARGE : plug_envelope_unpack(data, size, &env);

	if (err == PLUG_ENOMEM) {
		plugc_lose(client, err,
			   "no memory for a message of plugd's; the connection is closed");
		return;
	}
	if (err != PLUG_OK) {
		plugc_lose(client, PLUG_EPROTO,
			   "plugd sent %s that is not a message; the connection is closed",
			   size > PLUG_MESSAGE_BYTES ? "a packet of more than 64 KiB" : "a packet");
		return;
	}
	if (!allowed(client, env)) {
		plugc_lose(client, PLUG_EPROTO,
			   "plugd sent a message that has no place here (kind %d); the connection "
			   "is closed",
			   (int)env->body_case);
		plug_envelope_free(env);
		return;
	}
	if (env->body_case == PLUG__ENVELOPE__BODY_CLIENT_WELCOME)
		welcomed(client, env->client_welcome);
	else if (env->body_case == PLUG__ENVELOPE__BODY_REFUSED)
		refused(client, env->refused);
	else {
		receive(client, env);
		return;
	}
	plug_envelope_free(env);
}
