/* What is seen of a process told apart, and what follows by policy. */
#include <string.h>

#include "core/hang.h"
#include "support.h"

static const struct hang_policy defaults = {.grace_ms = 2000, .ping_timeout_ms = 5000};

struct look_case {
	const char *name;
	struct hang_signs signs;
	enum hang_kind kind;
};

static void
test_looks(void **state)
{
	static const struct look_case cases[] = {
		{"ticks", {true, 2999, false, 0, 'S', false}, HANG_WELL},
		{"ticks under a debugger", {true, 2999, false, 0, 't', true}, HANG_WELL},
		{"no tick", {true, 3000, false, 0, 'R', false}, HANG_SUSPECT},
		{"no tick, pinged", {true, 7999, true, 4999, 'S', false}, HANG_SUSPECT},
		{"no tick, no answer", {true, 8000, true, 5000, 'S', false}, HANG_SILENT},
		{"in the kernel", {true, 8000, true, 5000, 'D', false}, HANG_SILENT},
		{"old PING, not out", {true, 8000, false, 5000, 'S', false}, HANG_SUSPECT},
		{"stopped", {true, 3000, false, 0, 'T', false}, HANG_SUSPENDED},
		{"stopped for long", {true, 99000, true, 90000, 'T', false}, HANG_SUSPENDED},
		{"at a breakpoint", {true, 3000, false, 0, 't', true}, HANG_TRACED},
		{"stopped under strace", {true, 3000, false, 0, 'T', true}, HANG_TRACED},
		{"traced, tracer unknown", {true, 3000, false, 0, 't', false}, HANG_TRACED},
		{"slow in valgrind", {true, 90000, true, 80000, 'R', true}, HANG_TRACED},
		{"no vitals", {false, 9999, false, 0, 'S', false}, HANG_WELL},
		{"no vitals, quiet", {false, 10000, false, 0, 'S', false}, HANG_SUSPECT},
		{"no vitals, stopped", {false, 10000, false, 0, 'T', false}, HANG_SUSPENDED},
		{"no vitals, no answer", {false, 15000, true, 5000, 'S', false}, HANG_SILENT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (hang_judge(&cases[i].signs, &defaults) != cases[i].kind)
			fail_msg("%s: kind %d", cases[i].name,
				 (int)hang_judge(&cases[i].signs, &defaults));
}

struct act_case {
	const char *name;
	enum hang_kind kind;
	uint64_t kind_ms;
	bool continued;
	struct hang_policy policy;
	enum hang_action action;
};

#define TIMEOUT .ping_timeout_ms = 5000

static void
test_actions(void **state)
{
	static const struct act_case cases[] = {
		{"well", HANG_WELL, 0, false, {TIMEOUT}, HANG_LEAVE},
		{"suspect", HANG_SUSPECT, 60000, false, {TIMEOUT}, HANG_LEAVE},
		{"silent", HANG_SILENT, 0, false, {TIMEOUT}, HANG_KILL},
		{"silent, report",
		 HANG_SILENT,
		 60000,
		 false,
		 {TIMEOUT, .ping = HANG_PING_REPORT},
		 HANG_LEAVE},
		{"stopped", HANG_SUSPENDED, 0, false, {TIMEOUT}, HANG_CONTINUE},
		{"SIGCONT was sent", HANG_SUSPENDED, 4999, true, {TIMEOUT}, HANG_LEAVE},
		{"SIGCONT does not help", HANG_SUSPENDED, 5000, true, {TIMEOUT}, HANG_KILL},
		{"stopped, wait",
		 HANG_SUSPENDED,
		 3600000,
		 false,
		 {TIMEOUT, .stopped = HANG_STOPPED_WAIT},
		 HANG_LEAVE},
		{"stopped, kill, soon",
		 HANG_SUSPENDED,
		 4999,
		 false,
		 {TIMEOUT, .stopped = HANG_STOPPED_KILL},
		 HANG_LEAVE},
		{"stopped, kill",
		 HANG_SUSPENDED,
		 5000,
		 false,
		 {TIMEOUT, .stopped = HANG_STOPPED_KILL},
		 HANG_KILL},
		{"traced", HANG_TRACED, 3600000, false, {TIMEOUT}, HANG_LEAVE},
		{"traced, kill",
		 HANG_TRACED,
		 5000,
		 false,
		 {TIMEOUT, .traced = HANG_TRACED_KILL},
		 HANG_KILL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (hang_decide(cases[i].kind, cases[i].kind_ms, cases[i].continued,
				&cases[i].policy) != cases[i].action)
			fail_msg("%s", cases[i].name);
}

/* Whatever is wrong with it: what is stopped or traced is never said to be silent. */
static void
test_who_cannot_answer_is_not_silent(void **state)
{
	static const char states[] = "RSDTtZ";

	(void)state;
	for (const char *at = states; *at; at++)
		for (int bits = 0; bits < 8; bits++) {
			struct hang_signs signs = {.has_vitals = bits & 1,
						   .quiet_ms = 60000,
						   .pinged = bits & 2,
						   .pinged_ms = 60000,
						   .state = *at,
						   .traced = bits & 4};
			bool cannot = signs.traced || *at == 'T' || *at == 't';
			enum hang_kind kind = hang_judge(&signs, &defaults);

			assert_true(cannot == (kind == HANG_SUSPENDED || kind == HANG_TRACED));
		}
}

static void
test_words(void **state)
{
	(void)state;
	assert_string_equal(hang_word(HANG_WELL), "ready");
	assert_string_equal(hang_word(HANG_SUSPECT), "ready");
	assert_string_equal(hang_word(HANG_SILENT), "hung");
	assert_string_equal(hang_word(HANG_SUSPENDED), "suspended");
	assert_string_equal(hang_event(HANG_WELL), "recovered");
	assert_string_equal(hang_event(HANG_TRACED), "traced");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_looks),
		cmocka_unit_test(test_actions),
		cmocka_unit_test(test_who_cannot_answer_is_not_silent),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
