/* A connection that is cut in the middle: nothing is lost and nothing done twice. */
#include <plug/plugin.h>
#include <stdio.h>
#include <unistd.h>

#include "cases.h"

static int
start_probe(void **state)
{
	return start_plugin(state, PROBE_PLUGIN, NULL);
}

static void
call_count(struct peer *peer, uint64_t id)
{
	char text[16];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)id);
	call_text(peer, id, "count", text);
}

static void
test_calls_survive_a_cut(void **state)
{
	for (uint64_t id = 1; id <= 20; id++)
		call_count(*state, id);
	peer_cut(*state);
	for (uint64_t id = 1; id <= 20; id++)
		assert_answer(*state, id, PLUG_OK, "1");
	assert_int_equal(((struct peer *)*state)->resumes, 1);
	assert_int_equal(peer_vitals(*state).resumes, 1);
}

/* Cuts at every stage of calls that come and go; the plugin counts executions by key. */
static void
test_many_cuts_lose_and_double_nothing(void **state)
{
	struct peer *peer = *state;
	uint64_t asked = 0, answered = 0;

	for (int cut = 0; cut < 12; cut++) {
		for (int i = 0; i < 30; i++)
			call_count(peer, ++asked);
		for (int i = 0; i < 7 * (cut % 4); i++)
			assert_answer(peer, ++answered, PLUG_OK, "1");
		peer_cut(peer);
		for (int i = 0; i < 5; i++)
			call_count(peer, ++asked); /* while there is no connection */
	}
	while (answered < asked)
		assert_answer(peer, ++answered, PLUG_OK, "1");
	assert_null(peer_poll(peer, PLUG__ENVELOPE__BODY_REPLY, 0, 50));
	assert_true(peer->resumes >= 1);
	assert_int_equal(peer_vitals(peer).calls, asked);
	assert_int_equal(peer_vitals(peer).in_flight, 0);
}

static void
test_what_the_plugin_says_meanwhile_comes_later(void **state)
{
	struct peer *peer = *state;

	call_text(peer, 1, "block", "100000");
	peer_cut(peer);
	usleep(200000); /* answered while nobody listens */
	assert_answer(peer, 1, PLUG_OK, "");
}

static void
test_a_stream_goes_on_after_a_cut(void **state)
{
	struct peer *peer = *state;

	call_text(peer, 1, "pieces", "400");
	for (int n = 0; n < 400; n++) {
		struct peer_answer answer = peer_answer(peer, 1);

		assert_true(answer.partial);
		assert_int_equal(answer.size, 10000);
		peer_answer_free(&answer);
		if (n == 10 || n == 200 || n == 201)
			peer_cut(peer);
	}
	assert_answer(peer, 1, PLUG_OK, "400");
}

static void
test_a_long_reply_goes_on_after_a_cut(void **state)
{
	struct peer_answer answer;

	call_text(*state, 1, "big", "3000000");
	answer.data = NULL;
	peer_cut(*state);
	answer = peer_answer(*state, 1);
	assert_int_equal(answer.size, 3000000);
	for (size_t i = 0; i < answer.size; i++) {
		if (answer.data[i] != 'a' + i % 23)
			fail_msg("byte %zu is wrong", i);
	}
	peer_answer_free(&answer);
}

static void
test_a_long_call_goes_on_after_a_cut(void **state)
{
	static char data[2000000];

	memset(data, 'x', sizeof(data));
	peer_call(*state, 5, "about", data, sizeof(data), 0);
	peer_cut(*state);
	assert_answer(*state, 5, PLUG_OK, "about application/json 5 2000000 test 7 1");
}

static void
test_a_repeated_message_is_dropped(void **state)
{
	struct peer *peer = *state;

	call_count(peer, 9);
	assert_answer(peer, 9, PLUG_OK, "1");
	peer->seq--; /* the same position once more */
	call_count(peer, 9);
	assert_null(peer_poll(peer, PLUG__ENVELOPE__BODY_REPLY, 9, 100));
	call_count(peer, 9);
	assert_answer(peer, 9, PLUG_OK, "2");
}

static void
test_the_plugin_acknowledges_without_having_to_say_anything(void **state)
{
	struct peer *peer = *state;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__Credit credit = PLUG__CREDIT__INIT;
	Plug__Envelope ping_env = PLUG__ENVELOPE__INIT;
	Plug__Ping ping = PLUG__PING__INIT;

	assert_null(peer_poll(peer, PLUG__ENVELOPE__BODY_REPLY, 0, 1100)); /* all is acknowledged */
	peer->acks = 0;
	env.id = 1; /* no such call: nothing to answer */
	env.body_case = PLUG__ENVELOPE__BODY_CREDIT;
	env.credit = &credit;
	for (int i = 0; i < 64; i++)
		peer_send(peer, &env);
	ping_env.body_case = PLUG__ENVELOPE__BODY_PING;
	ping_env.ping = &ping;
	peer_send_now(peer, &ping_env);
	plug_envelope_free(peer_expect(peer, PLUG__ENVELOPE__BODY_PONG, 0));
	assert_true(peer->acks >= 1); /* before the pong, which carries one, too */
	peer_send(peer, &env);
	assert_non_null(peer->sent);
	assert_null(peer_poll(peer, PLUG__ENVELOPE__BODY_REPLY, 0, 1500)); /* a tick and more */
	assert_null(peer->sent);
}

static void
test_logs_that_nobody_takes_go_to_stderr(void **state)
{
	struct peer *peer = *state;
	int by_message = 0, by_stderr = 0;
	Plug__Envelope *env;
	const char *at;

	plug_envelope_free(peer_expect(peer, PLUG__ENVELOPE__BODY_LOG, 0)); /* "starting" */
	peer->no_ack = true;
	call_text(peer, 1, "flood", "600");
	assert_answer(peer, 1, PLUG_OK, "");
	while ((env = peer_poll(peer, PLUG__ENVELOPE__BODY_LOG, 0, 50)) != NULL) {
		by_message++;
		plug_envelope_free(env);
	}
	for (at = peer_stderr(peer); (at = strstr(at, "probe: debug: 0")) != NULL; at++)
		by_stderr++;
	assert_in_range(by_message, 200, 300); /* 256 KiB */
	assert_int_equal(by_message + by_stderr, 600);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, start_probe, end_plugin)
		CASE(test_calls_survive_a_cut),
		CASE(test_many_cuts_lose_and_double_nothing),
		CASE(test_what_the_plugin_says_meanwhile_comes_later),
		CASE(test_a_stream_goes_on_after_a_cut),
		CASE(test_a_long_reply_goes_on_after_a_cut),
		CASE(test_a_long_call_goes_on_after_a_cut),
		CASE(test_a_repeated_message_is_dropped),
		CASE(test_the_plugin_acknowledges_without_having_to_say_anything),
		CASE(test_logs_that_nobody_takes_go_to_stderr),
	};

	return cmocka_run_group_tests_name("sdk_plugin_resume", tests, NULL, NULL);
}
