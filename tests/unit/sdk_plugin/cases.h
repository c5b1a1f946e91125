/* What the cases of this folder share. */
#ifndef CASES_H
#define CASES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec.h"
#include "peer.h"

static inline int
start_plugin(void **state, const char *path, const char *mode)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	char *argv[] = {(char *)path, (char *)mode, NULL};

	assert_non_null(peer);
	peer_start(peer, argv, NULL);
	peer_handshake(peer);
	*state = peer;
	return 0;
}

static inline int
end_plugin(void **state)
{
	peer_end(*state);
	free(*state);
	return 0;
}

/* The same with an environment variable, "K=V". */
static inline int
start_plugin_with(void **state, const char *path, const char *mode, const char *extra)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	char *argv[] = {(char *)path, (char *)mode, NULL};

	assert_non_null(peer);
	peer_start(peer, argv, extra);
	peer_handshake(peer);
	*state = peer;
	return 0;
}

static inline void
call_text(struct peer *peer, uint64_t id, const char *method, const char *text)
{
	peer_call(peer, id, method, text, strlen(text), 0);
}

/* The next answer to call `id` is the last one and says `text`. */
static inline void
assert_answer(struct peer *peer, uint64_t id, uint32_t outcome, const char *text)
{
	struct peer_answer answer = peer_answer(peer, id);

	assert_string_equal(outcome ? answer.message : (char *)answer.data, text);
	assert_int_equal(answer.outcome, outcome);
	assert_false(answer.partial);
	peer_answer_free(&answer);
}

#endif
