/* Threads and roles, the reply window, limits, and what a handler may do. */
#include <plug/plugin.h>
#include <stdio.h>
#include <unistd.h>

#include "cases.h"

#define COLD_US 30000 /* without calls: nobody watches any more */

static int
start_probe(void **state)
{
	return start_plugin(state, PROBE_PLUGIN, NULL);
}

static int
start_two_workers(void **state)
{
	return start_plugin(state, PROBE_PLUGIN, "workers=2");
}

static int
start_small_limits(void **state)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	char *argv[] = {(char *)PROBE_PLUGIN, NULL};

	plug__limits__init(&peer->limits);
	peer->limits.message_bytes = PLUG_MESSAGE_BYTES;
	peer->limits.call_bytes = 100000;
	peer->limits.window_bytes = 50000;
	peer->limits.calls = 64;
	peer_start(peer, argv, NULL);
	peer_handshake(peer);
	*state = peer;
	return 0;
}

static void
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

static void
test_handlers_run_at_once(void **state)
{
	uint64_t began = peer_now_ms();

	for (uint64_t id = 1; id <= 8; id++)
		call_text(*state, id, "block", "300000");
	for (uint64_t id = 1; id <= 8; id++)
		assert_answer(*state, id, PLUG_OK, "");
	assert_true(peer_now_ms() - began < 1500); /* one after the other: 2400 */
}

static void
test_plugd_is_heard_while_every_worker_is_busy(void **state)
{
	call_text(*state, 1, "wait", "");
	call_text(*state, 2, "wait", "");
	call_text(*state, 3, "about", ""); /* waits for a worker */
	assert_pong(*state, 1000);
	assert_null(peer_poll(*state, PLUG__ENVELOPE__BODY_REPLY, 0, 100));
	peer_cancel(*state, 3);
	assert_answer(*state, 3, PLUG_ECANCELLED, "cancelled before it was started");
	peer_cancel(*state, 1);
	assert_answer(*state, 1, PLUG_ECANCELLED, "cancelled");
	peer_cancel(*state, 2);
	assert_answer(*state, 2, PLUG_ECANCELLED, "cancelled");
}

static void
test_calls_beyond_the_workers_wait_their_turn(void **state)
{
	for (uint64_t id = 1; id <= 20; id++)
		call_text(*state, id, "block", "20000");
	for (uint64_t id = 1; id <= 20; id++)
		assert_answer(*state, id, PLUG_OK, "");
	assert_int_equal(peer_vitals(*state).in_flight, 0);
}

static void
test_a_queued_call_past_its_deadline_is_answered(void **state)
{
	call_text(*state, 1, "wait", "");
	call_text(*state, 2, "wait", "");
	peer_call(*state, 3, "about", "", 0, 100);
	assert_answer(*state, 3, PLUG_ETIMEOUT, "deadline passed before it was started");
}

/* The receiver runs a method itself once it has seen it be quick. */
static void
test_a_quick_method_that_turns_slow_deafens_nobody(void **state)
{
	for (int round = 0; round < 5; round++) {
		for (uint64_t i = 0; i < 200; i++) {
			call_text(*state, 1000u * (unsigned)round + i + 1, "block", "0");
			assert_answer(*state, 1000u * (unsigned)round + i + 1, PLUG_OK, "");
		}
		call_text(*state, 90001u + (unsigned)round, "block", "400000");
		assert_pong(*state, 200);
		assert_answer(*state, 90001u + (unsigned)round, PLUG_OK, "");
	}
}

/* After a while without calls it runs one itself, even of a method that it has not seen, with an
 * alarm set; the second comes when the first has made it ring, and has its own. */
static void
test_a_first_call_that_is_slow_deafens_nobody(void **state)
{
	uint64_t id = 1;

	for (int round = 0; round < 5; round++) {
		usleep(COLD_US);
		call_text(*state, id, "block", "400000");
		assert_pong(*state, 200);
		usleep(COLD_US);
		call_text(*state, id + 1, "spin", "400000");
		assert_pong(*state, 200);
		assert_answer(*state, id, PLUG_OK, "");
		assert_answer(*state, id + 1, PLUG_OK, "");
		id += 2;
	}
	for (; id < 30; id++) { /* and now they are quick */
		usleep(COLD_US);
		call_text(*state, id, "block", "0");
		assert_answer(*state, id, PLUG_OK, "");
	}
	usleep(COLD_US);
	call_text(*state, id, "block", "400000");
	assert_pong(*state, 200);
	assert_answer(*state, id, PLUG_OK, "");
}

static void
test_a_quick_method_that_waits_in_the_sdk_deafens_nobody(void **state)
{
	for (uint64_t id = 1; id <= 200; id++) {
		call_text(*state, id, "spin", "0");
		assert_answer(*state, id, PLUG_OK, "");
	}
	call_text(*state, 201, "spin", "400000"); /* busy, not asleep */
	assert_pong(*state, 200);
	assert_answer(*state, 201, PLUG_OK, "");
}

static void
test_the_window_holds_a_stream_until_credit_comes(void **state)
{
	struct peer *peer = *state;
	struct peer_answer answer;
	int n = 0;

	peer->no_credit = true;
	call_text(peer, 1, "pieces", "20");
	while (peer_answered(peer, 1, 300, &answer)) {
		n++;
		peer_answer_free(&answer);
	}
	assert_int_equal(n, 5); /* of 10,000 bytes: a window of 50,000 */
	peer->no_credit = false;
	for (; n < 20; n++) {
		Plug__Envelope env = PLUG__ENVELOPE__INIT;
		Plug__Credit credit = PLUG__CREDIT__INIT;

		credit.bytes = 10000;
		env.id = 1;
		env.body_case = PLUG__ENVELOPE__BODY_CREDIT;
		env.credit = &credit;
		peer_send(peer, &env);
		answer = peer_answer(peer, 1);
		assert_true(answer.partial);
		peer_answer_free(&answer);
	}
	assert_answer(peer, 1, PLUG_OK, "20");
}

static void
test_cancel_ends_a_stream_held_by_its_window(void **state)
{
	struct peer *peer = *state;
	struct peer_answer answer;

	peer->no_credit = true;
	call_text(peer, 1, "pieces", "20");
	for (int n = 0; n < 5; n++) {
		answer = peer_answer(peer, 1);
		peer_answer_free(&answer);
	}
	assert_pong(peer, 1000);
	peer_cancel(peer, 1);
	assert_answer(peer, 1, PLUG_ECANCELLED, "stopped after 5");
}

static void
test_the_deadline_ends_a_stream_held_by_its_window(void **state)
{
	struct peer *peer = *state;
	struct peer_answer answer;

	peer->no_credit = true;
	peer_call(peer, 1, "pieces", "20", 2, 300);
	for (int n = 0; n < 5; n++) {
		answer = peer_answer(peer, 1);
		peer_answer_free(&answer);
	}
	assert_answer(peer, 1, PLUG_ETIMEOUT, "stopped after 5");
}

/* A whole payload and one that was cut short must not look alike. */
static void
test_a_cancelled_long_reply_is_ended_only_after_the_cancel(void **state)
{
	struct peer *peer = *state;
	Plug__Envelope *env;

	peer->no_credit = true;
	peer_call(peer, 1, "big", "99000", 5, 200);
	env = peer_expect(peer, PLUG__ENVELOPE__BODY_REPLY, 1);
	assert_true(env->reply->more);
	plug_envelope_free(env);
	env = peer_expect(peer, PLUG__ENVELOPE__BODY_CHUNK, 1);
	assert_false(env->chunk->last);
	plug_envelope_free(env);
	assert_null(peer_poll(peer, PLUG__ENVELOPE__BODY_CHUNK, 1, 600)); /* the deadline is over */
	peer_cancel(peer, 1);
	env = peer_expect(peer, PLUG__ENVELOPE__BODY_CHUNK, 1);
	assert_true(env->chunk->last);
	assert_int_equal(env->chunk->data.len, 0);
	plug_envelope_free(env);
}

static void
test_a_call_above_the_limit_is_refused_once(void **state)
{
	static char data[300000];

	peer_call(*state, 1, "about", data, sizeof(data), 0);
	assert_answer(*state, 1, PLUG_ETOOLARGE, "the payload has more than 100000 bytes");
	call_text(*state, 2, "spin", "0");
	assert_answer(*state, 2, PLUG_OK, "");
	assert_null(peer_poll(*state, PLUG__ENVELOPE__BODY_REPLY, 1, 50));
}

static void
test_a_reply_above_the_limit_becomes_a_failure(void **state)
{
	call_text(*state, 1, "big", "100001");
	assert_answer(*state, 1, PLUG_ETOOLARGE, "the reply has 100001 bytes, more than 100000");
}

static void
test_cancel_before_the_last_chunk_is_answered_at_once(void **state)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__Call call = PLUG__CALL__INIT;
	Plug__Chunk chunk = PLUG__CHUNK__INIT;

	call.method = (char *)"about";
	call.more = true;
	env.id = 1;
	env.body_case = PLUG__ENVELOPE__BODY_CALL;
	env.call = &call;
	peer_send(*state, &env);
	peer_cancel(*state, 1);
	assert_answer(*state, 1, PLUG_ECANCELLED, "cancelled before it was started");
	chunk.last = true; /* was on its way */
	env.body_case = PLUG__ENVELOPE__BODY_CHUNK;
	env.chunk = &chunk;
	peer_send(*state, &env);
	call_text(*state, 2, "spin", "0");
	assert_answer(*state, 2, PLUG_OK, "");
}

static void
test_a_second_answer_is_refused_and_the_first_stands(void **state)
{
	Plug__Envelope *env;

	call_text(*state, 1, "twice", "");
	assert_answer(*state, 1, PLUG_OK, "first");
	env = peer_expect(*state, PLUG__ENVELOPE__BODY_LOG, 0); /* "starting" */
	plug_envelope_free(env);
	env = peer_expect(*state, PLUG__ENVELOPE__BODY_LOG, 0);
	assert_string_equal(env->log->message,
			    "twice answered and then returned PLUG_EPLUGIN; the answer stands");
	assert_int_equal(env->log->call, 1);
	plug_envelope_free(env);
	assert_null(peer_poll(*state, PLUG__ENVELOPE__BODY_REPLY, 1, 50));
}

static void
test_pieces_need_a_streaming_method(void **state)
{
	call_text(*state, 1, "odd_piece", "");
	assert_answer(*state, 1, PLUG_OK, "PLUG_ESTATE");
}

static void
test_a_code_that_is_none_becomes_a_plugin_error(void **state)
{
	call_text(*state, 1, "odd_code", "");
	assert_answer(*state, 1, PLUG_EPLUGIN, "odd_code returned 4711, which is no plug_err");
}

static void
test_a_handler_can_look_at_its_call(void **state)
{
	call_text(*state, 4242, "about", "abc");
	assert_answer(*state, 4242, PLUG_OK, "about application/json 4242 3 test 7 1");
}

static void
test_logs_carry_level_fields_and_call(void **state)
{
	Plug__Envelope *env;

	plug_envelope_free(peer_expect(*state, PLUG__ENVELOPE__BODY_LOG, 0)); /* "starting" */
	call_text(*state, 5, "logs", "");
	env = peer_expect(*state, PLUG__ENVELOPE__BODY_LOG, 0);
	assert_string_equal(env->log->message, "about call 1");
	assert_int_equal(env->log->level, PLUG_LOG_WARNING);
	assert_int_equal(env->log->call, 5);
	plug_envelope_free(env);
	env = peer_expect(*state, PLUG__ENVELOPE__BODY_LOG, 0);
	assert_string_equal(env->log->message, "loaded");
	assert_int_equal(env->log->n_fields, 2);
	assert_string_equal(env->log->fields[0]->key, "device");
	assert_string_equal(env->log->fields[0]->value, "cpu");
	assert_string_equal(env->log->fields[1]->value, "");
	plug_envelope_free(env);
	assert_answer(*state, 5, PLUG_OK, "");
}

static void
test_unhealthy_is_said_at_once(void **state)
{
	Plug__Envelope *env;

	call_text(*state, 1, "ill", "");
	env = peer_expect(*state, PLUG__ENVELOPE__BODY_FAILED, 0);
	assert_string_equal(env->failed->message, "device 3 is lost");
	plug_envelope_free(env);
	assert_answer(*state, 1, PLUG_OK, "");
}

static void
test_config_is_typed(void **state)
{
	static const char *const table[][3] = {
		{"model", "path", "/models/a"},
		{"batch", "int", "32"},
		{"rate", "float", "0.25"},
		{"fast", "bool", "true"},
		{"pause", "duration", "1500000000"},
		{"cache", "bytes", "1048576"},
		{"names", "list", ""},
	};
	char *items[] = {(char *)"a", (char *)"b"};
	Plug__ConfigEntry entries[7], *list[7];
	struct peer *peer = calloc(1, sizeof(*peer));
	char *argv[] = {(char *)PROBE_PLUGIN, NULL};

	for (size_t i = 0; i < 7; i++) {
		plug__config_entry__init(&entries[i]);
		entries[i].key = (char *)table[i][0];
		entries[i].type = (char *)table[i][1];
		entries[i].value = (char *)table[i][2];
		list[i] = &entries[i];
	}
	entries[6].items = items;
	entries[6].n_items = 2;
	peer->config = list;
	peer->n_config = 7;
	peer_start(peer, argv, NULL);
	peer_handshake(peer);
	*state = peer;
	call_text(peer, 1, "config", "");
	assert_answer(peer, 1, PLUG_OK,
		      "/models/a|typed|32|-1|0.25|1|1500000000|1048576|2|b|end|1|0");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name, start) cmocka_unit_test_setup_teardown(name, start, end_plugin)
		CASE(test_handlers_run_at_once, start_probe),
		CASE(test_plugd_is_heard_while_every_worker_is_busy, start_two_workers),
		CASE(test_calls_beyond_the_workers_wait_their_turn, start_two_workers),
		CASE(test_a_queued_call_past_its_deadline_is_answered, start_two_workers),
		CASE(test_a_quick_method_that_turns_slow_deafens_nobody, start_probe),
		CASE(test_a_first_call_that_is_slow_deafens_nobody, start_probe),
		CASE(test_a_quick_method_that_waits_in_the_sdk_deafens_nobody, start_probe),
		CASE(test_the_window_holds_a_stream_until_credit_comes, start_small_limits),
		CASE(test_cancel_ends_a_stream_held_by_its_window, start_small_limits),
		CASE(test_the_deadline_ends_a_stream_held_by_its_window, start_small_limits),
		CASE(test_a_cancelled_long_reply_is_ended_only_after_the_cancel,
		     start_small_limits),
		CASE(test_a_call_above_the_limit_is_refused_once, start_small_limits),
		CASE(test_a_reply_above_the_limit_becomes_a_failure, start_small_limits),
		CASE(test_cancel_before_the_last_chunk_is_answered_at_once, start_probe),
		CASE(test_a_second_answer_is_refused_and_the_first_stands, start_probe),
		CASE(test_pieces_need_a_streaming_method, start_probe),
		CASE(test_a_code_that_is_none_becomes_a_plugin_error, start_probe),
		CASE(test_a_handler_can_look_at_its_call, start_probe),
		CASE(test_logs_carry_level_fields_and_call, start_probe),
		CASE(test_unhealthy_is_said_at_once, start_probe),
		CASE(test_config_is_typed, NULL),
	};

	return cmocka_run_group_tests_name("sdk_plugin_work", tests, NULL, NULL);
}
