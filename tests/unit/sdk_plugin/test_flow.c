/* Windows, and a caller that does not read. */
#include <plug/plugin.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plane_fixture.h"

/* ---- windows ---- */

static void
test_the_window_holds_a_stream_until_credit_comes(void **state)
{
	struct caller *caller = caller_of(state);
	struct peer_answer answer;
	int n = 0;

	caller->no_credit = true;
	caller_call_text(caller, "pieces", "20");
	while (caller_answered(caller, 1, 300, &answer)) {
		assert_true(answer.partial);
		n++;
		peer_answer_free(&answer);
	}
	assert_int_equal(n, 5); /* of 10,000 bytes: a window of 50,000 */
	for (; n < 20; n++) {
		caller_credit(caller, 1, 10000);
		answer = caller_answer(caller, 1);
		assert_true(answer.partial);
		peer_answer_free(&answer);
	}
	caller_credit(caller, 1, 10000);
	caller_expect(caller, 1, PLUG_OK, "20");
}

static void
test_a_stream_held_by_its_window_can_be_ended(void **state)
{
	struct caller *caller = caller_of(state);
	struct peer_answer answer;

	caller->no_credit = true;
	caller_call_text(caller, "pieces", "20");
	caller_call(caller, "pieces", "20", 2, 300000);
	for (int n = 0; n < 10; n++) {
		answer = caller_answer(caller, (uint64_t)n / 5 + 1);
		peer_answer_free(&answer);
	}
	caller_expect(caller, 2, PLUG_ETIMEOUT, "stopped after 5");
	caller_cancel(caller, 1);
	caller_expect(caller, 1, PLUG_ECANCELLED, "stopped after 5");
}

static void
test_a_cancelled_long_reply_is_ended_only_after_the_cancel(void **state)
{
	struct caller *caller = caller_of(state);
	struct caller_message *one;
	size_t size = 0;

	caller_call(caller, "big", "99000", 5, 200000);
	one = caller_poll(caller, PLUGS_REPLY, 1, PEER_WAIT_MS);
	assert_true(one && one->msg.more);
	free(one);
	while ((one = caller_poll(caller, PLUGS_CHUNK, 1, 600)) != NULL) {
		assert_false(one->msg.last);
		size += one->msg.payload.size;
		free(one);
	}
	assert_true(size > 0); /* the deadline is over */
	caller_cancel(caller, 1);
	one = caller_poll(caller, PLUGS_CHUNK, 1, PEER_WAIT_MS);
	assert_true(one && one->msg.last);
	assert_int_equal(one->msg.payload.size, 0);
	free(one);
}

/* ---- a caller that does not read ---- */

/* Far more replies than the ring holds; then they come, all, in their order. */
static void
test_replies_that_find_no_room_come_later_and_in_order(void **state)
{
	struct caller *caller = caller_of(state);
	char *data = pattern(1000);
	struct caller_message *one;

	caller->deaf = true;
	for (int i = 0; i < 100; i++)
		caller_call(caller, "mirror", data, 1000, 0);
	for (int i = 100; i < 600; i++) {
		usleep(100);
		caller_call(caller, "mirror", data, 1000, 0);
	}
	usleep(100000);
	caller->deaf = false;
	for (uint64_t id = 1; id <= 600; id++) {
		one = caller_poll(caller, PLUGS_REPLY, 0, PEER_WAIT_MS);
		assert_non_null(one);
		assert_int_equal(one->msg.id, id);
		assert_int_equal(one->msg.payload.size, 1000);
		assert_memory_equal(one->msg.payload.data, data, 1000);
		free(one);
	}
	free(data);
	expect_call(caller, "mirror", "x", PLUG_OK, "x");
}

/* More than may be kept for it: handlers wait, no new calls are taken, and nothing is lost. */
static void
test_backpressure_holds_and_lets_go(void **state)
{
	struct caller *caller = caller_of(state);
	uint8_t *body;
	int posted = 0;

	caller->deaf = true;
	for (uint64_t until = peer_now_ms() + 3000; peer_now_ms() < until && posted < 40;) {
		if (plugs_reserve(&caller->poster, 200, &body) != PLUG_OK) {
			usleep(1000);
			continue;
		}
		caller_call_text(caller, "big", "100000");
		posted++;
	}
	usleep(200000);
	assert_pong(peer_of(state), 1000);
	caller->deaf = false;
	for (int i = 1; i <= posted; i++) {
		struct peer_answer answer = caller_answer(caller, (uint64_t)i);

		assert_int_equal(answer.outcome, PLUG_OK);
		assert_int_equal(answer.size, 100000);
		peer_answer_free(&answer);
	}
	expect_call(caller, "mirror", "x", PLUG_OK, "x");
}

/* Handlers fill what is kept for it while the holder empties it, again and again. */
static void
test_a_caller_that_reads_slowly_gets_everything(void **state)
{
	struct caller *caller = caller_of(state);

	for (int round = 0; round < 4; round++) {
		uint64_t first = caller->last_id + 1;

		caller->deaf = true;
		for (int i = 0; i < 100; i++)
			caller_call_text(caller, "late_big", "20000");
		usleep(400000);
		caller->deaf = false;
		for (uint64_t id = first; id < first + 100; id++) {
			struct caller_message *one = caller_poll(caller, PLUGS_REPLY, id, 20000);

			assert_non_null(one);
			assert_int_equal(one->msg.payload.size, 20000);
			free(one);
		}
	}
}

static void
test_a_handler_that_waits_for_room_has_its_deadline(void **state)
{
	struct caller *caller = caller_of(state);
	int timeouts = 0;

	caller->deaf = true;
	for (int i = 0; i < 40; i++) /* 1.6 MB: more than ring and spill hold */
		caller_call(caller, "late_big", "40000", 5, 1000000);
	usleep(2000000);
	caller->deaf = false;
	for (uint64_t id = 1; id <= 40; id++) {
		struct caller_message *one = caller_poll(caller, PLUGS_REPLY, id, PEER_WAIT_MS);

		assert_non_null(one);
		timeouts += one->msg.code == PLUG_ETIMEOUT;
		free(one);
	}
	assert_true(timeouts > 0);
	expect_call(caller, "mirror", "x", PLUG_OK, "x");
}

static void
test_a_caller_that_never_reads_is_given_up(void **state)
{
	struct caller *caller = caller_of(state), other;
	Plug__Envelope *env;

	caller_open(peer_of(state), &other, 0);
	caller->deaf = true;
	for (int i = 0; i < 20; i++)
		caller_call_text(caller, "big", "20000");
	expect_call(&other, "mirror", "x", PLUG_OK, "x");
	assert_true(caller_sees_end(caller, 8000));
	env = caller_closed(peer_of(state), 1000);
	assert_non_null(env);
	assert_int_equal(env->channel_closed->channel, caller->number);
	assert_true(env->channel_closed->violated);
	assert_string_equal(env->channel_closed->reason, "it does not read its replies");
	plug_envelope_free(env);
	expect_call(&other, "mirror", "x", PLUG_OK, "x");
	caller_close(&other);
}

/* A caller whose ring is full sleeps until the plugin has taken something. */
static void
test_a_caller_that_waits_for_room_is_woken(void **state)
{
	struct caller *caller = caller_of(state);
	struct pollfd pfd = {.fd = caller->wake_fd, .events = POLLIN};
	static const size_t sizes[] = {16, 1000, 30000};
	static const char data[30000];
	int status;

	for (size_t i = 0; i < 3; i++) {
		uint64_t first = caller->last_id + 1;

		plugs_drain(caller->wake_fd, 1000, NULL, NULL, NULL);
		kill(caller->peer->pid, SIGSTOP);
		assert_int_equal(waitpid(caller->peer->pid, &status, WUNTRACED), caller->peer->pid);
		while (plugs_room(&caller->poster) > sizes[i] + 500)
			caller_call(caller, "spin", data, sizes[i], 0);
		plugs_sleep_begin(&caller->own, PLUG_SLEEP_ROOM);
		kill(caller->peer->pid, SIGCONT);
		assert_int_equal(poll(&pfd, 1, PEER_WAIT_MS), 1);
		plugs_sleep_end(&caller->own);
		assert_true(plugs_room(&caller->poster) > sizes[i] + 500);
		for (uint64_t id = first; id <= caller->last_id; id++) {
			struct peer_answer answer = caller_answer(caller, id);

			peer_answer_free(&answer);
		}
	}
}

/* ---- a caller that begins and does not end ---- */

static void
post_part(struct caller *caller, enum plugs_kind kind, uint64_t id, size_t size, bool last)
{
	static const uint8_t data[40000];
	struct plugs_message msg = {.kind = kind, .id = id, .last = last};

	msg.more = !last;
	msg.method = (struct plugs_bytes){(const uint8_t *)"mirror", 6};
	msg.payload = (struct plugs_bytes){data, size};
	caller_post(caller, &msg);
}

static void
test_unfinished_requests_of_a_caller_are_limited(void **state)
{
	struct caller *caller = caller_of(state);
	struct peer_answer answer;

	for (uint64_t id = 1; id <= 3; id++) { /* the limit of one is 100,000 */
		post_part(caller, PLUGS_CALL, ++caller->last_id, 40000, false);
		post_part(caller, PLUGS_CHUNK, id, 40000, false);
	}
	caller_expect(caller, 3, PLUG_EOVERLOADED,
		      "long requests of this caller hold 160000 bytes already, expected at most "
		      "200000");
	post_part(caller, PLUGS_CHUNK, 3, 40000, true); /* was on its way */
	for (uint64_t id = 1; id <= 2; id++) {
		post_part(caller, PLUGS_CHUNK, id, 20000, true);
		answer = caller_answer(caller, id);
		assert_int_equal(answer.outcome, PLUG_OK);
		assert_int_equal(answer.size, 100000);
		peer_answer_free(&answer);
	}
	for (int i = 0; i < 20; i++) {
		post_part(caller, PLUGS_CALL, ++caller->last_id, 40000, false);
		post_part(caller, PLUGS_CHUNK, caller->last_id, 40000, true);
		answer = caller_answer(caller, caller->last_id);
		assert_int_equal(answer.size, 80000);
		peer_answer_free(&answer);
	}
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define CASE(name, start) cmocka_unit_test_setup_teardown(name, start, end)
		CASE(test_the_window_holds_a_stream_until_credit_comes, start_small_limits),
		CASE(test_a_stream_held_by_its_window_can_be_ended, start_small_limits),
		CASE(test_a_cancelled_long_reply_is_ended_only_after_the_cancel,
		     start_small_limits),
		CASE(test_replies_that_find_no_room_come_later_and_in_order, start_one_worker),
		CASE(test_backpressure_holds_and_lets_go, start_default),
		CASE(test_a_caller_that_reads_slowly_gets_everything, start_many_workers),
		CASE(test_a_handler_that_waits_for_room_has_its_deadline, start_many_workers),
		CASE(test_a_caller_that_never_reads_is_given_up, start_default),
		CASE(test_a_caller_that_waits_for_room_is_woken, start_default),
		CASE(test_unfinished_requests_of_a_caller_are_limited, start_small_limits),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("sdk_plugin_flow", tests, NULL, NULL);
}
