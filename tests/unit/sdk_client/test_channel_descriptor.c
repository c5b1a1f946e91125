/* What the event loop's descriptor tells of channels, and what it does not. */
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "loop.h"
#include "partner.h"

/* ---- an answer that is faster than the caller ---- */

static _Thread_local bool slow; /* this thread stands still when it looks at the clock ... */
static atomic_bool replied;     /* ... until the answer is in the ring, or it has not called yet */

int
clock_gettime(clockid_t clock, struct timespec *ret)
{
	for (int i = 0; slow && i < 200 && !atomic_load(&replied); i++)
		usleep(1000);
	return (int)syscall(SYS_clock_gettime, clock, ret);
}

static void
answers_at_once(struct peer *peer)
{
	struct partner partner;
	const uint8_t *body;
	size_t size;
	uint64_t id;

	partner_open(peer, &partner);
	while (plugs_peek(&partner.taker, &body, &size) == PLUG_EAGAIN)
		usleep(100); /* awake: it needs no waking */
	id = partner_expect(&partner, PLUGS_CALL).id;
	partner_reply(&partner, id, "fast");
	atomic_store(&replied, true);
	partner_await_end(&partner);
	partner_end(&partner);
}

/* Nobody was asleep when it was posted, so nobody was woken. */
static void
test_an_answer_from_before_the_descriptor_is_told(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	struct outcome outcome = {.done = 0};
	struct plug_client *client;
	struct pollfd ready;
	struct peer peer;

	(void)state;
	peer_start(&peer, answers_at_once, NULL);
	client = peer_client(&peer);
	partner_warm_up(client);
	slow = true;
	loop_send_call(client, &request, &outcome);
	slow = false;
	ready = (struct pollfd){.fd = plug_client_fd(client), .events = POLLIN};
	assert_int_equal(poll(&ready, 1, 5000), 1);
	assert_int_equal(plug_client_dispatch(client), PLUG_OK);
	assert_int_equal(outcome.done, 1);
	plug_client_close(client);
	peer_stop(&peer);
}

/* ---- a program that has forked ---- */

static void
moves(struct peer *peer)
{
	struct partner partner;
	uint64_t id;

	partner_open(peer, &partner);
	id = partner_expect(&partner, PLUGS_CALL).id;
	partner_set_status(&partner, PLUG_STATUS_MOVED);
	partner_set_closed_at(&partner, 2);
	partner_reply(&partner, id, "the last");
	partner_await_close(&partner);
	partner_end(&partner);
	partner_await_end(&partner);
}

static pid_t
fork_and_hold(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (pid == 0)
		pause();
	return pid;
}

/* Turns of a loop that only waits, in 300 ms. */
static unsigned
turns(struct plug_client *client)
{
	unsigned count = 0;

	for (uint64_t end = now_ms() + 300; now_ms() < end; count++) {
		struct pollfd ready = {.fd = plug_client_fd(client), .events = POLLIN};

		poll(&ready, 1, 50);
		plug_client_dispatch(client);
	}
	return count;
}

static void
test_a_closed_channel_that_a_child_holds_is_not_told(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	struct outcome outcome = {.done = 0};
	struct plug_client *client;
	struct peer peer;
	unsigned count;
	pid_t child;

	(void)state;
	peer_start(&peer, moves, NULL);
	client = peer_client(&peer);
	partner_warm_up(client);
	assert_true(plug_client_fd(client) >= 0);
	child = fork_and_hold();
	loop_send_call(client, &request, &outcome);
	loop_until(client, &outcome.done, 1);
	for (int i = 0; i < 20 && partner_stats(client).channels_open; i++)
		turns(client);
	count = turns(client);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_int_equal(partner_stats(client).channels_open, 0);
	assert_in_range(count, 1, 50);
	plug_client_close(client);
	peer_stop(&peer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_answer_from_before_the_descriptor_is_told),
		cmocka_unit_test(test_a_closed_channel_that_a_child_holds_is_not_told),
	};

	return cmocka_run_group_tests_name("client_channel_descriptor", tests, NULL, NULL);
}
