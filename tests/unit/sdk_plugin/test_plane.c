/* Calls over channels: the ways of a call, cancelling, deadlines, and what the vitals say of them.
 */
#include <plug/plugin.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "plane_fixture.h"

static void
warm_up(struct caller *caller, const char *method, const char *text)
{
	for (int i = 0; i < 300; i++)
		caller_expect(caller, caller_call_text(caller, method, text), PLUG_OK, "");
}

/* ---- the ways of a call ---- */

static void
test_a_handler_can_look_at_its_call(void **state)
{
	expect_call(caller_of(state), "about", "abc", PLUG_OK,
		    "about application/json 4294967297 3 test 7 1");
}

static void
test_payloads_of_every_size_come_back(void **state)
{
	static const size_t sizes[] = {0,    1,     2,     7,     64,     1999,   2047,  2048,
				       2049, 16384, 42000, 48000, 100000, 131072, 300000};
	struct caller *caller = caller_of(state);

	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			char *data = pattern(sizes[i]);
			struct peer_answer answer = caller_answer(
				caller, caller_call(caller, "mirror", data, sizes[i], 0));

			assert_int_equal(answer.outcome, PLUG_OK);
			assert_int_equal(answer.size, sizes[i]);
			assert_memory_equal(answer.data, data, sizes[i]);
			assert_string_equal(answer.content_type, "application/json");
			peer_answer_free(&answer);
			free(data);
		}
	}
}

static void
test_many_calls_in_flight_are_all_answered(void **state)
{
	struct caller *caller = caller_of(state);
	char text[16];

	for (int i = 1; i <= 3000; i++) {
		snprintf(text, sizeof(text), "%d", i);
		assert_int_equal(caller_call_text(caller, "mirror", text), i);
	}
	for (int i = 1; i <= 3000; i++) {
		snprintf(text, sizeof(text), "%d", i);
		caller_expect(caller, (uint64_t)i, PLUG_OK, text);
	}
}

/* Both sides sleep between any two calls. */
static void
test_no_wake_is_lost(void **state)
{
	for (int i = 0; i < 20000; i++)
		expect_call(caller_of(state), "mirror", "x", PLUG_OK, "x");
}

static void
test_failures_carry_their_text(void **state)
{
	struct caller *caller = caller_of(state);

	expect_call(caller, "odd_code", "", PLUG_EPLUGIN,
		    "odd_code returned 4711, which is no plug_err");
	expect_call(caller, "odd_piece", "", PLUG_OK, "PLUG_ESTATE");
	expect_call(caller, "twice", "", PLUG_OK, "first");
	assert_logged(peer_of(state), (1ull << 32) + 3,
		      "twice answered and then returned PLUG_EPLUGIN; the answer stands");
	assert_null(caller_poll(caller, PLUGS_REPLY, 0, 50));
}

static void
test_logs_name_the_call(void **state)
{
	expect_call(caller_of(state), "logs", "", PLUG_OK, "");
	assert_logged(peer_of(state), (1ull << 32) + 1, "about call 1");
	assert_logged(peer_of(state), 0, "loaded");
}

static void
test_an_unknown_method_is_refused(void **state)
{
	struct peer_answer answer =
		caller_answer(caller_of(state), caller_call_text(caller_of(state), "nope", ""));

	assert_int_equal(answer.outcome, PLUG_ENOMETHOD);
	assert_memory_equal(answer.message, "no method \"nope\"; there are: spin, block", 40);
	peer_answer_free(&answer);
	expect_call(caller_of(state), "mirror", "x", PLUG_OK, "x");
}

static void
test_a_call_above_the_limit_is_refused_once(void **state)
{
	struct caller *caller = caller_of(state);
	static char data[300000];

	caller_expect(caller, caller_call(caller, "about", data, sizeof(data), 0), PLUG_ETOOLARGE,
		      "the payload has more than 100000 bytes");
	expect_call(caller, "mirror", "x", PLUG_OK, "x");
	assert_null(caller_poll(caller, PLUGS_REPLY, 1, 50));
}

static void
test_a_reply_above_the_limit_becomes_a_failure(void **state)
{
	expect_call(caller_of(state), "big", "100001", PLUG_ETOOLARGE,
		    "the reply has 100001 bytes, more than 100000");
}

static void
test_a_content_type_has_a_limit(void **state)
{
	struct caller *caller = caller_of(state);
	struct plugs_message msg = {.kind = PLUGS_CALL, .id = ++caller->last_id};
	static uint8_t type[40000];

	memset(type, 'a', sizeof(type));
	msg.method = (struct plugs_bytes){(const uint8_t *)"mirror", 6};
	msg.content_type = (struct plugs_bytes){type, sizeof(type)};
	caller_post(caller, &msg);
	caller_expect(caller, msg.id, PLUG_EINVAL,
		      "the content type has 40000 bytes, expected at most 1024");
}

/* ---- cancelling and deadlines ---- */

static void
test_a_running_call_can_be_cancelled(void **state)
{
	struct caller *caller = caller_of(state);

	caller_call_text(caller, "wait", "");
	caller_call_text(caller, "nap", "10000");
	caller_cancel(caller, 1);
	caller_cancel(caller, 2);
	caller_expect(caller, 1, PLUG_ECANCELLED, "cancelled");
	caller_expect(caller, 2, PLUG_ECANCELLED, "cancelled");
	caller_cancel(caller, 1); /* answered already */
	expect_call(caller, "mirror", "x", PLUG_OK, "x");
}

static void
test_a_call_can_be_cancelled_before_it_is_started(void **state)
{
	struct caller *caller = caller_of(state);
	struct plugs_message msg = {.kind = PLUGS_CALL, .more = true};

	caller_call_text(caller, "wait", "");
	caller_call_text(caller, "wait", "");
	caller_call_text(caller, "about", ""); /* queued */
	caller_cancel(caller, 3);
	caller_expect(caller, 3, PLUG_ECANCELLED, "cancelled before it was started");
	msg.id = ++caller->last_id; /* begun */
	msg.method = (struct plugs_bytes){(const uint8_t *)"about", 5};
	caller_post(caller, &msg);
	caller_cancel(caller, msg.id);
	caller_expect(caller, msg.id, PLUG_ECANCELLED, "cancelled before it was started");
	msg.kind = PLUGS_CHUNK; /* was on its way */
	msg.last = true;
	caller_post(caller, &msg);
	caller_cancel(caller, 1);
	caller_cancel(caller, 2);
	caller_expect(caller, 1, PLUG_ECANCELLED, "cancelled");
	caller_expect(caller, 2, PLUG_ECANCELLED, "cancelled");
}

static void
test_deadlines_end_calls_wherever_they_are(void **state)
{
	struct caller *caller = caller_of(state);
	uint64_t began = peer_now_ms();

	caller_call(caller, "wait", "", 0, 30000);
	caller_expect(caller, 1, PLUG_ETIMEOUT, "deadline passed");
	caller_call(caller, "nap", "10000", 5, 150000); /* far enough to be kept coarsely */
	caller_expect(caller, 2, PLUG_ETIMEOUT, "deadline passed");
	assert_in_range(peer_now_ms() - began, 170, 1500);
	caller_call(caller, "wait", "", 0, 2000000);
	caller_call(caller, "wait", "", 0, 2000000);
	caller_call(caller, "about", "", 0, 100000); /* queued */
	caller_expect(caller, 5, PLUG_ETIMEOUT, "deadline passed before it was started");
	caller_expect(caller, 3, PLUG_ETIMEOUT, "deadline passed");
	caller_expect(caller, 4, PLUG_ETIMEOUT, "deadline passed");
}

static uint64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* The caller has been told a time, and its clock is as good as the plugin's. */
static void
test_no_deadline_passes_early(void **state)
{
	struct caller *caller = caller_of(state);

	for (uint64_t i = 0; i < 12; i++) {
		uint64_t began = now_us(), timeout_us = i % 2 ? 120000 : 30000, id;

		id = caller_call(caller, "nap", "10000", 5, timeout_us);
		caller_expect(caller, id, PLUG_ETIMEOUT, "deadline passed");
		assert_true(now_us() - began >= timeout_us);
		usleep((useconds_t)(1000 * i % 5000)); /* at another place of a tick */
	}
}

/* A reply that comes too late is no reply, even of a method that has always been quick. */
static void
test_a_quick_method_that_is_late_is_told(void **state)
{
	struct caller *caller = caller_of(state);

	warm_up(caller, "block", "0");
	caller_expect(caller, caller_call(caller, "block", "60000", 5, 30000), PLUG_ETIMEOUT,
		      "deadline passed");
	warm_up(caller, "block", "0");
	caller_expect(caller, caller_call(caller, "block", "400000", 6, 200000), PLUG_ETIMEOUT,
		      "deadline passed");
}

/* ---- vitals ---- */

static bool
any_executes(const struct plug_vitals *vitals)
{
	for (int i = 0; i < PLUG_VITALS_WORKERS; i++) {
		if (vitals->workers[i].id)
			return true;
	}
	return false;
}

/* A call is counted, and its worker idle, a moment after the answer. */
static struct plug_vitals
vitals_at_rest(struct peer *peer, unsigned errors)
{
	struct plug_vitals vitals = peer_vitals(peer);

	for (int i = 0; i < 5000 && (vitals.channel_errors < errors || any_executes(&vitals));
	     i++) {
		usleep(1000);
		vitals = peer_vitals(peer);
	}
	assert_false(any_executes(&vitals));
	return vitals;
}

static void
test_vitals_tell_of_channels(void **state)
{
	struct caller *caller = caller_of(state);
	struct plug_vitals vitals;
	uint64_t took = 0, until;
	bool seen = false;

	for (int i = 0; i < 500; i++)
		expect_call(caller, "mirror", "x", PLUG_OK, "x");
	expect_call(caller, "odd_code", "", PLUG_EPLUGIN,
		    "odd_code returned 4711, which is no plug_err");
	caller_call_text(caller, "wait", "");
	for (until = peer_now_ms() + 2000; !seen && peer_now_ms() < until;) {
		vitals = peer_vitals(peer_of(state));
		for (int i = 0; i < PLUG_VITALS_WORKERS; i++)
			seen |= vitals.workers[i].id == (1ull << 32) + 502;
	}
	assert_true(seen);
	assert_int_equal(vitals.channels, 1);
	assert_int_equal(vitals.channel_calls, 502);
	assert_int_equal(vitals.in_flight, 0);
	caller_cancel(caller, 502);
	caller_expect(caller, 502, PLUG_ECANCELLED, "cancelled");
	vitals = vitals_at_rest(peer_of(state), 2);
	assert_int_equal(vitals.channel_ok, 500);
	assert_int_equal(vitals.channel_errors, 2);
	assert_int_equal(vitals.channel_cancelled, 1);
	assert_int_equal(vitals.violations, 0);
	for (int i = 0; i < PLUG_VITALS_TOOK; i++)
		took += vitals.channel_took[i];
	assert_in_range(took, 450, 550); /* of quick ones one in 16 counts 16 times */
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define CASE(name, start) cmocka_unit_test_setup_teardown(name, start, end)
		CASE(test_a_handler_can_look_at_its_call, start_default),
		CASE(test_payloads_of_every_size_come_back, start_default),
		CASE(test_many_calls_in_flight_are_all_answered, start_default),
		CASE(test_no_wake_is_lost, start_sleeping),
		CASE(test_failures_carry_their_text, start_default),
		CASE(test_logs_name_the_call, start_default),
		CASE(test_an_unknown_method_is_refused, start_default),
		CASE(test_a_call_above_the_limit_is_refused_once, start_small_limits),
		CASE(test_a_reply_above_the_limit_becomes_a_failure, start_small_limits),
		CASE(test_a_content_type_has_a_limit, start_default),
		CASE(test_a_running_call_can_be_cancelled, start_default),
		CASE(test_a_call_can_be_cancelled_before_it_is_started, start_two_workers),
		CASE(test_deadlines_end_calls_wherever_they_are, start_two_workers),
		CASE(test_no_deadline_passes_early, start_two_workers),
		CASE(test_a_quick_method_that_is_late_is_told, start_default),
		CASE(test_vitals_tell_of_channels, start_default),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("sdk_plugin_plane", tests, NULL, NULL);
}
