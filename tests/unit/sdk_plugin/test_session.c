/* The echo plugin over a real session: the handshake, calls, streams, failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cases.h"

static int
start_echo(void **state)
{
	return start_plugin(state, ECHO_PLUGIN, NULL);
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
	assert_null(hello->resume);
	assert_int_equal(peer->hello->seq, 0);
	assert_int_equal(hello->n_methods, 6);
	assert_string_equal(hello->methods[0]->name, "echo");
	assert_true(hello->methods[0]->idempotent);
	assert_false(hello->methods[0]->stream);
	assert_true(hello->methods[3]->stream);
	assert_false(hello->methods[3]->idempotent);
}

static void
test_echo_returns_what_it_was_given(void **state)
{
	call_text(*state, 1, "echo", "{\"a\": 1}");
	assert_answer(*state, 1, PLUG_OK, "{\"a\": 1}");
	call_text(*state, 2, "echo", "");
	assert_answer(*state, 2, PLUG_OK, "");
}

static void
test_a_long_payload_goes_both_ways_in_chunks(void **state)
{
	/* Around the chunk and the ack limits, and long enough to need many windows. */
	static const size_t sizes[] = {49151, 49152, 49153, 98304, 262144, 1048576, 5000001};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *data = malloc(sizes[i]);
		struct peer_answer answer;

		for (size_t j = 0; j < sizes[i]; j++)
			data[j] = (char)(j * 7 + j / 251);
		peer_call(*state, i + 1, "echo", data, sizes[i], 0);
		answer = peer_answer(*state, i + 1);
		assert_int_equal(answer.outcome, PLUG_OK);
		assert_int_equal(answer.size, sizes[i]);
		assert_memory_equal(answer.data, data, sizes[i]);
		assert_string_equal(answer.content_type, "application/json");
		peer_answer_free(&answer);
		free(data);
	}
}

static void
test_many_calls_keep_their_answers_apart(void **state)
{
	char text[32];

	for (uint64_t id = 1; id <= 500; id++) {
		snprintf(text, sizeof(text), "%llu", (unsigned long long)id);
		call_text(*state, id, "echo", text);
	}
	for (uint64_t id = 500; id >= 1; id--) {
		snprintf(text, sizeof(text), "%llu", (unsigned long long)id);
		assert_answer(*state, id, PLUG_OK, text);
	}
}

static void
test_a_stream_comes_in_order_and_ends_once(void **state)
{
	struct peer_answer answer;
	char text[32];

	call_text(*state, 1, "stream", "{\"count\": 200}");
	for (int i = 0; i < 200; i++) {
		answer = peer_answer(*state, 1);
		snprintf(text, sizeof(text), "{\"piece\": %d}", i);
		assert_true(answer.partial);
		assert_string_equal(answer.data, text);
		peer_answer_free(&answer);
	}
	assert_answer(*state, 1, PLUG_OK, "");
	assert_false(peer_answered(*state, 1, 50, &answer));
}

static void
test_failures_carry_code_and_message(void **state)
{
	call_text(*state, 1, "fail", "{\"message\": \"no luck\", \"code\": 2}");
	assert_answer(*state, 1, PLUG_EINVAL, "no luck");
	call_text(*state, 2, "fail", "");
	assert_answer(*state, 2, PLUG_EPLUGIN, "failed as asked");
}

static void
test_malformed_arguments_are_refused_with_the_reason(void **state)
{
	call_text(*state, 1, "sleep", "{\"ms\": 1,}");
	assert_answer(*state, 1, PLUG_EINVAL, "the arguments: string or '}' expected near '}'");
	call_text(*state, 2, "sleep", "{\"ms\": \"long\"}");
	assert_answer(*state, 2, PLUG_EINVAL, "the arguments: Expected integer, got string");
	call_text(*state, 3, "sleep", "[]");
	assert_answer(*state, 3, PLUG_EINVAL, "the arguments: Expected object, got array");
	call_text(*state, 4, "sleep", "{\"ms\": -1}");
	assert_answer(*state, 4, PLUG_EINVAL, "ms is less than 0");
}

static void
test_an_unknown_method_is_answered_with_the_list(void **state)
{
	call_text(*state, 1, "ecko", "");
	assert_answer(*state, 1, PLUG_ENOMETHOD,
		      "no method \"ecko\"; there are: echo, sleep, fail, stream, crash, hang");
}

static void
test_cancel_wakes_a_sleeper(void **state)
{
	uint64_t began = peer_now_ms();

	call_text(*state, 1, "sleep", "{\"ms\": 30000}");
	peer_cancel(*state, 1);
	assert_answer(*state, 1, PLUG_ECANCELLED, "cancelled");
	assert_true(peer_now_ms() - began < 2000);
	assert_int_equal(peer_vitals(*state).cancelled, 1);
}

static void
test_the_deadline_ends_a_sleep(void **state)
{
	uint64_t began = peer_now_ms(), took;
	const char *args = "{\"ms\": 30000}";

	peer_call(*state, 1, "sleep", args, strlen(args), 150);
	assert_answer(*state, 1, PLUG_ETIMEOUT, "deadline passed");
	took = peer_now_ms() - began;
	assert_true(took >= 149 && took < 2000);
}

static void
test_vitals_count_calls_and_tick(void **state)
{
	struct plug_vitals before, after;
	size_t slot;

	call_text(*state, 1, "echo", "x");
	assert_answer(*state, 1, PLUG_OK, "x");
	call_text(*state, 2, "fail", "");
	assert_answer(*state, 2, PLUG_EPLUGIN, "failed as asked");
	before = peer_vitals(*state);
	assert_int_equal(before.magic, PLUG_VITALS_MAGIC);
	assert_int_equal(before.calls, 2);
	assert_int_equal(before.replies_ok, 1);
	assert_int_equal(before.replies_error, 1);
	assert_int_equal(before.in_flight, 0);
	call_text(*state, 77, "sleep", "{\"ms\": 1600}");
	assert_null(peer_poll(*state, PLUG__ENVELOPE__BODY_REPLY, 77, 1100));
	after = peer_vitals(*state);
	assert_int_equal(after.in_flight, 1);
	for (slot = 0; slot < PLUG_VITALS_WORKERS && after.workers[slot].id != 77; slot++)
		;
	assert_true(slot < PLUG_VITALS_WORKERS);
	assert_true(after.workers[slot].since_ns > before.tick_ns);
	assert_true(after.ticks >= before.ticks + 2);
	assert_true(after.tick_ns > before.tick_ns);
	assert_answer(*state, 77, PLUG_OK, "");
}

static void
test_ping_is_answered_with_its_stamp(void **state)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT, *pong;
	Plug__Ping ping = PLUG__PING__INIT;

	ping.stamp = 0x1122334455667788;
	env.body_case = PLUG__ENVELOPE__BODY_PING;
	env.ping = &ping;
	peer_send_now(*state, &env);
	pong = peer_expect(*state, PLUG__ENVELOPE__BODY_PONG, 0);
	assert_int_equal(pong->pong->stamp, ping.stamp);
	plug_envelope_free(pong);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, start_echo, end_plugin)
		CASE(test_hello_names_the_plugin),
		CASE(test_echo_returns_what_it_was_given),
		CASE(test_a_long_payload_goes_both_ways_in_chunks),
		CASE(test_many_calls_keep_their_answers_apart),
		CASE(test_a_stream_comes_in_order_and_ends_once),
		CASE(test_failures_carry_code_and_message),
		CASE(test_malformed_arguments_are_refused_with_the_reason),
		CASE(test_an_unknown_method_is_answered_with_the_list),
		CASE(test_cancel_wakes_a_sleeper),
		CASE(test_the_deadline_ends_a_sleep),
		CASE(test_vitals_count_calls_and_tick),
		CASE(test_ping_is_answered_with_its_stamp),
	};

	return cmocka_run_group_tests_name("sdk_plugin_session", tests, NULL, NULL);
}
