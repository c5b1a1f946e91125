/* A plugin and a channel to it for each case. */
#ifndef PLANE_FIXTURE_H
#define PLANE_FIXTURE_H

#include "caller.h"
#include "cases.h"

struct fixture {
	struct peer *peer;
	struct caller caller;
};

static inline int
start(void **state, const char *mode, const char *extra, bool small_limits)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct peer *peer = calloc(1, sizeof(*peer));
	char *argv[] = {(char *)PROBE_PLUGIN, (char *)mode, NULL};

	assert_true(fixture && peer);
	if (small_limits) {
		plug__limits__init(&peer->limits);
		peer->limits.message_bytes = PLUG_MESSAGE_BYTES;
		peer->limits.call_bytes = 100000;
		peer->limits.window_bytes = 50000;
		peer->limits.calls = 4;
	}
	peer_start(peer, argv, extra);
	peer_handshake(peer);
	plug_envelope_free(peer_expect(peer, PLUG__ENVELOPE__BODY_LOG, 0)); /* "starting" */
	fixture->peer = peer;
	caller_open(peer, &fixture->caller, 0);
	*state = fixture;
	return 0;
}

static inline int
start_default(void **state)
{
	return start(state, NULL, NULL, false);
}

static inline int
start_sleeping(void **state)
{
	return start(state, NULL, "PLUG_SPIN_US=0", false);
}

static inline int
start_two_workers(void **state)
{
	return start(state, "workers=2", NULL, false);
}

static inline int
start_many_workers(void **state)
{
	return start(state, "workers=64", NULL, false);
}

static inline int
start_one_worker(void **state)
{
	return start(state, "workers=1", NULL, false);
}

static inline int
start_small_limits(void **state)
{
	return start(state, NULL, NULL, true);
}

static inline int
end(void **state)
{
	struct fixture *fixture = *state;

	caller_close(&fixture->caller);
	peer_end(fixture->peer);
	free(fixture->peer);
	free(fixture);
	return 0;
}

static inline struct caller *
caller_of(void **state)
{
	return &((struct fixture *)*state)->caller;
}

static inline struct peer *
peer_of(void **state)
{
	return ((struct fixture *)*state)->peer;
}

static inline void
expect_call(struct caller *caller, const char *method, const char *text, uint32_t outcome,
	    const char *answer)
{
	caller_expect(caller, caller_call_text(caller, method, text), outcome, answer);
}

static inline void
assert_logged(struct peer *peer, uint64_t call, const char *text)
{
	Plug__Envelope *env = peer_expect(peer, PLUG__ENVELOPE__BODY_LOG, 0);

	assert_string_equal(env->log->message, text);
	assert_int_equal(env->log->call, call);
	plug_envelope_free(env);
}

static inline void
assert_pong(struct peer *peer, int within_ms)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT, *pong;
	Plug__Ping ping = PLUG__PING__INIT;

	env.body_case = PLUG__ENVELOPE__BODY_PING;
	env.ping = &ping;
	peer_send_now(peer, &env);
	pong = peer_poll(peer, PLUG__ENVELOPE__BODY_PONG, 0, within_ms);
	assert_non_null(pong);
	plug_envelope_free(pong);
}

static inline char *
pattern(size_t size)
{
	char *data = malloc(size + 1);

	assert_non_null(data);
	for (size_t i = 0; i < size; i++)
		data[i] = (char)(i * 7 + i / 251);
	data[size] = '\0';
	return data;
}

#endif
