/* When a dead plugin is started again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/backoff.h"

static const struct death clean = {.clean = true}, crash = {.clean = false},
			  declared = {.declared = true},
			  declared_clean = {.clean = true, .declared = true};

static void
test_policy_by_death(void **state)
{
	static const struct {
		enum restart_policy policy;
		const struct death *death;
		enum slot_event decision;
	} cases[] = {
		{RESTART_ALWAYS, &clean, SE_GONE_RETRY},
		{RESTART_ALWAYS, &crash, SE_GONE_RETRY},
		{RESTART_ALWAYS, &declared, SE_GONE_FAILED},
		{RESTART_ALWAYS, &declared_clean, SE_GONE_FAILED},
		{RESTART_ON_FAILURE, &clean, SE_GONE_DONE},
		{RESTART_ON_FAILURE, &crash, SE_GONE_RETRY},
		{RESTART_ON_FAILURE, &declared, SE_GONE_FAILED},
		{RESTART_ON_FAILURE, &declared_clean, SE_GONE_FAILED},
		{RESTART_NEVER, &clean, SE_GONE_DONE},
		{RESTART_NEVER, &crash, SE_GONE_DONE},
		{RESTART_NEVER, &declared, SE_GONE_FAILED},
		{RESTART_NEVER, &declared_clean, SE_GONE_FAILED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct backoff backoff = {.max_failures = 5};
		enum slot_event decision =
			backoff_decide(&backoff, cases[i].policy, cases[i].death);

		if (decision != cases[i].decision)
			fail_msg("case %zu: %s, expected %s", i, lc_slot_event_name(decision),
				 lc_slot_event_name(cases[i].decision));
		assert_int_equal(backoff.failures, decision == SE_GONE_RETRY);
	}
}

static void
test_the_last_allowed_failure_quarantines(void **state)
{
	(void)state;
	for (uint32_t limit = 1; limit <= 6; limit++) {
		struct backoff backoff = {.max_failures = limit};

		for (uint32_t i = 1; i < limit; i++)
			assert_int_equal(backoff_decide(&backoff, RESTART_ALWAYS, &crash),
					 SE_GONE_RETRY);
		assert_int_equal(backoff_decide(&backoff, RESTART_ALWAYS, &crash), SE_GONE_EXCESS);
		assert_int_equal(backoff.failures, limit);
	}
}

static void
test_without_a_limit_it_is_always_tried_again(void **state)
{
	struct backoff backoff = {.max_failures = 0};

	(void)state;
	for (int i = 0; i < 10000; i++)
		assert_int_equal(backoff_decide(&backoff, RESTART_ALWAYS, &crash), SE_GONE_RETRY);
	assert_int_equal(backoff.failures, 10000);
	backoff.failures = UINT32_MAX;
	assert_int_equal(backoff_decide(&backoff, RESTART_ALWAYS, &crash), SE_GONE_RETRY);
	assert_true(backoff.failures == UINT32_MAX);
}

/* A stable minute forgives what was before it; this death itself counts. */
static void
test_a_stable_minute_forgives(void **state)
{
	static const struct {
		uint64_t ready_ms;
		uint32_t failures;
	} cases[] = {
		{0, 4},
		{BACKOFF_STABLE_MS - 1, 4},
		{BACKOFF_STABLE_MS, 1},
		{UINT64_MAX, 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct backoff backoff = {.max_failures = 5, .failures = 3};
		struct death death = {.ready_ms = cases[i].ready_ms};

		assert_int_equal(backoff_decide(&backoff, RESTART_ALWAYS, &death), SE_GONE_RETRY);
		assert_int_equal(backoff.failures, cases[i].failures);
	}
}

static void
test_a_death_that_ends_it_counts_nothing(void **state)
{
	struct backoff backoff = {.max_failures = 5, .failures = 3};

	(void)state;
	backoff_decide(&backoff, RESTART_ALWAYS, &declared);
	backoff_decide(&backoff, RESTART_ON_FAILURE, &clean);
	backoff_decide(&backoff, RESTART_NEVER, &crash);
	assert_int_equal(backoff.failures, 3);
}

static void
test_pauses_double_up_to_the_cap(void **state)
{
	static const struct {
		uint64_t min_ms, max_ms;
		uint32_t failures;
		uint64_t pause_ms; /* with nothing taken away */
	} cases[] = {
		{100, 30000, 0, 100},
		{100, 30000, 1, 100},
		{100, 30000, 2, 200},
		{100, 30000, 3, 400},
		{100, 30000, 9, 25600},
		{100, 30000, 10, 30000},
		{100, 30000, UINT32_MAX, 30000},
		{0, 30000, 1, 0},
		{0, 30000, 100, 0},
		{0, 0, 5, 0},
		{500, 100, 1, 100},
		{500, 100, 7, 100},
		{1, UINT64_MAX, 64, 1ull << 63},
		{1, UINT64_MAX, 65, UINT64_MAX},
		{UINT64_MAX, UINT64_MAX, 3, UINT64_MAX},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct backoff backoff = {.min_ms = cases[i].min_ms,
					  .max_ms = cases[i].max_ms,
					  .failures = cases[i].failures};
		uint64_t pause = backoff_pause_ms(&backoff, 0);

		if (pause != cases[i].pause_ms)
			fail_msg("case %zu: %llu ms, expected %llu", i, (unsigned long long)pause,
				 (unsigned long long)cases[i].pause_ms);
	}
}

/* At most a quarter is taken away, evenly, whatever the random number. */
static void
test_jitter_takes_up_to_a_quarter(void **state)
{
	static const uint32_t randoms[] = {0, 1, 1u << 16, 1u << 31, UINT32_MAX - 1, UINT32_MAX};

	(void)state;
	for (uint32_t failures = 0; failures < 80; failures++) {
		struct backoff backoff = {.min_ms = 7, .max_ms = 300000, .failures = failures};
		uint64_t whole = backoff_pause_ms(&backoff, 0), last = whole;

		for (size_t i = 0; i < sizeof(randoms) / sizeof(*randoms); i++) {
			uint64_t pause = backoff_pause_ms(&backoff, randoms[i]);

			assert_true(pause <= last && pause >= whole - whole / 4);
			last = pause;
		}
	}
	assert_int_equal(
		backoff_pause_ms(&(struct backoff){.min_ms = 1000, .max_ms = 1000}, 1u << 31), 875);
	assert_in_range(
		backoff_pause_ms(&(struct backoff){.min_ms = 1000, .max_ms = 1000}, UINT32_MAX),
		750, 751);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_policy_by_death),
		cmocka_unit_test(test_the_last_allowed_failure_quarantines),
		cmocka_unit_test(test_without_a_limit_it_is_always_tried_again),
		cmocka_unit_test(test_a_stable_minute_forgives),
		cmocka_unit_test(test_a_death_that_ends_it_counts_nothing),
		cmocka_unit_test(test_pauses_double_up_to_the_cap),
		cmocka_unit_test(test_jitter_takes_up_to_a_quarter),
	};

	return cmocka_run_group_tests_name("backoff", tests, NULL, NULL);
}
