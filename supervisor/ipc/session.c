/*
 * Invariants
 *  - `unacked` holds every sent message whose seq is in (peer_acked, sent], in order.
 *  - A message goes to the link only while `live`, in the order of seq; what the link could not
 * take is `unsent`, the start of a suffix of `unacked`, and nothing younger overtakes it.
 *  - `live` is set by session_welcome() and cleared when the connection goes; only HELLO is taken
 * while it is clear.
 */
#include "ipc/session.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "ipc/session_private.h"
#include "wire.h"

#define RESERVE_BYTES ((size_t)1024 * 1024) /* of messages that are no payload */

static void
violation(struct session *s, plug_err err, const char *reason)
{
	if (s->broken)
		return;
	s->broken = true;
	link_mute(s->link);
	s->config.ops->on_violation(s->config.user, err, reason);
}

/* ---- sending ---- */

static struct kept *
next_kept(struct session *s, struct kept *kept)
{
	return kept->node.next == &s->unacked ? NULL
					      : LIST_ENTRY(kept->node.next, struct kept, node);
}

static void
pump(struct session *s)
{
	while (s->live && s->unsent && !link_send(s->link, s->unsent->bytes, s->unsent->size))
		s->unsent = next_kept(s, s->unsent);
}

static void
forget_acked(struct session *s, uint64_t ack)
{
	LIST_FOREACH_SAFE (kept, &s->unacked, struct kept, node) {
		if (kept->seq > ack)
			break;
		if (s->unsent == kept)
			s->unsent = next_kept(s, kept);
		s->unacked_size -= kept->size;
		list_remove(&kept->node);
		free(kept);
	}
	if (ack > s->peer_acked)
		s->peer_acked = ack;
}

static void
stamp(struct session *s, Plug__Envelope *env, uint64_t seq)
{
	env->generation = s->config.generation;
	env->seq = seq;
	env->ack = s->received;
}

/* A message stamped now is sent, or will be before any later one. */
static void
told(struct session *s)
{
	s->acked = s->received;
	s->unacked_theirs = 0;
}

/* CANCEL, CREDIT, DRAIN and STOP are not lost when CALLs fill what may wait. */
static size_t
bound_of(const struct session *s, const Plug__Envelope *env)
{
	bool payload = env->body_case == PLUG__ENVELOPE__BODY_CALL ||
		       env->body_case == PLUG__ENVELOPE__BODY_CHUNK;

	return s->config.unacked_bytes + (payload ? 0 : RESERVE_BYTES);
}

plug_err
session_send(struct session *s, Plug__Envelope *env)
{
	struct kept *kept;
	size_t size;

	if (!s->welcomed || s->broken)
		return PLUG_ESTATE;
	stamp(s, env, s->sent + 1);
	size = plug_envelope_size(env);
	if (size > PLUG_MESSAGE_BYTES)
		return PLUG_ETOOLARGE;
	if (s->unacked_size + size > bound_of(s, env))
		return PLUG_EOVERLOADED;
	kept = malloc(sizeof(*kept) + size);
	if (!kept)
		return PLUG_ENOMEM;
	kept->seq = env->seq;
	plug_envelope_pack(env, kept->bytes, size, &kept->size);
	s->sent++;
	list_append(&s->unacked, &kept->node);
	s->unacked_size += kept->size;
	told(s);
	if (!s->unsent)
		s->unsent = kept;
	pump(s);
	return PLUG_OK;
}

/* Messages of one connection only.  False: the link cannot take it now. */
static bool
send_unkept(struct session *s, Plug__Envelope *env)
{
	uint8_t bytes[PLUG_MESSAGE_BYTES];
	size_t size;

	stamp(s, env, 0);
	if (plug_envelope_pack(env, bytes, sizeof(bytes), &size) || link_send(s->link, bytes, size))
		return false;
	told(s);
	return true;
}

static bool
send_ping(struct session *s)
{
	Plug__Ping ping = PLUG__PING__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	ping.stamp = s->ping_stamp;
	env.body_case = PLUG__ENVELOPE__BODY_PING;
	env.ping = &ping;
	return send_unkept(s, &env);
}

void
session_ping(struct session *s, uint64_t when)
{
	if (!s->live)
		return;
	s->ping_stamp = when;
	s->ping_waits = !send_ping(s);
}

static void
on_writable(void *user)
{
	struct session *s = user;

	if (s->ping_waits)
		s->ping_waits = !send_ping(s);
	pump(s);
}

/* One that is lost is still due at the next tick. */
static void
send_ack(struct session *s)
{
	Plug__Ack ack = PLUG__ACK__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	env.body_case = PLUG__ENVELOPE__BODY_ONLY_ACK;
	env.only_ack = &ack;
	send_unkept(s, &env);
}

void
session_tick(struct session *s)
{
	if (s->live && s->acked != s->received)
		send_ack(s);
}

/* ---- handshake ---- */

plug_err
session_welcome(struct session *s, Plug__Welcome *welcome)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	bool first = !s->welcomed;

	if (first && getrandom(s->nonce, sizeof(s->nonce), 0) != sizeof(s->nonce))
		return PLUG_ESYS;
	welcome->protocol = s->protocol;
	welcome->generation = s->config.generation;
	welcome->nonce.data = s->nonce;
	welcome->nonce.len = sizeof(s->nonce);
	welcome->received = s->received;
	welcome->plugd = (char *)PLUG_VERSION;
	env.body_case = PLUG__ENVELOPE__BODY_WELCOME;
	env.welcome = welcome;
	if (plug_envelope_size(&env) > PLUG_MESSAGE_BYTES - 64)
		return PLUG_ETOOLARGE;
	s->welcomed = s->live = true;
	send_unkept(s, &env);
	s->unsent = LIST_FIRST(&s->unacked, struct kept, node);
	pump(s);
	return PLUG_OK;
}

void
session_refuse(struct session *s, plug_err code, const char *message)
{
	Plug__Refused refused = PLUG__REFUSED__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	refused.code = code;
	refused.message = (char *)message;
	refused.protocol_min = PLUG_PROTOCOL_MIN;
	refused.protocol_max = PLUG_PROTOCOL_MAX;
	refused.plugd = (char *)PLUG_VERSION;
	env.body_case = PLUG__ENVELOPE__BODY_REFUSED;
	env.refused = &refused;
	send_unkept(s, &env);
}

static void
resume(struct session *s, const Plug__Resume *theirs)
{
	Plug__Welcome welcome = PLUG__WELCOME__INIT;

	if (theirs->generation != s->config.generation || theirs->nonce.len != sizeof(s->nonce) ||
	    !plug_secret_equal(theirs->nonce.data, s->nonce, sizeof(s->nonce))) {
		session_refuse(s, PLUG_EDENIED,
			       "resume of another generation or with a wrong nonce");
		violation(s, PLUG_EDENIED,
			  "HELLO resumes another generation, or its nonce is wrong");
		return;
	}
	if (theirs->received > s->sent || theirs->received < s->peer_acked) {
		violation(s, PLUG_EPROTO, "HELLO resumes at a message that was never sent");
		return;
	}
	forget_acked(s, theirs->received);
	if (!session_welcome(s, &welcome)) /* config and limits are as they were */
		s->config.ops->on_resumed(s->config.user);
}

static void
handle_hello(struct session *s, const Plug__Hello *hello)
{
	bool again = s->welcomed;
	char reason[256];

	if (hello->token.len != PLUG_TOKEN_BYTES ||
	    !plug_secret_equal(hello->token.data, s->config.token, PLUG_TOKEN_BYTES)) {
		session_refuse(s, PLUG_EDENIED, "wrong token: expected the 16 bytes of PLUG_TOKEN");
		violation(s, PLUG_EDENIED, "HELLO with a wrong token");
		return;
	}
	if (s->live) {
		violation(s, PLUG_EPROTO, "second HELLO on one connection");
		return;
	}
	if (s->welcomed && hello->resume) {
		resume(s, hello->resume);
		return;
	}
	if (s->received) {
		violation(s, PLUG_EPROTO,
			  "HELLO without resume, after messages of this generation");
		return;
	}
	if (hello->protocol_min > PLUG_PROTOCOL_MAX || hello->protocol_max < PLUG_PROTOCOL_MIN) {
		snprintf(reason, sizeof(reason),
			 "the plugin speaks protocol %u to %u, this plugd (%s) %u to %u: update "
			 "the older side",
			 hello->protocol_min, hello->protocol_max, PLUG_VERSION, PLUG_PROTOCOL_MIN,
			 PLUG_PROTOCOL_MAX);
		session_refuse(s, PLUG_EVERSION, reason);
		violation(s, PLUG_EVERSION, reason);
		return;
	}
	s->protocol =
		hello->protocol_max < PLUG_PROTOCOL_MAX ? hello->protocol_max : PLUG_PROTOCOL_MAX;
	s->config.ops->on_hello(s->config.user, hello);
	if (again && s->live) /* it never had WELCOME, but the owner was told of a loss */
		s->config.ops->on_resumed(s->config.user);
}

/* ---- receiving ---- */

static bool
is_of_connection(const Plug__Envelope *env)
{
	switch (env->body_case) {
	case PLUG__ENVELOPE__BODY_PONG:
	case PLUG__ENVELOPE__BODY_ONLY_ACK:
		return true;
	default:
		return false;
	}
}

static void
take(struct session *s, const Plug__Envelope *env, size_t size)
{
	if (env->ack > s->sent) {
		violation(s, PLUG_EPROTO, "acknowledges a message that was never sent");
		return;
	}
	forget_acked(s, env->ack);
	if (is_of_connection(env)) {
		if (env->body_case == PLUG__ENVELOPE__BODY_PONG)
			s->config.ops->on_message(s->config.user, env);
		return;
	}
	if (env->generation != s->config.generation) {
		violation(s, PLUG_EPROTO, "message of another generation");
		return;
	}
	if (env->seq == 0 || env->seq > s->received + 1) {
		violation(s, PLUG_EPROTO, "message out of order (seq)");
		return;
	}
	if (env->seq <= s->received)
		return; /* sent again after a resume, and known */
	s->received = env->seq;
	s->unacked_theirs += size;
	s->config.ops->on_message(s->config.user, env);
	if (!s->broken && s->live &&
	    (s->received - s->acked >= PLUG_ACK_MESSAGES || s->unacked_theirs >= PLUG_ACK_BYTES))
		send_ack(s);
}

static bool
on_frame(void *user, const uint8_t *bytes, size_t size)
{
	struct session *s = user;
	Plug__Envelope *env;
	plug_err err = plug_envelope_unpack(bytes, size, &env);

	if (err == PLUG_ENOMEM)
		return false;
	if (err) {
		violation(s, err,
			  err == PLUG_ETOOLARGE
				  ? "message above the limit of 64 KiB, or of 1 MiB unpacked"
				  : "message is not an Envelope of this protocol");
		return true;
	}
	if (env->body_case == PLUG__ENVELOPE__BODY_HELLO)
		handle_hello(s, env->hello);
	else if (s->live)
		take(s, env, size);
	else
		violation(s, PLUG_EPROTO, "first message of a connection is not HELLO");
	plug_envelope_free(env);
	return true;
}

static void
on_lost(void *user)
{
	struct session *s = user;

	if (!s->live || s->broken)
		return;
	s->live = s->ping_waits = false;
	s->unsent = NULL;
	s->config.ops->on_lost(s->config.user);
}

static void
on_garbage(void *user, const char *what)
{
	struct session *s = user;

	if (s->live) /* a stranger at the door is turned away; the plugin itself knows better */
		violation(s, PLUG_EPROTO, what);
}

const struct link_ops session_link_ops = {
	.on_frame = on_frame,
	.on_lost = on_lost,
	.on_writable = on_writable,
	.on_garbage = on_garbage,
};

plug_err
session_open(const struct session_config *config, struct session **ret)
{
	struct session *s = calloc(1, sizeof(*s));
	struct link_config link = {
		.loop = config->loop,
		.path = config->path,
		.max_bytes = PLUG_RECV_BYTES,
		.ops = &session_link_ops,
		.user = s,
	};
	plug_err err;

	if (!s)
		return PLUG_ENOMEM;
	s->config = *config;
	s->config.path = NULL; /* the caller's, and not needed again */
	list_init(&s->unacked);
	err = link_open(&link, &s->link);
	if (err) {
		free(s);
		return err;
	}
	*ret = s;
	return PLUG_OK;
}

void
session_close(struct session *s)
{
	if (!s)
		return;
	link_close(s->link);
	forget_acked(s, UINT64_MAX);
	free(s);
}

bool
session_welcomed(const struct session *s)
{
	return s->welcomed;
}

bool
session_connected(const struct session *s)
{
	return s->live && !s->broken;
}

size_t
session_unacked_bytes(const struct session *s)
{
	return s->unacked_size;
}

uint32_t
session_protocol(const struct session *s)
{
	return s->protocol;
}
