/*
 * Invariants
 *  - `unacked` holds every sent message whose seq is in (peer_acked, sent], in order.
 *  - A message goes to nng only while `live`, in the order of seq; what nng could not take (EAGAIN)
 * is `unsent`, a suffix of `unacked`, and nothing younger overtakes it.
 *  - `live` is set by session_welcome() and cleared when the connection goes; only HELLO is taken
 * while it is clear.
 *  - `pipe` is the connection whose HELLO was taken last.  News of a pipe's end can come before its
 * HELLO is read and after the next pipe's: so ends are remembered by id and compared with `pipe`,
 * never assumed to be about it.
 */
#include "ipc/session.h"

#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/pair1/pair.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/list.h"
#include "wire.h"

#define SEND_QUEUE        64 /* messages that nng buffers itself */
#define RECEIVE_AT_A_TIME 64 /* then other watchers get their turn */

#define REMOVED_KEPT      8

enum { PIPE_REMOVED = 1 };

struct kept {
	struct list node;
	uint64_t seq;
	size_t size;
	uint8_t bytes[];
};

struct session {
	struct session_config config;
	nng_socket socket;
	bool open;
	ev_io receive_w, writable_w;
	bool writable_ready; /* writable_w has its descriptor */
	struct wakeup_source source;

	int pipe;                         /* of the last HELLO taken; 0: none */
	atomic_int removed[REMOVED_KEPT]; /* ids of the pipes that ended last */
	atomic_uint removed_count;        /* nng's threads write, the loop's reads */

	bool live, welcomed, broken;
	uint32_t protocol;
	uint8_t nonce[PLUG_NONCE_BYTES];

	uint64_t sent, peer_acked; /* our stream */
	struct list unacked;
	struct kept *unsent; /* first of `unacked` not handed to nng on this connection, or NULL */
	size_t unacked_size;

	uint64_t received;     /* the peer's stream */
	uint64_t acked;        /* what we have told the peer */
	size_t unacked_theirs; /* payload bytes received since then */
};

static void
violation(struct session *s, plug_err err, const char *reason)
{
	if (s->broken)
		return;
	s->broken = true;
	ev_io_stop(s->config.wakeup->loop, &s->receive_w);
	s->config.ops->on_violation(s->config.user, err, reason);
}

/* ---- sending ---- */

static int
hand_to_nng(struct session *s, const void *bytes, size_t size)
{
	nng_msg *msg;
	int rv = nng_msg_alloc(&msg, size);

	if (rv)
		return rv;
	memcpy(nng_msg_body(msg), bytes, size);
	rv = nng_sendmsg(s->socket, msg, NNG_FLAG_NONBLOCK);
	if (rv)
		nng_msg_free(msg);
	return rv;
}

static void
on_writable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct session *s = w->data;

	(void)revents;
	while (s->live && s->unsent) {
		if (hand_to_nng(s, s->unsent->bytes, s->unsent->size))
			return; /* the watcher stays */
		s->unsent = s->unsent->node.next == &s->unacked
				    ? NULL
				    : LIST_ENTRY(s->unsent->node.next, struct kept, node);
	}
	ev_io_stop(loop, w);
}

static void
watch_writable(struct session *s)
{
	if (!s->writable_ready) {
		int fd;

		if (nng_getopt_int(s->socket, NNG_OPT_SENDFD, &fd))
			return; /* the next send tries again */
		ev_io_init(&s->writable_w, on_writable, fd, EV_READ); /* nng: readable = may send */
		s->writable_w.data = s;
		s->writable_ready = true;
	}
	ev_io_start(s->config.wakeup->loop, &s->writable_w);
}

static void
forget_acked(struct session *s, uint64_t ack)
{
	LIST_FOREACH_SAFE (kept, &s->unacked, struct kept, node) {
		if (kept->seq > ack)
			break;
		if (s->unsent == kept)
			s->unsent = NULL;
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
	s->acked = s->received;
	s->unacked_theirs = 0;
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
	if (s->unacked_size + size > s->config.unacked_bytes)
		return PLUG_EOVERLOADED;
	kept = malloc(sizeof(*kept) + size);
	if (!kept)
		return PLUG_ENOMEM;
	kept->seq = env->seq;
	plug_envelope_pack(env, kept->bytes, size, &kept->size);
	s->sent++;
	list_append(&s->unacked, &kept->node);
	s->unacked_size += kept->size;
	if (s->live && !s->unsent && !hand_to_nng(s, kept->bytes, kept->size))
		return PLUG_OK;
	if (!s->unsent)
		s->unsent = kept;
	if (s->live)
		watch_writable(s);
	return PLUG_OK;
}

/* Messages of one connection only.  One that nng cannot take now is lost, and its sender asks
 * again. */
static void
send_unkept(struct session *s, Plug__Envelope *env)
{
	uint8_t bytes[PLUG_MESSAGE_BYTES];
	size_t size;

	stamp(s, env, 0);
	if (!plug_envelope_pack(env, bytes, sizeof(bytes), &size))
		hand_to_nng(s, bytes, size);
}

void
session_ping(struct session *s, uint64_t when)
{
	Plug__Ping ping = PLUG__PING__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	if (!s->live)
		return;
	ping.stamp = when;
	env.body_case = PLUG__ENVELOPE__BODY_PING;
	env.ping = &ping;
	send_unkept(s, &env);
}

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
	s->unsent = NULL;
	if (session_welcome(s, &welcome)) /* config and limits are as they were */
		return;
	s->unsent = LIST_FIRST(&s->unacked, struct kept, node);
	if (s->unsent)
		watch_writable(s);
	s->config.ops->on_resumed(s->config.user);
}

static void
handle_hello(struct session *s, const Plug__Hello *hello)
{
	char reason[256];

	if (hello->token.len != PLUG_TOKEN_BYTES ||
	    !plug_secret_equal(hello->token.data, s->config.token, PLUG_TOKEN_BYTES)) {
		session_refuse(s, PLUG_EDENIED, "wrong token: expected the 16 bytes of PLUG_TOKEN");
		violation(s, PLUG_EDENIED, "HELLO with a wrong token");
		return;
	}
	if (s->welcomed) {
		if (hello->resume)
			resume(s, hello->resume);
		else
			violation(s, PLUG_EPROTO, "second HELLO without resume");
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
}

/* ---- receiving ---- */

static void
lose_connection(struct session *s)
{
	s->live = false;
	s->unsent = NULL;
	if (s->writable_ready)
		ev_io_stop(s->config.wakeup->loop, &s->writable_w);
	s->config.ops->on_lost(s->config.user);
}

static void
check_removed(struct session *s)
{
	if (!s->live || s->broken)
		return;
	for (int i = 0; i < REMOVED_KEPT; i++)
		if (atomic_load(&s->removed[i]) == s->pipe) {
			lose_connection(s);
			return;
		}
}

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

static void
receive(struct session *s, nng_msg *msg)
{
	size_t size = nng_msg_len(msg);
	int pipe = nng_pipe_id(nng_msg_get_pipe(msg));
	Plug__Envelope *env;
	plug_err err = plug_envelope_unpack(nng_msg_body(msg), size, &env);

	if (err == PLUG_ENOMEM)
		return;
	if (err) {
		violation(s, err,
			  err == PLUG_ETOOLARGE
				  ? "message above the limit of 64 KiB, or of 1 MiB unpacked"
				  : "message is not an Envelope of this protocol");
		return;
	}
	if (env->body_case == PLUG__ENVELOPE__BODY_HELLO) {
		s->pipe = pipe;
		handle_hello(s, env->hello);
		check_removed(s);
	} else if (s->live && pipe == s->pipe)
		take(s, env, size);
	else if (!s->welcomed)
		violation(s, PLUG_EPROTO, "first message is not HELLO");
	/* else: left over from the connection that was lost; it is sent again after the resume */
	plug_envelope_free(env);
}

static void
on_receivable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct session *s = w->data;
	nng_msg *msg;

	(void)loop;
	(void)revents;
	for (int i = 0; i < RECEIVE_AT_A_TIME && !s->broken; i++) {
		if (nng_recvmsg(s->socket, &msg, NNG_FLAG_NONBLOCK))
			return;
		receive(s, msg);
		nng_msg_free(msg);
	}
}

/* ---- connection ---- */

static void
on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
	struct session *s = arg;
	unsigned at = atomic_fetch_add(&s->removed_count, 1);

	(void)event;
	atomic_store(&s->removed[at % REMOVED_KEPT], nng_pipe_id(pipe));
	wakeup_raise(&s->source, PIPE_REMOVED);
}

static void
on_raised(struct wakeup_source *source, unsigned bits)
{
	struct session *s = CONTAINER_OF(source, struct session, source);

	(void)bits;
	if (!s->live || s->broken)
		return;
	/* What arrived before the cut is still to be taken; HELLO of the next connection may be
	 * among it. */
	on_receivable(s->config.wakeup->loop, &s->receive_w, EV_READ);
	check_removed(s);
}

static plug_err
listen_on(struct session *s)
{
	int rv = nng_setopt_size(s->socket, NNG_OPT_RECVMAXSZ, PLUG_RECV_BYTES);

	if (!rv)
		rv = nng_setopt_int(s->socket, NNG_OPT_SENDBUF, SEND_QUEUE);
	if (!rv)
		rv = nng_pipe_notify(s->socket, NNG_PIPE_EV_REM_POST, on_pipe, s);
	if (!rv)
		rv = nng_listen(s->socket, s->config.url, NULL, 0);
	return rv ? PLUG_ESYS : PLUG_OK;
}

plug_err
session_open(const struct session_config *config, struct session **ret)
{
	struct session *s = calloc(1, sizeof(*s));
	plug_err err = PLUG_ESYS;
	int fd;

	if (!s)
		return PLUG_ENOMEM;
	s->config = *config;
	list_init(&s->unacked);
	s->source.on_raised = on_raised;
	wakeup_add(config->wakeup, &s->source);
	if (nng_pair1_open(&s->socket) == 0) {
		s->open = true;
		err = listen_on(s);
	}
	if (err || nng_getopt_int(s->socket, NNG_OPT_RECVFD, &fd)) {
		session_close(s);
		return err ? err : PLUG_ESYS;
	}
	ev_io_init(&s->receive_w, on_receivable, fd, EV_READ);
	s->receive_w.data = s;
	ev_io_start(config->wakeup->loop, &s->receive_w);
	s->config.url = NULL; /* the caller's, and not needed again */
	*ret = s;
	return PLUG_OK;
}

void
session_close(struct session *s)
{
	if (!s)
		return;
	ev_io_stop(s->config.wakeup->loop, &s->receive_w);
	ev_io_stop(s->config.wakeup->loop, &s->writable_w);
	if (s->open)
		nng_close(s->socket); /* no callback runs after this */
	wakeup_remove(&s->source);
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
	return s->live;
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
