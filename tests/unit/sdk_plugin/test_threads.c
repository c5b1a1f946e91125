/* Channels and threads: who runs a handler, whom that holds up, what it costs. */
#include <plug/plugin.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plane_fixture.h"

static void
test_handlers_run_at_once(void **state)
{
	uint64_t began = peer_now_ms();

	for (int i = 0; i < 8; i++)
		caller_call_text(caller_of(state), "block", "300000");
	for (uint64_t id = 1; id <= 8; id++)
		caller_expect(caller_of(state), id, PLUG_OK, "");
	assert_true(peer_now_ms() - began < 1500); /* one after the other: 2400 */
}

static void
wait_until_running(struct peer *peer, int expected)
{
	uint64_t until = peer_now_ms() + PEER_WAIT_MS;
	int running = 0;

	while (running != expected && peer_now_ms() < until) {
		struct plug_vitals vitals = peer_vitals(peer);

		running = 0;
		for (int i = 0; i < PLUG_VITALS_WORKERS; i++)
			running += vitals.workers[i].id != 0;
	}
	assert_int_equal(running, expected);
}

static void
test_workers_are_counted_over_both_planes(void **state)
{
	struct caller *caller = caller_of(state);
	struct peer *peer = peer_of(state);
	struct peer_answer answer;

	call_text(peer, 1, "wait", "");
	caller_call_text(caller, "wait", "");
	wait_until_running(peer, 2);
	caller_call_text(caller, "mirror", "x"); /* waits for a worker */
	call_text(peer, 2, "mirror", "y");       /* the same */
	assert_pong(peer, 1000);
	assert_false(caller_answered(caller, 2, 100, &answer));
	assert_null(peer_poll(peer, PLUG__ENVELOPE__BODY_REPLY, 0, 0));
	peer_cancel(peer, 1);
	assert_answer(peer, 1, PLUG_ECANCELLED, "cancelled");
	caller_expect(caller, 2, PLUG_OK, "x");
	assert_answer(peer, 2, PLUG_OK, "y");
	caller_cancel(caller, 1);
	caller_expect(caller, 1, PLUG_ECANCELLED, "cancelled");
}

/* The plane's holder keeps a place among the running: it must not keep it from others. */
static void
test_one_worker_serves_both_planes(void **state)
{
	struct caller *caller = caller_of(state);
	struct peer *peer = peer_of(state);

	for (uint64_t i = 1; i <= 300; i++) {
		uint64_t id = caller_call_text(caller, "mirror", "x");

		call_text(peer, i, "mirror", "y");
		caller_expect(caller, id, PLUG_OK, "x");
		assert_answer(peer, i, PLUG_OK, "y");
	}
}

static void
warm_up(struct caller *caller, const char *method, const char *text)
{
	for (int i = 0; i < 300; i++)
		caller_expect(caller, caller_call_text(caller, method, text), PLUG_OK, "");
}

static void
test_a_quick_method_that_turns_slow_holds_up_nobody(void **state)
{
	struct caller *caller = caller_of(state), other;

	caller_open(peer_of(state), &other, 0);
	for (int round = 0; round < 3; round++) {
		uint64_t slow, began;

		warm_up(caller, "block", "0");
		slow = caller_call_text(caller, "block", "2000000");
		began = peer_now_ms();
		expect_call(caller, "mirror", "x", PLUG_OK, "x");
		expect_call(&other, "mirror", "x", PLUG_OK, "x");
		assert_pong(peer_of(state), 1500);
		assert_true(peer_now_ms() - began < 1700);
		caller_expect(caller, slow, PLUG_OK, "");
	}
	caller_close(&other);
}

static int
thread_of(struct caller *caller, uint64_t id)
{
	struct peer_answer answer = caller_answer(caller, id);
	int thread;

	assert_int_equal(answer.outcome, PLUG_OK);
	thread = atoi((const char *)answer.data);
	peer_answer_free(&answer);
	return thread;
}

#define WHOSE_US "70" /* longer than a handler may hold up others, however fast the machine */
#define LUCK_MS  60000

/* Of 40 calls, how many one thread ran without another's coming between. */
static int
longest_run(struct caller *caller)
{
	int last = 0, run = 0, longest = 0;

	for (int i = 0; i < 40; i++) {
		int thread = thread_of(caller, caller_call_text(caller, "whose", WHOSE_US));

		run = thread == last ? run + 1 : 1;
		last = thread;
		longest = run > longest ? run : longest;
	}
	return longest;
}

/* A handler that takes longer than it may hold others up, when there are no others: no thread is
 * woken to look for their calls, which would run the next one.  On a busy machine the watcher may
 * come between. */
static void
test_a_lone_caller_keeps_its_thread(void **state)
{
	uint64_t until = peer_now_ms() + LUCK_MS;

	while (longest_run(caller_of(state)) < 8)
		assert_true(peer_now_ms() < until);
}

/* Others come: from then on their calls are run beside it again. */
static void
test_a_lone_caller_that_gets_company_shares(void **state)
{
	struct caller *caller = caller_of(state), other;
	bool together = true;

	test_a_lone_caller_keeps_its_thread(state);
	caller_open(peer_of(state), &other, 0);
	for (int i = 0; i < 200 && together; i++) {
		uint64_t first = caller_call_text(caller, "whose", WHOSE_US),
			 second = caller_call_text(&other, "whose", WHOSE_US);

		together = thread_of(caller, first) == thread_of(&other, second);
	}
	assert_false(together);
	caller_close(&other);
}

static void
test_a_quick_method_that_waits_in_the_sdk_holds_up_nobody(void **state)
{
	struct caller *caller = caller_of(state);
	uint64_t slow, began;

	warm_up(caller, "nap", "0");
	slow = caller_call_text(caller, "nap", "3000");
	began = peer_now_ms();
	expect_call(caller, "mirror", "x", PLUG_OK, "x");
	assert_true(peer_now_ms() - began < 2000);
	caller_cancel(caller, slow);
	caller_expect(caller, slow, PLUG_ECANCELLED, "cancelled");
}

static void
test_calls_beyond_the_workers_wait_their_turn(void **state)
{
	for (int i = 0; i < 20; i++)
		caller_call_text(caller_of(state), "block", "20000");
	for (uint64_t id = 1; id <= 20; id++)
		caller_expect(caller_of(state), id, PLUG_OK, "");
}

static void
test_more_calls_than_the_limit_are_refused(void **state)
{
	struct caller *caller = caller_of(state);

	for (int i = 0; i < 4; i++)
		caller_call_text(caller, "wait", "");
	expect_call(caller, "mirror", "", PLUG_EOVERLOADED,
		    "4 calls are in flight, as many as the limit");
	for (uint64_t id = 1; id <= 4; id++) {
		caller_cancel(caller, id);
		caller_expect(caller, id, PLUG_ECANCELLED, "cancelled");
	}
	expect_call(caller, "mirror", "x", PLUG_OK, "x");
}

static bool
sleeps_on(const struct caller *caller)
{
	return __atomic_load_n(&caller->other.head->sleeping, __ATOMIC_SEQ_CST) &
	       PLUG_SLEEP_RECORDS;
}

/* Stop the plugin while it sleeps on both, so that it hears of both at once. */
static void
stop_asleep(pid_t pid, const struct caller *one, const struct caller *other)
{
	while (true) {
		kill(pid, SIGSTOP);
		assert_int_equal(waitpid(pid, NULL, WUNTRACED), pid);
		if (sleeps_on(one) && sleeps_on(other))
			return;
		kill(pid, SIGCONT);
		usleep(1000);
	}
}

/* One caller has 200 calls waiting, yet the other's do not wait for those. */
static void
test_channels_are_served_in_turn(void **state)
{
	struct caller *busy = caller_of(state), other;
	struct peer_answer answer;
	long last = 0;

	caller_open(peer_of(state), &other, 0);
	expect_call(&other, "ticket", "", PLUG_OK, "1");
	stop_asleep(peer_of(state)->pid, busy, &other);
	for (int i = 0; i < 200; i++)
		caller_call_text(busy, "ticket", "");
	for (int i = 0; i < 10; i++)
		caller_call_text(&other, "ticket", "");
	kill(peer_of(state)->pid, SIGCONT);
	for (uint64_t id = 2; id <= 11; id++) {
		answer = caller_answer(&other, id);
		last = strtol((char *)answer.data, NULL, 10);
		peer_answer_free(&answer);
	}
	assert_in_range(last, 10, 80);
	for (uint64_t id = 1; id <= 200; id++) {
		answer = caller_answer(busy, id);
		peer_answer_free(&answer);
	}
	caller_close(&other);
}

/* A channel that was used a moment ago is not looked at for ever because another one is busy. */
static void
test_an_idle_channel_falls_asleep_beside_a_busy_one(void **state)
{
	struct caller *busy = caller_of(state), other;
	uint64_t until = peer_now_ms() + PEER_WAIT_MS;
	const uint32_t *sleeping;
	struct caller_message *one;
	unsigned backlog = 0;

	caller_open(peer_of(state), &other, 0);
	sleeping = &other.other.head->sleeping;
	warm_up(busy, "spin", "1");
	for (int round = 0; round < 3; round++) {
		expect_call(&other, "spin", "1", PLUG_OK, "");
		while (!__atomic_load_n(sleeping, __ATOMIC_SEQ_CST) && peer_now_ms() < until) {
			for (; backlog < 200; backlog++)
				caller_call_text(busy, "spin", "1");
			for (; (one = caller_poll(busy, PLUGS_REPLY, 0, 0)) != NULL; backlog--)
				free(one);
		}
		assert_int_equal(__atomic_load_n(sleeping, __ATOMIC_SEQ_CST), PLUG_SLEEP_RECORDS);
	}
	for (; backlog && (one = caller_poll(busy, PLUGS_REPLY, 0, PEER_WAIT_MS)); backlog--)
		free(one);
	expect_call(&other, "spin", "1", PLUG_OK, "");
	caller_close(&other);
}

static uint64_t
cpu_ms(pid_t pid)
{
	unsigned long user, system;
	char path[64], text[1024], *at;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	assert_non_null(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	at = strrchr(text, ')');
	assert_int_equal(
		sscanf(at, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system),
		2);
	return (user + system) * 1000 / (unsigned long)sysconf(_SC_CLK_TCK);
}

static void
test_an_idle_plane_costs_nothing(void **state)
{
	struct caller others[20];
	uint64_t before;

	for (int i = 0; i < 20; i++) {
		caller_open(peer_of(state), &others[i], PLUG_REGION_BYTES_MIN);
		expect_call(&others[i], "mirror", "x", PLUG_OK, "x");
	}
	usleep(50000);
	before = cpu_ms(peer_of(state)->pid);
	usleep(1000000);
	assert_true(cpu_ms(peer_of(state)->pid) - before <= 20);
	for (int i = 0; i < 20; i++) {
		expect_call(&others[i], "mirror", "x", PLUG_OK, "x");
		caller_close(&others[i]);
	}
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define CASE(name, start) cmocka_unit_test_setup_teardown(name, start, end)
		CASE(test_handlers_run_at_once, start_default),
		CASE(test_workers_are_counted_over_both_planes, start_two_workers),
		CASE(test_one_worker_serves_both_planes, start_one_worker),
		CASE(test_a_quick_method_that_turns_slow_holds_up_nobody, start_default),
		CASE(test_a_lone_caller_keeps_its_thread, start_default),
		CASE(test_a_lone_caller_that_gets_company_shares, start_default),
		CASE(test_a_quick_method_that_waits_in_the_sdk_holds_up_nobody, start_default),
		CASE(test_calls_beyond_the_workers_wait_their_turn, start_two_workers),
		CASE(test_more_calls_than_the_limit_are_refused, start_small_limits),
		CASE(test_channels_are_served_in_turn, start_default),
		CASE(test_an_idle_channel_falls_asleep_beside_a_busy_one, start_default),
		CASE(test_an_idle_plane_costs_nothing, start_default),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("sdk_plugin_threads", tests, NULL, NULL);
}
