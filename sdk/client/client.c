#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

#define NAME_BYTES 255 /* of the program, as plugd hears it */

static atomic_uint_least64_t serials;

/* ---- open, close ---- */

static plug_err
read_config(const struct plug_client_config *given, struct plug_client_config *ret)
{
	*ret = (struct plug_client_config){.size = sizeof(*ret)};
	if (given && (given->size <= offsetof(struct plug_client_config, connect_timeout_ms) ||
		      given->size > 4096))
		return plugc_fail(NULL, PLUG_EINVAL,
				  "config->size is %zu, expected sizeof(struct "
				  "plug_client_config), %zu",
				  given->size, sizeof(*given));
	if (given)
		memcpy(ret, given, given->size < sizeof(*ret) ? given->size : sizeof(*ret));
	if (!ret->name)
		ret->name = program_invocation_short_name;
	if (!ret->connect_timeout_ms)
		ret->connect_timeout_ms = PLUGC_CONNECT_MS;
	return PLUG_OK;
}

static void
client_free(struct plug_client *client)
{
	plugc_table_fini(client);
	pthread_mutex_destroy(&client->lock);
	free(client->name);
	free(client);
}

static plug_err
client_new(const struct plug_client_config *config, struct plug_client **ret)
{
	struct plug_client *client = calloc(1, sizeof(*client));

	if (!client)
		return PLUG_ENOMEM;
	pthread_mutex_init(&client->lock, NULL);
	client->serial = atomic_fetch_add(&serials, 1) + 1;
	client->fd = -1;
	client->connect_timeout_ms = config->connect_timeout_ms;
	client->call_bytes = PLUG_CALL_BYTES;
	client->next_deadline_ns = PLUGC_NEVER;
	TAILQ_INIT(&client->out);
	TAILQ_INIT(&client->waiters);
	TAILQ_INIT(&client->ready);
	client->name = strndup(config->name, NAME_BYTES);
	if (!client->name || plugc_table_init(client) != PLUG_OK) {
		client_free(client);
		return PLUG_ENOMEM;
	}
	*ret = client;
	return PLUG_OK;
}

static plug_err
first_connection(struct plug_client *client)
{
	plug_err err;

	pthread_mutex_lock(&client->lock);
	err = plugc_connect(client, true);
	if (err == PLUG_OK) {
		plugc_wait_ready(client);
		err = client->state == PLUGC_READY ? PLUG_OK : client->lost;
	}
	pthread_mutex_unlock(&client->lock);
	return err;
}

plug_err
plug_client_open(const struct plug_client_config *given, struct plug_client **ret)
{
	struct plug_client_config config;
	struct plugc_address address;
	struct plug_client *client = NULL;
	char why[PLUGC_TEXT_BYTES];
	plug_err err = read_config(given, &config);

	if (err != PLUG_OK)
		return err;
	err = plugc_address_resolve(config.runtime_dir, &address, why, sizeof(why));
	if (err != PLUG_OK)
		return plugc_fail(NULL, err, "%s", why);
	err = client_new(&config, &client);
	if (err != PLUG_OK)
		return plugc_fail(NULL, err, "no memory for a connection to plugd");
	client->address = address;
	err = first_connection(client);
	if (err != PLUG_OK) {
		plugc_fail(NULL, err, "%s", client->text);
		client_free(client);
		return err;
	}
	*ret = client;
	return PLUG_OK;
}

static void
end_for_close(struct plugc_call *call, void *arg)
{
	plugc_call_end(arg, call, PLUG_ECANCELLED, "the connection to plugd was closed here");
}

void
plug_client_close(struct plug_client *client)
{
	if (!client)
		return;
	pthread_mutex_lock(&client->lock);
	client->closing = true;
	plugc_table_each(client, end_for_close, client);
	plugc_run_ready(client);
	if (client->fd >= 0)
		plugc_lose(client, PLUG_ECANCELLED, "closed here");
	pthread_mutex_unlock(&client->lock);
	client_free(client);
}

const char *
plug_client_server_version(const struct plug_client *client)
{
	return client->server_version;
}

/* ---- blocking calls ---- */

void
plugc_start(struct plug_client *client, struct plugc_call *call, uint64_t timeout_ms)
{
	call->id = call->out.id = ++client->last_id;
	if (timeout_ms) {
		call->timeout_ms = timeout_ms;
		call->call_deadline_ns = plugc_after_ms(plugc_now_ns(), timeout_ms);
		call->deadline_ns = plugc_after_ms(call->call_deadline_ns, PLUGC_GRACE_MS);
	}
	plugc_table_add(client, call);
	plugc_out_add(client, &call->out);
	plugc_flush(client);
}

static bool
hand_piece(struct plugc_call *call, struct plugc_message *message)
{
	struct plug_payload piece = plugc_message_payload(message);

	return call->on_piece(&piece, call->user);
}

plug_err
plug_client_call(struct plug_client *client, const struct plug_request *request,
		 plug_on_piece on_piece, void *user, struct plug_reply **ret)
{
	struct plugc_call call;
	struct plugc_reply *reply;
	plug_err outcome;

	if (ret)
		*ret = NULL;
	plugc_call_init(&call, true);
	call.on_piece = on_piece;
	call.user = user;

	pthread_mutex_lock(&client->lock);
	outcome = plugc_out_prepare(client, &call, request);
	if (outcome != PLUG_OK) {
		pthread_mutex_unlock(&client->lock);
		pthread_cond_destroy(&call.wake);
		return outcome;
	}
	plugc_start(client, &call, request->timeout_ms);
	plugc_wait(client, &call, hand_piece);
	outcome = call.outcome;
	reply = call.reply;
	call.reply = NULL;
	if (outcome != PLUG_OK)
		plugc_fail(client, outcome, "%s",
			   reply ? reply->pub.message : plug_err_text(outcome));
	plugc_call_fini(client, &call);
	plugc_promote(client);
	pthread_mutex_unlock(&client->lock);

	if (ret)
		*ret = reply ? &reply->pub : NULL;
	else
		plug_reply_free(reply ? &reply->pub : NULL);
	return outcome;
}
