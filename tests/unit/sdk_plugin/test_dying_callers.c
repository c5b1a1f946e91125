/* Who dies hangs up on its callers. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "dying.h"
#include "dying_support.h"

typedef void secret(int wake_fd);

static void
watched(int wake_fd)
{
	plugp_dying_watch(wake_fd);
	abort();
}

static void
watched_after_others(int wake_fd)
{
	plugp_dying_watch(wake_fd + 1000);
	plugp_dying_watch(wake_fd + 1001);
	plugp_dying_forget(wake_fd + 1000);
	plugp_dying_watch(wake_fd);
	abort();
}

static void
forgotten(int wake_fd)
{
	plugp_dying_watch(wake_fd);
	plugp_dying_forget(wake_fd);
	abort();
}

static void
killed(int wake_fd)
{
	plugp_dying_watch(wake_fd);
	kill(getpid(), SIGKILL);
}

static void
of_a_parent(int wake_fd)
{
	plugp_dying_watch(wake_fd);
	if (fork() == 0)
		abort();
	wait(NULL);
}

/* Is a caller's wake socket hung up on?  We hold its other end as well, so it is not the kernel
 * that does it when the process is gone. */
static bool
hangs_up(secret *does)
{
	int broker[2], wake[2];
	uint8_t byte;
	bool ended;
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, broker), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, wake), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		become_ordinary();
		plugp_dying_init(broker[1]);
		does(wake[1]);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	ended = recv(wake[0], &byte, 1, MSG_DONTWAIT) == 0;
	for (int i = 0; i < 2; i++) {
		close(broker[i]);
		close(wake[i]);
	}
	return ended;
}

static void
test_callers_are_hung_up_on(void **state)
{
	(void)state;
	assert_true(hangs_up(watched));
	assert_true(hangs_up(watched_after_others));
	assert_false(hangs_up(forgotten));
	assert_false(hangs_up(killed));
	assert_false(hangs_up(of_a_parent));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_callers_are_hung_up_on),
	};

	return cmocka_run_group_tests_name("dying callers", tests, NULL, NULL);
}
