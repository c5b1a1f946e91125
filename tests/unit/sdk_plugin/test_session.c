/* The echo plugin over a real session: handshake, calls, streams, cancellation, stop. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "codec.h"
#include "peer.h"

static char *const echo_argv[] = {(char *)ECHO_PLUGIN, NULL};

static int
start_echo(void **state)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	peer_start(peer, echo_argv, NULL);
	peer_handshake(peer);
	*state = peer;
	return 0;
}

static int
end_echo(void **state)
{
	peer_end(*state);
	free(*state);
	return 0;
}

static void
assert_answer(struct peer *peer, uint64_t id, uint32_t outcome, const char *text)
{
	struct peer_answer answer = peer_answer(peer, id);

	assert_int_equal(answer.outcome, outcome);
	assert_false(answer.partial);
	assert_string_equal(outcome ? answer.message : (char *)answer.data, text);
	peer_answer_free(&answer);
}

static void
call_text(struct peer *peer, uint64_t id, const char *method, const char *text)
{
	peer_call(peer, id, method, text, strlen(text), 0);
}

static void
test_hello_names_the_plugin(void **state)
{
	struct peer *peer = *state;
	const Plug__Hello *hello = peer->hello->hello;

	assert_string_equal(hello->name, "echo");
	assert_string_equal(hello->version, "0.1.0");
	assert_string_equal(hello->contract, "interface");
	assert_string_equal(hello->sdk, "libplug " PLUG_VERSION);
	assert_int_equal(hello->protocol_min, PLUG_PROTOCOL_MIN);
	assert_int_equal(hello->protocol_max, PLUG_PROTOCOL_MAX);
	assert_int_equal(hello->n_methods, 6);
	assert_string_equal(hello->methods[0]->name, "echo");
	assert_true(hello->methods[0]->idempotent);
	assert_true(hello->methods[3]->stream);
	assert_false(hello->methods[3]->idempotent);
	assert_int_equal(peer->hello->seq, 0);
}

static void
test_echo_returns_what_it_was_given(void **state)
{
	call_text(*state, 1, "echo", "{\"a\": 1}");
	assert_answer(*state, 1, PLUG_OK, "{\"a\": 1}");
	call_text(*state, 2, "echo", "");
	assert_answer(*state, 2, PLUG_OK, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, start_echo, end_echo)
		CASE(test_hello_names_the_plugin),
		CASE(test_echo_returns_what_it_was_given),
	};

	return cmocka_run_group_tests_name("sdk_plugin_session", tests, NULL, NULL);
}
