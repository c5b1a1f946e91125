/* What becomes of channels when the plugin drains, stops, dies, or loses its broker socket. */
#include <plug/plugin.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "caller.h"
#include "cases.h"

static int
start_probe(void **state)
{
	return start_plugin(state, PROBE_PLUGIN, NULL);
}

static void
expect_call(struct caller *caller, const char *method, const char *text, uint32_t outcome,
	    const char *answer)
{
	caller_expect(caller, caller_call_text(caller, method, text), outcome, answer);
}

static void
expect_closed(struct peer *peer, uint64_t number, bool violated, const char *reason)
{
	Plug__Envelope *env = caller_closed(peer, PEER_WAIT_MS);

	assert_non_null(env);
	assert_int_equal(env->channel_closed->channel, number);
	assert_int_equal(env->channel_closed->violated, violated);
	assert_string_equal(env->channel_closed->reason, reason);
	plug_envelope_free(env);
}

static void
say_drain(struct peer *peer)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__Drain drain = PLUG__DRAIN__INIT;

	drain.timeout_ms = 5000;
	env.body_case = PLUG__ENVELOPE__BODY_DRAIN;
	env.drain = &drain;
	peer_send(peer, &env);
}

static void
assert_offer_is_refused(struct peer *peer)
{
	struct plugs_region made;
	Plug__Envelope *env;
	int fds[2], ends[2], got;

	assert_int_equal(plugs_region_make(PLUG_SIDE_CALLER, 0, PLUG_REGION_BYTES, &made, &fds[0]),
			 PLUG_OK);
	plugs_region_fini(&made);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	close(ends[0]);
	fds[1] = ends[1];
	env = caller_offer(peer, ++peer->channels, PLUG_REGION_BYTES, fds, 2, &got);
	assert_int_equal(got, -1);
	assert_int_equal(env->channel_answer->outcome, PLUG_EUNAVAILABLE);
	assert_string_equal(env->channel_answer->message,
			    "the plugin is draining and takes no channels");
	plug_envelope_free(env);
}

static uint64_t
closed_at(const struct caller *caller)
{
	return __atomic_load_n(&caller->other.head->closed_at, __ATOMIC_SEQ_CST);
}

static void
wait_until_closed(const struct caller *caller)
{
	for (uint64_t until = peer_now_ms() + PEER_WAIT_MS;
	     !closed_at(caller) && peer_now_ms() < until;)
		usleep(100);
	assert_int_not_equal(closed_at(caller), 0);
}

static void
test_drain_says_which_calls_were_not_taken(void **state)
{
	struct peer *peer = *state;
	struct plugs_message begun = {.kind = PLUGS_CALL, .more = true}, chunk;
	struct caller caller, idle;

	caller_open(peer, &idle, 0);
	caller_open(peer, &caller, 0);
	for (int i = 0; i < 100; i++)
		expect_call(&caller, "mirror", "x", PLUG_OK, "x");
	caller_call_text(&caller, "wait", "");
	begun.id = ++caller.last_id;
	begun.method = (struct plugs_bytes){(const uint8_t *)"mirror", 6};
	caller_post(&caller, &begun);
	caller_await_taken(peer, 102);
	say_drain(peer);
	wait_until_closed(&caller);
	assert_int_equal(closed_at(&caller), 103);
	assert_int_equal(closed_at(&idle), 1);
	caller_call_text(&caller, "mirror", "late");    /* not taken */
	caller_call_text(&idle, "mirror", "late, too"); /* the same */
	chunk = (struct plugs_message){.kind = PLUGS_CHUNK, .id = 102, .last = true};
	chunk.payload = (struct plugs_bytes){(const uint8_t *)"end", 3};
	caller_post(&caller, &chunk);
	caller_expect(&caller, 102, PLUG_OK, "end");
	caller_cancel(&caller, 101);
	caller_expect(&caller, 101, PLUG_ECANCELLED, "cancelled");
	assert_null(caller_poll(&caller, PLUGS_REPLY, 0, 100));
	assert_null(caller_poll(&idle, PLUGS_REPLY, 0, 0));
	assert_offer_is_refused(peer);
	assert_int_equal(peer_vitals(peer).channel_calls, 102);
	caller_close(&caller);
	expect_closed(peer, caller.number, false, "the caller left");
	caller_close(&idle);
}

static void
test_drain_wakes_a_caller_that_sleeps(void **state)
{
	struct peer *peer = *state;
	struct caller caller;
	char byte;

	caller_open(peer, &caller, 0);
	plugs_sleep_begin(&caller.own, PLUG_SLEEP_RECORDS);
	say_drain(peer);
	wait_until_closed(&caller);
	usleep(50000);
	assert_int_equal(recv(caller.wake_fd, &byte, 1, MSG_DONTWAIT), 1);
	caller_close(&caller);
}

/* While callers post as fast as they can: each call below the mark is answered, none from it on. */
static void
test_drain_under_load_loses_and_doubles_nothing(void **state)
{
	struct peer *peer = *state;
	struct caller caller;
	struct peer_answer answer;
	uint64_t mark;

	caller_open(peer, &caller, 0);
	for (int i = 0; i < 300; i++)
		expect_call(&caller, "mirror", "x", PLUG_OK, "x");
	for (int i = 0; i < 2000; i++) {
		caller_call_text(&caller, "mirror", "x");
		if (i == 700)
			say_drain(peer);
	}
	wait_until_closed(&caller);
	mark = closed_at(&caller);
	for (uint64_t id = 301; id < mark; id++) {
		answer = caller_answer(&caller, id);
		assert_int_equal(answer.outcome, PLUG_OK);
		peer_answer_free(&answer);
	}
	assert_false(caller_answered(&caller, 0, 100, &answer));
	caller_close(&caller);
}

static void
test_a_stop_waits_for_callers_to_see_it(void **state)
{
	struct peer *peer = *state;
	struct caller caller;
	uint64_t began;

	caller_open(peer, &caller, 0);
	expect_call(&caller, "mirror", "x", PLUG_OK, "x");
	caller_call_text(&caller, "wait", "");
	caller_await_taken(peer, 2);
	say_drain(peer);
	wait_until_closed(&caller);
	assert_int_equal(closed_at(&caller), 3);
	caller_call_text(&caller, "mirror", "too late");
	usleep(50000);
	began = peer_now_ms();
	peer_stop(peer);
	caller_expect(&caller, 2, PLUG_EGONE, "probe was stopped while it executed the call");
	assert_false(caller_sees_end(&caller, 100)); /* it could not know where its call is */
	caller_close(&caller);
	assert_int_equal(peer_wait(peer, 2000), 0);
	assert_true(peer_now_ms() - began < 900);
}

static int
executing(const struct peer *peer)
{
	struct plug_vitals vitals = peer_vitals(peer);
	int count = 0;

	for (int i = 0; i < PLUG_VITALS_WORKERS; i++)
		count += vitals.workers[i].id != 0;
	return count;
}

static void
test_a_stop_answers_what_waits_for_a_worker(void **state)
{
	struct peer *peer = *state;
	struct caller caller;

	caller_open(peer, &caller, 0);
	for (int i = 0; i < 8; i++)
		caller_call_text(&caller, "wait", "");
	for (int i = 0; i < 10000 && executing(peer) < 8; i++)
		usleep(1000);
	for (int i = 0; i < 5; i++)
		caller_call_text(&caller, "mirror", "x");
	caller_await_taken(peer, 13);
	peer_stop(peer);
	for (uint64_t id = 1; id <= 8; id++)
		caller_expect(&caller, id, PLUG_EGONE,
			      "probe was stopped while it executed the call");
	for (uint64_t id = 9; id <= 13; id++)
		caller_expect(&caller, id, PLUG_EUNAVAILABLE,
			      "probe is stopping and has not started the call");
	wait_until_closed(&caller);
	assert_int_equal(closed_at(&caller), 14);
	caller_close(&caller);
	assert_int_equal(peer_wait(peer, 3000), 0);
}

static void
test_a_stop_does_not_wait_for_ever(void **state)
{
	struct peer *peer = *state;
	struct caller caller;
	uint64_t began;

	caller_open(peer, &caller, 0);
	expect_call(&caller, "mirror", "x", PLUG_OK, "x");
	say_drain(peer);
	wait_until_closed(&caller);
	caller_call_text(&caller, "mirror", "too late");
	usleep(50000);
	began = peer_now_ms();
	peer_stop(peer);
	assert_int_equal(peer_wait(peer, 3000), 0);
	assert_in_range(peer_now_ms() - began, 900, 2500);
	assert_int_equal(closed_at(&caller), 2);
	caller_close(&caller);
}

/* Nobody reads closed_at for a program that does something else. */
static void
test_a_stop_does_not_wait_for_an_idle_caller(void **state)
{
	struct peer *peer = *state;
	struct caller caller;
	uint64_t began;

	caller_open(peer, &caller, 0);
	expect_call(&caller, "mirror", "x", PLUG_OK, "x");
	began = peer_now_ms();
	peer_stop(peer);
	assert_int_equal(peer_wait(peer, 3000), 0);
	assert_true(peer_now_ms() - began < 700);
	assert_int_equal(closed_at(&caller), 2);
	caller_close(&caller);
}

static void
test_a_stop_without_callers_is_quick(void **state)
{
	struct peer *peer = *state;
	struct caller caller;
	uint64_t began;

	caller_open(peer, &caller, 0);
	expect_call(&caller, "mirror", "x", PLUG_OK, "x");
	caller_close(&caller);
	began = peer_now_ms();
	peer_stop(peer);
	assert_int_equal(peer_wait(peer, 3000), 0);
	assert_true(peer_now_ms() - began < 700);
}

/* A dead plugin: its region stays readable, the wake socket tells. */
static void
test_a_caller_sees_the_plugin_die(void **state)
{
	struct peer *peer = *state;
	struct caller caller;

	caller_open(peer, &caller, 0);
	expect_call(&caller, "mirror", "x", PLUG_OK, "x");
	kill(peer->pid, SIGKILL);
	assert_true(caller_sees_end(&caller, 1000));
	assert_int_equal(closed_at(&caller), 0);
	assert_int_equal(peer_wait(peer, 1000), SIGKILL);
	caller_close(&caller);
}

static void
test_channels_outlive_the_broker_socket(void **state)
{
	struct peer *peer = *state;
	struct caller caller;

	caller_open(peer, &caller, 0);
	shutdown(peer->broker_fd, SHUT_RDWR);
	usleep(20000);
	expect_call(&caller, "mirror", "x", PLUG_OK, "x");
	call_text(peer, 1, "mirror", "y");
	assert_answer(peer, 1, PLUG_OK, "y");
	caller_close(&caller);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define CASE(name, start) cmocka_unit_test_setup_teardown(name, start, end_plugin)
		CASE(test_drain_says_which_calls_were_not_taken, start_probe),
		CASE(test_drain_wakes_a_caller_that_sleeps, start_probe),
		CASE(test_drain_under_load_loses_and_doubles_nothing, start_probe),
		CASE(test_a_stop_waits_for_callers_to_see_it, start_probe),
		CASE(test_a_stop_answers_what_waits_for_a_worker, start_probe),
		CASE(test_a_stop_does_not_wait_for_ever, start_probe),
		CASE(test_a_stop_does_not_wait_for_an_idle_caller, start_probe),
		CASE(test_a_stop_without_callers_is_quick, start_probe),
		CASE(test_a_caller_sees_the_plugin_die, start_probe),
		CASE(test_channels_outlive_the_broker_socket, start_probe),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("sdk_plugin_moving", tests, NULL, NULL);
}
