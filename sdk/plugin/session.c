/*
 * Everything here is done by the thread that receives, one at a time.  A message counts as taken
 * when its seq is the next one; what came before WELCOME does not count and is sent again by plugd.
 */
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "codec.h"
#include "state.h"

#define HANDSHAKE_POLL_MS 100

void
plugp_session_hello(struct plug_plugin *plugin)
{
	struct session *session = &plugin->session;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__Hello hello = PLUG__HELLO__INIT;
	Plug__Resume resume = PLUG__RESUME__INIT;
	plug_err err;

	hello.protocol_min = PLUG_PROTOCOL_MIN;
	hello.protocol_max = PLUG_PROTOCOL_MAX;
	hello.sdk = (char *)"libplug " PLUG_VERSION;
	hello.name = (char *)plugin->config.name;
	hello.version = (char *)plugin->config.version;
	hello.contract = (char *)plugin->config.contract;
	hello.methods = session->method_list;
	hello.n_methods = plugin->methods.count;
	hello.log_level = true;
	hello.config = true;
	hello.channels = plugp_plane_is_there(&plugin->plane) ? PLANE_CHANNELS : 0;
	hello.token = (ProtobufCBinaryData){sizeof(session->token), session->token};
	if (session->resumable) {
		resume.generation = plugin->generation;
		resume.nonce = (ProtobufCBinaryData){sizeof(session->nonce), session->nonce};
		resume.received = atomic_load(&plugin->outbox.received);
		hello.resume = &resume;
	}
	env.body_case = PLUG__ENVELOPE__BODY_HELLO;
	env.hello = &hello;
	/* Without HELLO both sides would wait for each other until the one is killed. */
	err = plugp_outbox_hello(&plugin->outbox, &env);
	if (err == PLUG_ETOOLARGE)
		plugp_fault(plugin, "HELLO does not fit into one message of 64 KiB: it names too "
				    "many methods, or describes them at too great length");
	else if (err != PLUG_OK)
		plugp_fault(plugin, "HELLO cannot be said: %s", plug_err_text(err));
}

static plug_err
prepare_methods(struct plug_plugin *plugin)
{
	struct session *session = &plugin->session;

	session->methods = calloc(plugin->methods.count + 1, sizeof(*session->methods));
	session->method_list = calloc(plugin->methods.count + 1, sizeof(*session->method_list));
	if (!session->methods || !session->method_list)
		return PLUG_ENOMEM;
	for (size_t i = 0; i < plugin->methods.count; i++) {
		const struct plug_method *from = &plugin->config.methods[i];
		Plug__Method *to = &session->methods[i];

		plug__method__init(to);
		to->name = (char *)from->name;
		if (from->description)
			to->description = (char *)from->description;
		to->stream = from->flags & PLUG_METHOD_STREAM;
		to->idempotent = (from->flags & PLUG_METHOD_IDEMPOTENT) != 0;
		to->timeout_ms = from->timeout_ms;
		session->method_list[i] = to;
	}
	return PLUG_OK;
}

/* The thread that receives has to look for room, too. */
static void
on_wait(void *user)
{
	struct plug_plugin *plugin = user;

	plugp_link_wake(&plugin->link);
}

plug_err
plugp_session_open(struct plug_plugin *plugin, const char *address)
{
	struct session *session = &plugin->session;

	session->call_bytes = PLUG_CALL_BYTES;
	session->window_bytes = PLUG_WINDOW_BYTES;
	session->calls = SESSION_CALLS;
	plugp_outbox_init(&plugin->outbox, plugin->generation, on_wait, plugin);
	if (prepare_methods(plugin) != PLUG_OK)
		return PLUG_ENOMEM;
	return plugp_link_open(plugin, address);
}

void
plugp_session_fini(struct plug_plugin *plugin)
{
	plugp_link_fini(plugin);
	free(plugin->session.methods);
	free(plugin->session.method_list);
	plugin->session.method_list = NULL;
	plugin->session.methods = NULL;
}

/* ---- what plugd says ---- */

static void
take_refused(struct plug_plugin *plugin, const Plug__Refused *msg)
{
	plugp_complain(plugin,
		       "plugd %s refuses this plugin: %s (%s; plugd speaks protocol %u to %u, this "
		       "plugin %u to %u)",
		       plug_str(msg->plugd), plug_str(msg->message),
		       plug_err_text((plug_err)msg->code), msg->protocol_min, msg->protocol_max,
		       PLUG_PROTOCOL_MIN, PLUG_PROTOCOL_MAX);
	atomic_store(&plugin->session.handshake, HANDSHAKE_REFUSED);
	plugp_stop(plugin, STOP_FAULT);
}

/* What the first WELCOME says stays in force for the life of the process. */
static bool
adopt(struct plug_plugin *plugin, const Plug__Welcome *msg)
{
	struct session *session = &plugin->session;
	const Plug__Limits *limits = msg->limits;

	if (limits && limits->call_bytes)
		session->call_bytes = limits->call_bytes;
	if (limits && limits->window_bytes)
		session->window_bytes = limits->window_bytes;
	if (limits && limits->calls)
		session->calls = limits->calls;
	atomic_store(&plugin->log_level, msg->log_level);
	plugin->instance = strdup(plug_str(msg->instance));
	if (!plugin->instance ||
	    plugp_settings_load(&plugin->settings, msg->config, msg->n_config) != PLUG_OK) {
		plugp_fault(plugin, "no memory for the configuration");
		return false;
	}
	memcpy(session->nonce, msg->nonce.data, sizeof(session->nonce));
	session->resumable = true;
	return true;
}

static void
take_welcome(struct plug_plugin *plugin, const Plug__Welcome *msg)
{
	struct session *session = &plugin->session;
	bool first = atomic_load(&session->handshake) == HANDSHAKE_WAITS;

	if (msg->protocol < PLUG_PROTOCOL_MIN || msg->protocol > PLUG_PROTOCOL_MAX) {
		plugp_fault(plugin, "plugd chose protocol %u, this plugin speaks %u to %u",
			    msg->protocol, PLUG_PROTOCOL_MIN, PLUG_PROTOCOL_MAX);
		return;
	}
	if (msg->generation != plugin->generation || msg->nonce.len != PLUG_NONCE_BYTES) {
		plugp_fault(plugin,
			    "WELCOME is for generation %u with a nonce of %zu bytes, "
			    "expected generation %u and %d bytes",
			    msg->generation, msg->nonce.len, plugin->generation, PLUG_NONCE_BYTES);
		return;
	}
	if (first && !adopt(plugin, msg))
		return;
	if (!plugp_outbox_welcomed(&plugin->outbox, msg->received)) {
		plugp_fault(plugin, "WELCOME acknowledges message %llu, which was never sent",
			    (unsigned long long)msg->received);
		return;
	}
	if (first)
		atomic_store(&session->handshake, HANDSHAKE_DONE);
	else
		page_add(&plugin->page.vitals->resumes, 1);
}

static void
take_ping(struct plug_plugin *plugin, uint64_t stamp)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__Pong pong = PLUG__PONG__INIT;

	pong.stamp = stamp;
	env.body_case = PLUG__ENVELOPE__BODY_PONG;
	env.pong = &pong;
	plugp_outbox_now(&plugin->outbox, &env);
}

static struct plug_call *
take_call(struct plug_plugin *plugin, const Plug__Envelope *env)
{
	const char *method = plug_str(env->call->method), *type = plug_str(env->call->content_type);
	const ProtobufCBinaryData *payload = &env->call->payload;
	struct plugs_message msg = {.kind = PLUGS_CALL, .id = env->id};
	struct plug_call *call;
	bool ok;

	msg.method = (struct plugs_bytes){(const uint8_t *)method, strlen(method)};
	msg.content_type = (struct plugs_bytes){(const uint8_t *)type, strlen(type)};
	msg.payload = (struct plugs_bytes){payload->data, payload->len};
	msg.more = env->call->more;
	msg.timeout_us = env->call->timeout_us;
	call = plugp_calls_take(plugin, &msg, &ok);

	if (!ok)
		plugp_fault(plugin, "plugd sent a second call %llu while the first is in flight",
			    (unsigned long long)env->id);
	return call;
}

static struct plug_call *
take_chunk(struct plug_plugin *plugin, const Plug__Envelope *env)
{
	struct plugs_message msg = {.kind = PLUGS_CHUNK, .id = env->id, .last = env->chunk->last};

	msg.payload = (struct plugs_bytes){env->chunk->data.data, env->chunk->data.len};
	return plugp_calls_chunk(plugin, NULL, &msg);
}

static void
take_config(struct plug_plugin *plugin, const Plug__Config *config)
{
	struct change *change = plugp_change_new(plugin, config);

	if (!change)
		plugp_fault(plugin, "no memory for the configuration");
	else if (!plugp_take_change(plugin, change))
		plugp_fault(plugin, "plugd sent more changes of the configuration than are "
				    "answered one after the other");
}

/* A message with a position, taken once and in order. */
static struct plug_call *
dispatch(struct plug_plugin *plugin, const Plug__Envelope *env)
{
	switch (env->body_case) {
	case PLUG__ENVELOPE__BODY_CALL:
		return take_call(plugin, env);
	case PLUG__ENVELOPE__BODY_CHUNK:
		return take_chunk(plugin, env);
	case PLUG__ENVELOPE__BODY_CANCEL:
		plugp_calls_cancel(plugin, NULL, env->id, env->cancel->reason);
		break;
	case PLUG__ENVELOPE__BODY_CREDIT:
		plugp_calls_credit(plugin, NULL, env->id, env->credit->bytes);
		break;
	case PLUG__ENVELOPE__BODY_DRAIN:
		plugp_drain(plugin);
		break;
	case PLUG__ENVELOPE__BODY_STOP:
		plugp_stop(plugin, STOP_ASKED);
		break;
	case PLUG__ENVELOPE__BODY_CONFIG:
		take_config(plugin, env->config);
		break;
	case PLUG__ENVELOPE__BODY_LOG_LEVEL:
		atomic_store(&plugin->log_level, env->log_level->level);
		break;
	default:
		plugp_fault(plugin, "plugd sent a message (body %d) that only plugins send",
			    (int)env->body_case);
		break;
	}
	return NULL;
}

static struct plug_call *
take_ordered(struct plug_plugin *plugin, const Plug__Envelope *env, size_t size)
{
	struct session *session = &plugin->session;

	if (env->seq <= session->taken)
		return NULL; /* sent again after a reconnect */
	if (env->seq != session->taken + 1) {
		plugp_fault(plugin, "plugd sent message %llu, expected %llu",
			    (unsigned long long)env->seq, (unsigned long long)session->taken + 1);
		return NULL;
	}
	session->taken = env->seq;
	plugp_outbox_took(&plugin->outbox, env->seq, size);
	return dispatch(plugin, env);
}

static struct plug_call *
take(struct plug_plugin *plugin, const Plug__Envelope *env, size_t size)
{
	enum outbox_origin origin = plugp_outbox_heard(&plugin->outbox, env->ack);

	if (origin == OUTBOX_FROM_OLD)
		return NULL;
	if (env->body_case == PLUG__ENVELOPE__BODY_REFUSED) {
		take_refused(plugin, env->refused);
	} else if (env->body_case == PLUG__ENVELOPE__BODY_WELCOME) {
		take_welcome(plugin, env->welcome);
	} else if (origin == OUTBOX_FROM_UNWELCOMED) {
		return NULL;
	} else if (origin == OUTBOX_FROM_LIAR || env->generation != plugin->generation) {
		plugp_fault(plugin,
			    "plugd sent generation %u and acknowledges message %llu; this "
			    "is generation %u, which did not send that many",
			    env->generation, (unsigned long long)env->ack, plugin->generation);
	} else if (env->body_case == PLUG__ENVELOPE__BODY_PING) {
		take_ping(plugin, env->ping->stamp);
	} else if (env->seq != 0) {
		return take_ordered(plugin, env, size);
	} else if (env->body_case != PLUG__ENVELOPE__BODY_PONG &&
		   env->body_case != PLUG__ENVELOPE__BODY_ONLY_ACK) {
		plugp_fault(plugin, "plugd sent a message (body %d) without its position",
			    (int)env->body_case);
	}
	return NULL;
}

static struct plug_call *
take_message(struct plug_plugin *plugin, const uint8_t *bytes, size_t size)
{
	struct plug_call *call;
	Plug__Envelope *env;
	plug_err err = plug_envelope_unpack(bytes, size, &env);

	if (err != PLUG_OK) {
		plugp_fault(plugin, "plugd sent %zu bytes that are no message: %s", size,
			    plug_err_text(err));
		return NULL;
	}
	call = take(plugin, env, size);
	plug_envelope_free(env);
	return call;
}

struct plug_call *
plugp_session_receive(struct plug_plugin *plugin)
{
	bool waits = atomic_load(&plugin->session.handshake) == HANDSHAKE_WAITS;
	size_t size;
	const uint8_t *bytes = plugp_link_receive(plugin, waits ? HANDSHAKE_POLL_MS : -1, &size);

	return bytes ? take_message(plugin, bytes, size) : NULL;
}
