#include "os_support.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static void
test_texts(void **state)
{
	static const struct {
		struct exit_status status;
		const char *text;
		bool is_fault;
	} cases[] = {
		{{.code = 0}, "exit code 0", false},
		{{.code = 3}, "exit code 3", false},
		{{.code = 255}, "exit code 255", false},
		{{.signal = SIGSEGV, .core_dumped = true}, "killed by SIGSEGV (core dumped)", true},
		{{.signal = SIGABRT}, "killed by SIGABRT", true},
		{{.signal = SIGKILL}, "killed by SIGKILL", false},
		{{.signal = SIGTERM}, "killed by SIGTERM", false},
		{{.signal = SIGSYS}, "killed by SIGSYS", true},
	};
	char text[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_string_equal(exit_status_text(&cases[i].status, text, sizeof(text)),
				    cases[i].text);
		assert_int_equal(exit_status_is_fault(&cases[i].status), cases[i].is_fault);
	}
}

/* Every number has a name that fits, and no two the same. */
static void
test_signal_names(void **state)
{
	char names[70][SIGNAL_NAME_BYTES];

	(void)state;
	for (int i = 0; i < 70; i++) {
		signal_name(i, names[i], sizeof(names[i]));
		assert_true(strlen(names[i]) > 3 && strlen(names[i]) < SIGNAL_NAME_BYTES - 1);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(names[i], names[j]);
	}
	assert_string_equal(names[SIGSEGV], "SIGSEGV");
	assert_string_equal(names[SIGRTMIN], "SIGRTMIN");
	assert_string_equal(names[SIGRTMIN + 3], "SIGRTMIN+3");
	assert_string_equal(names[0], "signal 0");
}

static void
test_reap(void **state)
{
	static const struct {
		const char *mode, *arg;
		int code, number;
	} cases[] = {
		{"exit", "0", 0, 0},       {"exit", "42", 42, 0},    {"die", "6", 0, SIGABRT},
		{"die", "15", 0, SIGTERM}, {"die", "9", 0, SIGKILL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct exit_status peeked, status;
		struct running child;

		running_start(&child, NULL, cases[i].mode, cases[i].arg);
		assert_true(ends(child.process.pidfd));
		assert_int_equal(exit_status_peek(child.process.pid, child.process.pidfd, &peeked),
				 PLUG_OK);
		status = running_reap(&child);
		assert_int_equal(peeked.code, status.code);
		assert_int_equal(peeked.signal, status.signal);
		assert_int_equal(status.code, cases[i].code);
		assert_int_equal(status.signal, cases[i].number);
		assert_int_equal(exit_status_reap(child.process.pidfd, &status), PLUG_ESYS);
		assert_int_equal(errno, ECHILD);
		running_close(&child);
	}
}

/* A debugger's, which is told first and may take its time.  Only the process's own thread is held.
 */
static void
trace(pid_t pid, int told, int gate)
{
	char byte;

	(void)!write(told, ptrace(PTRACE_SEIZE, pid, NULL, NULL) ? "n" : "y", 1);
	(void)!read(gate, &byte, 1);
	_exit(0);
}

static void
test_what_a_debugger_holds(void **state)
{
	struct exit_status status;
	struct running child;
	int told[2], gate[2];
	char seized;
	pid_t tracer;

	(void)state;
	running_start(&child, NULL, "hang", NULL);
	assert_int_equal(pipe(told), 0);
	assert_int_equal(pipe(gate), 0);
	tracer = fork();
	if (!tracer)
		trace(child.process.pid, told[1], gate[0]);
	assert_int_equal(read(told[0], &seized, 1), 1);
	kill(child.process.pid, SIGKILL);
	assert_true(ends(child.process.pidfd));
	if (seized == 'y') {
		assert_int_equal(exit_status_reap(child.process.pidfd, &status), PLUG_EAGAIN);
		assert_int_equal(exit_status_peek(child.process.pid, child.process.pidfd, &status),
				 PLUG_OK);
		assert_int_equal(status.signal, SIGKILL);
		assert_int_equal(status.code, 0);
		assert_false(status.core_dumped);
	}
	assert_int_equal(write(gate[1], "", 1), 1);
	assert_int_equal(waitpid(tracer, NULL, 0), tracer);
	running_reap(&child);
	running_close(&child);
	for (int i = 0; i < 2; i++) {
		close(told[i]);
		close(gate[i]);
	}
	if (seized != 'y')
		skip(); /* nobody may be traced here */
}

static void
test_not_yet(void **state)
{
	struct exit_status status = {.code = 77};
	struct running child;

	(void)state;
	running_start(&child, NULL, "hang", NULL);
	assert_int_equal(exit_status_reap(child.process.pidfd, &status), PLUG_EAGAIN);
	assert_int_equal(exit_status_peek(child.process.pid, child.process.pidfd, &status),
			 PLUG_EAGAIN);
	assert_int_equal(status.code, 77);
	kill(child.process.pid, SIGKILL);
	running_reap(&child);
	running_close(&child);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_signal_names),
		cmocka_unit_test(test_reap),
		cmocka_unit_test(test_not_yet),
		cmocka_unit_test(test_what_a_debugger_holds),
	};

	return cmocka_run_group_tests(tests, become_subreaper, end_what_is_left);
}
