/* The wake socket when it is full, and what a caller hears that waits for room in it. */
#include <errno.h>
#include <plug/plugin.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "caller.h"
#include "cases.h"

static int
start_probe(void **state)
{
	return start_plugin_with(state, PROBE_PLUGIN, NULL, PLUG_ENV_SPIN_US "=0");
}

/* As many bytes as the socket holds; the plugin stands still meanwhile. */
static void
fill_wake_socket(struct caller *caller)
{
	while (send(caller->wake_fd, "\1", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
		;
	assert_true(errno == EAGAIN || errno == ENOBUFS);
}

/* A byte that is refused makes no edge: those that lie there have to be enough, every time. */
static void
test_a_full_wake_socket_loses_no_wake(void **state)
{
	struct peer *peer = *state;
	struct caller caller;

	caller_open(peer, &caller, 0);
	for (int i = 0; i < 20; i++) {
		uint64_t id;
		int status;

		kill(peer->pid, SIGSTOP);
		assert_int_equal(waitpid(peer->pid, &status, WUNTRACED), peer->pid);
		fill_wake_socket(&caller);
		id = caller_call_text(&caller, "spin", "0");
		kill(peer->pid, SIGCONT);
		caller_expect(&caller, id, PLUG_OK, "");
	}
	caller_close(&caller);
}

/* An arena's message needs a place in the socket: who finds none waits for room, and posts nothing
 * that would be taken. */
static void
test_an_emptied_wake_socket_is_told(void **state)
{
	struct caller caller;
	struct pollfd ready;

	caller_open(*state, &caller, 0);
	caller_expect(&caller, caller_call_text(&caller, "spin", "0"), PLUG_OK, "");
	for (int i = 0; i < 20; i++) {
		plugs_drain(caller.wake_fd, 1000, NULL, NULL, NULL);
		plugs_sleep_begin(&caller.own, PLUG_SLEEP_RECORDS | PLUG_SLEEP_ROOM);
		assert_true(plugs_wake(caller.wake_fd));
		ready = (struct pollfd){.fd = caller.wake_fd, .events = POLLIN};
		assert_int_equal(poll(&ready, 1, 5000), 1);
		plugs_sleep_end(&caller.own);
	}
	caller_close(&caller);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, start_probe, end_plugin)
		CASE(test_a_full_wake_socket_loses_no_wake),
		CASE(test_an_emptied_wake_socket_is_told),
	};

	return cmocka_run_group_tests_name("sdk_plugin_wakes", tests, NULL, NULL);
}
