/* The dying byte: who dies says so first, and dies as it would have. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "channel.h"
#include "dying.h"
#include "dying_support.h"
#include "trace.h"

struct last {
	int said;     /* 0: nothing */
	bool located; /* and where it was */
	struct plug_trace trace;
	uint64_t took_ns; /* from before it began until that was said */
	int status;       /* of wait() */
};

typedef void deed(int theirs);

static uint64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* What a child says on the socket, and how it ends, when it has done this. */
static struct last
last_when(deed *does, bool heard)
{
	struct last last = {.took_ns = now_ns()};
	uint8_t byte = 0;
	int ends[2];
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(ends[0]);
		become_ordinary();
		does(ends[1]);
		_exit(0);
	}
	close(ends[1]);
	if (recv(ends[0], &byte, 1, 0) == 1) {
		last.said = byte;
		if (heard)
			shutdown(ends[0], SHUT_WR);
		last.located = recv(ends[0], &last.trace, sizeof(last.trace), MSG_TRUNC) ==
			       sizeof(last.trace);
	}
	last.took_ns = now_ns() - last.took_ns;
	assert_int_equal(recv(ends[0], &byte, 1, 0), 0); /* once each */
	assert_int_equal(waitpid(pid, &last.status, 0), pid);
	close(ends[0]);
	return last;
}

static struct last
last_of(deed *does)
{
	return last_when(does, true);
}

static void
expect(deed *does, int said, int number)
{
	struct last last = last_of(does);

	assert_int_equal(last.said, said);
	assert_int_equal(last.located, said != 0);
	assert_true(WIFSIGNALED(last.status));
	assert_int_equal(WTERMSIG(last.status), number);
}

static void
touch_nothing(int fd)
{
	volatile int *volatile nowhere = NULL; /* which the compiler must not know */

	plugp_dying_init(fd);
	*nowhere = 1;
}

static void
give_up(int fd)
{
	plugp_dying_init(fd);
	abort();
}

static void
be_sent_one(int fd)
{
	plugp_dying_init(fd);
	kill(getpid(), SIGSEGV);
	for (;;)
		pause();
}

static void
be_killed(int fd)
{
	plugp_dying_init(fd);
	kill(getpid(), SIGKILL);
}

/* The one that it forked dies; the process itself goes on. */
static void
have_a_child_that_dies(int fd)
{
	int status;
	pid_t pid;

	plugp_dying_init(fd);
	pid = fork();
	if (pid == 0)
		abort();
	waitpid(pid, &status, 0);
	_exit(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT ? 7 : 1);
}

static void
say_goodbye(int number)
{
	(void)number;
	_exit(9);
}

static void
have_a_handler(int fd)
{
	struct sigaction own = {.sa_handler = say_goodbye};

	sigaction(SIGSEGV, &own, NULL);
	plugp_dying_init(fd);
	raise(SIGSEGV);
}

static void
be_done(int fd)
{
	plugp_dying_init(fd);
	plugp_dying_fini();
	close(fd);
	abort();
}

static void
have_no_socket(int fd)
{
	(void)fd;
	plugp_dying_init(-1);
	abort();
}

/* Nobody reads, and there is no room: it does not wait. */
static void
have_a_full_socket(int fd)
{
	char packet[64] = "";

	while (send(fd, packet, sizeof(packet), MSG_DONTWAIT) > 0)
		;
	plugp_dying_init(fd);
	abort();
}

static __attribute__((noinline)) size_t
deeper(volatile size_t depth)
{
	volatile char frame[512];

	frame[0] = (char)depth;
	return depth == SIZE_MAX ? 0 : deeper(depth + 1) + (size_t)frame[0];
}

static void *
run_out_of_stack(void *arg)
{
	(void)arg;
	plugp_dying_thread_init();
	deeper(0);
	return NULL;
}

/* Of a thread that has little. */
static void
overflow(int fd)
{
	pthread_t thread;

	plugp_dying_init(fd);
	pthread_create(&thread, NULL, run_out_of_stack, NULL);
	pthread_join(thread, NULL);
}

/* To be cancelled at the next call that may be: the handler's are. */
static void *
fault_when_cancelled(void *arg)
{
	volatile int *volatile nowhere = NULL;

	pthread_cancel(pthread_self());
	*nowhere = 1;
	return arg;
}

static void
be_cancelled(int fd)
{
	pthread_t thread;

	plugp_dying_init(fd);
	pthread_create(&thread, NULL, fault_when_cancelled, NULL);
	pthread_join(thread, NULL);
}

static void
jump_to_nowhere(int fd)
{
	void (*volatile nowhere)(void) = (void (*)(void))16;

	plugp_dying_init(fd);
	nowhere();
}

/* What is above this frame is no stack: whoever walks over it faults, too. */
static __attribute__((noinline)) void
spoil_the_stack(int fd)
{
	void **frame = __builtin_frame_address(0);

	plugp_dying_init(fd);
	memset(frame, 0xa5, 64);
	abort();
}

/* A sanitizer has handlers of its own, which are left alone. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static void
test_deaths(void **state)
{
	(void)state;
	if (SANITIZED)
		skip();
	expect(touch_nothing, SIGSEGV, SIGSEGV);
	expect(give_up, SIGABRT, SIGABRT);
	expect(be_sent_one, SIGSEGV, SIGSEGV);
	expect(be_cancelled, SIGSEGV, SIGSEGV);
	expect(be_killed, 0, SIGKILL);
	expect(be_done, 0, SIGABRT);
	expect(have_no_socket, 0, SIGABRT);
}

/* Where its own code was, with the module that the offset is in. */
static bool
is_in_this_program(const struct plug_trace *trace, size_t at)
{
	char self[4096] = "";

	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	if (at >= trace->frame_count || trace->frames[at].module >= trace->module_count)
		return false;
	if (strlen(self) >= PLUG_TRACE_PATH)
		return strstr(self, trace->modules[trace->frames[at].module]);
	return !strcmp(trace->modules[trace->frames[at].module], self);
}

static void
test_where_it_was(void **state)
{
	struct last last;
	size_t at = 0;

	(void)state;
	if (SANITIZED)
		skip();
	last = last_of(touch_nothing);
	assert_true(last.trace.magic == PLUG_TRACE_MAGIC);
	assert_int_equal(last.trace.signal, SIGSEGV);
	assert_int_equal(last.trace.code, SEGV_MAPERR);
	assert_true(last.trace.address == 0);
	assert_true(last.trace.resident > 0);
	assert_true(last.trace.frame_count >= 3);
	assert_true(
		is_in_this_program(&last.trace, 0)); /* not in the handler, nor in the C library */

	last = last_of(give_up);
	assert_true(last.trace.code <= 0);
	assert_int_equal(last.trace.sender, last.trace.self);
	assert_false(is_in_this_program(&last.trace, 0));
	while (at < last.trace.frame_count && !is_in_this_program(&last.trace, at))
		at++;
	assert_true(at < last.trace.frame_count);
}

/* Until its place is taken it keeps out of the way, but not for long.  A machine may be slow: one
 * of many that are heard is not. */
static void
test_it_waits_until_it_is_heard(void **state)
{
	const uint64_t most_ns = PLUG_DYING_HEARD_MS * 1000000ull;
	struct last last;
	bool at_once = false;

	(void)state;
	if (SANITIZED)
		skip();
	last = last_when(touch_nothing, false);
	assert_int_equal(last.said, SIGSEGV);
	assert_true(last.located);
	assert_true(last.took_ns >= most_ns);
	for (int i = 0; i < 200 && !at_once; i++)
		at_once = last_when(touch_nothing, true).took_ns < most_ns;
	assert_true(at_once);
}

static void
test_what_makes_it_hard(void **state)
{
	struct last last;

	(void)state;
	if (SANITIZED)
		skip();
	last = last_of(overflow);
	assert_int_equal(last.said, SIGSEGV);
	assert_true(last.located);
	assert_int_equal(last.trace.frame_count, PLUG_TRACE_FRAMES);
	assert_int_equal(WTERMSIG(last.status), SIGSEGV);

	last = last_of(jump_to_nowhere);
	assert_true(last.located);
	assert_true(last.trace.frame_count >= 2);
	assert_int_equal(last.trace.frames[0].module, PLUG_TRACE_MODULES);
	assert_true(is_in_this_program(&last.trace, 1)); /* who called it */

	last = last_of(spoil_the_stack); /* the byte is there, and the death is its own */
	assert_int_equal(last.said, SIGABRT);
	assert_true(last.located);
	assert_int_equal(WTERMSIG(last.status), SIGABRT);
}

static void
test_what_is_others_is_left_alone(void **state)
{
	struct last last = last_of(have_a_child_that_dies);

	(void)state;
	assert_int_equal(last.said, 0);
	assert_true(WIFEXITED(last.status));
	assert_int_equal(WEXITSTATUS(last.status), 7);
	last = last_of(have_a_handler);
	assert_int_equal(last.said, 0);
	assert_true(WIFEXITED(last.status));
	assert_int_equal(WEXITSTATUS(last.status), 9);
}

static void
test_it_never_waits(void **state)
{
	int ends[2], status;
	pid_t pid;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	pid = fork();
	if (pid == 0) {
		become_ordinary();
		have_a_full_socket(ends[1]);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	close(ends[0]);
	close(ends[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deaths),
		cmocka_unit_test(test_where_it_was),
		cmocka_unit_test(test_it_waits_until_it_is_heard),
		cmocka_unit_test(test_what_makes_it_hard),
		cmocka_unit_test(test_what_is_others_is_left_alone),
		cmocka_unit_test(test_it_never_waits),
	};

	return cmocka_run_group_tests_name("dying", tests, NULL, NULL);
}
