/* What a dying process says of where it was, checked before anything is done with it. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/backtrace.h"

static struct plug_trace
good(void)
{
	struct plug_trace trace = {.magic = PLUG_TRACE_MAGIC,
				   .signal = SIGSEGV,
				   .code = SEGV_MAPERR,
				   .address = 16,
				   .thread_name = "plug-work",
				   .frame_count = 2,
				   .module_count = 1,
				   .frames = {{.offset = 32}, {.module = PLUG_TRACE_MODULES}},
				   .modules = {"/bin/x"}};

	return trace;
}

static void
test_a_good_one(void **state)
{
	struct plug_trace sent = good(), *got = NULL;

	(void)state;
	assert_true(backtrace_is_meant(&sent, sizeof(sent)));
	assert_true(backtrace_is_meant(&sent, sizeof(sent.magic)));
	assert_false(backtrace_is_meant(&sent, sizeof(sent.magic) - 1));
	assert_null(backtrace_take(&sent, sizeof(sent), &got));
	assert_memory_equal(got, &sent, sizeof(sent));
	free(got);
}

static void
test_bad_ones(void **state)
{
	struct plug_trace bad[6], *got;

	(void)state;
	for (size_t i = 0; i < 6; i++)
		bad[i] = good();
	bad[0].signal = SIGKILL;
	bad[1].signal = -1;
	bad[2].frame_count = PLUG_TRACE_FRAMES + 1;
	bad[3].module_count = PLUG_TRACE_MODULES + 1;
	bad[4].frames[1].module = 1;
	bad[5].frames[0].module = UINT32_MAX;
	for (size_t i = 0; i < 6; i++) {
		got = NULL;
		assert_non_null(backtrace_take(&bad[i], sizeof(bad[i]), &got));
		assert_null(got);
	}
	bad[0] = good();
	assert_non_null(backtrace_take(&bad[0], sizeof(bad[0]) - 1, &got));
	assert_non_null(backtrace_take(&bad[0], sizeof(bad[0].magic), &got));
}

/* Texts without an end, and of no script. */
static void
test_texts_are_cleaned(void **state)
{
	struct plug_trace sent = good(), *got = NULL;

	(void)state;
	memset(sent.thread_name, 0xff, sizeof(sent.thread_name));
	memset(sent.modules, 'x', sizeof(sent.modules));
	assert_null(backtrace_take(&sent, sizeof(sent), &got));
	assert_true(strlen(got->thread_name) < sizeof(got->thread_name));
	assert_null(strchr(got->thread_name, 0xff));
	for (size_t i = 0; i < PLUG_TRACE_MODULES; i++)
		assert_int_equal(strlen(got->modules[i]), PLUG_TRACE_PATH - 1);
	free(got);
}

static void
test_origins(void **state)
{
	static const struct {
		int signal, code, sender;
		const char *text;
		bool outside;
	} cases[] = {
		{SIGSEGV, SEGV_MAPERR, 0, "address 0x10 is not mapped", false},
		{SIGSEGV, SI_KERNEL, 0, "a fault of its own", false},
		{SIGABRT, SI_TKILL, 7, "raised by itself", false},
		{SIGABRT, SI_USER, 7, "raised by itself", false},
		{SIGSEGV, SI_USER, 8, "sent by process 8", true},
		{SIGSEGV, SI_QUEUE, 0, "sent by process 0", true},
		{SIGSEGV, SI_QUEUE, 7, "sent by process 7", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct plug_trace trace = good();
		char text[BACKTRACE_ORIGIN_BYTES];

		trace.signal = cases[i].signal;
		trace.code = cases[i].code;
		trace.sender = cases[i].sender;
		trace.self = 7;
		assert_string_equal(backtrace_origin(&trace, text), cases[i].text);
		assert_int_equal(backtrace_is_from_outside(&trace), cases[i].outside);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_good_one),
		cmocka_unit_test(test_bad_ones),
		cmocka_unit_test(test_texts_are_cleaned),
		cmocka_unit_test(test_origins),
	};

	return cmocka_run_group_tests_name("backtrace", tests, NULL, NULL);
}
