/* Counters and quantiles of calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/data_stats.h"
#include "plugin/stats.h"

static void
expect_within(uint64_t got, uint64_t exact)
{
	if ((double)got < (double)exact / 1.19 || (double)got > (double)exact * 1.19)
		fail_msg("%llu µs, expected %llu within 19 %%", (unsigned long long)got,
			 (unsigned long long)exact);
}

static uint64_t
linear(unsigned i)
{
	return i;
}

static uint64_t
squared(unsigned i)
{
	return (uint64_t)i * i;
}

static uint64_t
cubed(unsigned i)
{
	return (uint64_t)i * i * i / 1000;
}

static uint64_t
one_slow_of_ten(unsigned i)
{
	return i >= 900 ? 2000000 : 150;
}

/* Each distribution grows with i: the exact quantile is a call of it. */
static void
test_quantiles_of_known_distributions(void **state)
{
	static uint64_t (*const distributions[])(unsigned) = {linear, squared, cubed,
							      one_slow_of_ten};
	static const double shares[] = {0, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999};

	(void)state;
	for (size_t d = 0; d < sizeof(distributions) / sizeof(*distributions); d++) {
		struct stats stats = {0};

		for (unsigned i = 0; i < 1000; i++)
			stats_count(&stats, "m", PLUG_OK, distributions[d](i * 7 % 1000), NULL);
		for (size_t q = 0; q < sizeof(shares) / sizeof(*shares); q++)
			expect_within(stats_quantile_us(stats.methods[0], shares[q]),
				      distributions[d]((unsigned)(shares[q] * 1000)));
		assert_int_equal(stats_quantile_us(stats.methods[0], 1), distributions[d](999));
		assert_int_equal(stats.methods[0]->max_us, distributions[d](999));
		stats_fini(&stats);
	}
}

/* Around every power of two and quarter of one, up to 70 minutes, a single call is found again. */
static void
test_bucket_edges(void **state)
{
	(void)state;
	for (unsigned shift = 0; shift < 32; shift++)
		for (unsigned quarter = 4; quarter < 8; quarter++)
			for (int off = -1; off <= 1; off++) {
				uint64_t us =
					((uint64_t)quarter << shift) / 4 + (uint64_t)(off + 1);
				struct stats stats = {0};

				stats_count(&stats, "m", PLUG_OK, us, NULL);
				stats_count(&stats, "m", PLUG_OK, us + us / 2 + 2, NULL);
				expect_within(stats_quantile_us(stats.methods[0], 0.4), us);
				stats_fini(&stats);
			}
}

/* Longer than the last bucket: counted, and the maximum is exact. */
static void
test_latencies_beyond_the_buckets(void **state)
{
	struct stats stats = {0};

	(void)state;
	stats_count(&stats, "m", PLUG_OK, UINT64_MAX, NULL);
	stats_count(&stats, "m", PLUG_OK, 1ull << 40, NULL);
	stats_count(&stats, "m", PLUG_OK, 0, NULL);
	assert_int_equal(stats.methods[0]->buckets[STATS_BUCKETS - 1], 2);
	assert_int_equal(stats.methods[0]->buckets[0], 1);
	assert_true(stats.methods[0]->max_us == UINT64_MAX);
	assert_int_equal(stats_quantile_us(stats.methods[0], 0), 0);
	stats_fini(&stats);
}

/* What a histogram with doubling bounds is made of. */
static void
test_doublings(void **state)
{
	static const uint64_t around[] = {0, 1, 2, 3, 4, 7, 8, 15, 63, 64, 127, 128, 1000000};
	uint64_t doublings[STATS_DOUBLINGS];
	struct stats stats = {0};
	uint64_t sum = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(around) / sizeof(*around); i++) {
		stats_count(&stats, "m", PLUG_OK, around[i], NULL);
		sum += around[i];
	}
	assert_int_equal(stats_doublings(stats.methods[0], doublings), 21);
	assert_int_equal(stats.methods[0]->sum_us, sum);
	for (unsigned i = 0; i < STATS_DOUBLINGS; i++) {
		uint64_t end = 1ull << i, expected = 0;

		for (size_t k = 0; k < sizeof(around) / sizeof(*around); k++)
			expected += around[k] < end && around[k] >= end / 2;
		assert_int_equal(doublings[i], expected);
	}
	stats_count(&stats, "m", PLUG_OK, 1ull << 40, NULL);
	assert_int_equal(stats_doublings(stats.methods[0], doublings), STATS_DOUBLINGS);
	assert_int_equal(doublings[STATS_DOUBLINGS - 1], 1);
	stats_fini(&stats);
}

static void
test_no_calls_have_no_latency(void **state)
{
	static const struct stats_method none;

	(void)state;
	assert_int_equal(stats_quantile_us(&none, 0.5), 0);
	assert_int_equal(stats_quantile_us(&none, 1), 0);
}

static void
test_outcomes_are_counted(void **state)
{
	static const plug_err outcomes[] = {PLUG_OK,    PLUG_OK,         PLUG_ETIMEOUT,
					    PLUG_EGONE, PLUG_ECANCELLED, PLUG_EPLUGIN,
					    PLUG_EGONE};
	struct stats stats = {0};
	const struct stats_method *method;

	(void)state;
	for (size_t i = 0; i < sizeof(outcomes) / sizeof(*outcomes); i++)
		stats_count(&stats, "m", outcomes[i], 5, NULL);
	method = stats.methods[0];
	assert_int_equal(stats.calls, 7);
	assert_int_equal(stats.ok, 2);
	assert_int_equal(stats.errors, 5);
	assert_int_equal(method->calls, 7);
	assert_int_equal(method->ok, 2);
	assert_int_equal(method->errors, 5);
	assert_int_equal(method->timeouts, 1);
	assert_int_equal(method->cancelled, 1);
	assert_int_equal(method->gone, 2);
	assert_true(stats.last_used_ms > 0);
	stats_fini(&stats);
}

static void
test_the_last_error_is_kept(void **state)
{
	static char long_text[1000];
	struct stats stats = {0};

	(void)state;
	stats_count(&stats, "m", PLUG_EPLUGIN, 1, "no paper");
	assert_string_equal(stats.last_error, "m: PLUG_EPLUGIN: no paper");
	stats_count(&stats, "m", PLUG_OK, 1, "not an error");
	assert_string_equal(stats.last_error, "m: PLUG_EPLUGIN: no paper");
	stats_count(&stats, "m", PLUG_ETIMEOUT, 1, NULL);
	assert_string_equal(stats.last_error, "m: PLUG_ETIMEOUT: deadline passed");
	stats_count(&stats, "m", PLUG_ETIMEOUT, 1, "");
	assert_string_equal(stats.last_error, "m: PLUG_ETIMEOUT: deadline passed");
	memset(long_text, 'x', sizeof(long_text) - 1);
	stats_count(&stats, "m", PLUG_EPLUGIN, 1, long_text);
	assert_int_equal(strlen(stats.last_error), sizeof(stats.last_error) - 1);
	stats_fini(&stats);
}

static void
test_the_65th_method_counts_in_the_totals(void **state)
{
	struct stats stats = {0};
	char name[16];

	(void)state;
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < STATS_METHODS + 1; i++) {
			snprintf(name, sizeof(name), "m%d", i);
			stats_count(&stats, name, PLUG_OK, 1, NULL);
		}
	assert_int_equal(stats.method_count, STATS_METHODS);
	assert_int_equal(stats.calls, 2 * (STATS_METHODS + 1));
	for (int i = 0; i < STATS_METHODS; i++) {
		snprintf(name, sizeof(name), "m%d", i);
		assert_string_equal(stats.methods[i]->name, name);
		assert_int_equal(stats.methods[i]->calls, 2);
	}
	stats_fini(&stats);
	assert_int_equal(stats.method_count, 0);
}

/* Names that no plugin has are chosen by callers: they take no place. */
static void
test_unknown_methods_take_no_place(void **state)
{
	struct stats stats = {0};
	char name[16];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "no%d", i);
		stats_count(&stats, name, PLUG_ENOMETHOD, 1, NULL);
	}
	assert_int_equal(stats.method_count, 0);
	assert_int_equal(stats.errors, 1000);
	stats_count(&stats, "m", PLUG_OK, 1, NULL);
	assert_int_equal(stats.method_count, 1);
	stats_fini(&stats);
}

/* ---- calls through channels, as the vitals say ---- */

static void
test_the_data_plane_of_several_processes(void **state)
{
	struct plug_vitals one = {.channel_calls = 10, .channel_ok = 6, .channel_errors = 3},
			   two = {.channel_calls = 5,
				  .channel_ok = 5,
				  .channel_cancelled = 2,
				  .tensor_faults = 4};
	struct data_stats stats = {0};

	(void)state;
	data_stats_add(&stats, &one);
	data_stats_add(&stats, &two);
	assert_int_equal(stats.calls, 15);
	assert_int_equal(stats.ok, 11);
	assert_int_equal(stats.errors, 3);
	assert_int_equal(stats.cancelled, 2);
	assert_int_equal(stats.tensor_faults, 4);
	assert_int_equal(data_stats_in_flight(&stats), 1);
	stats.ok = UINT64_MAX; /* the plugin's word may be anything */
	stats.errors = 1;
	assert_int_equal(data_stats_in_flight(&stats), 15);
	stats.errors = 0;
	assert_int_equal(data_stats_in_flight(&stats), 0);
}

static void
test_quantiles_of_handlers(void **state)
{
	struct data_stats stats = {0};
	const double all[] = {0., 0.5, 0.9, 0.99, 1.};

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(data_stats_quantile_ns(&stats, all[i]), 0);
	stats.took[0] = 90;
	stats.took[3] = 9;
	stats.took[PLUG_VITALS_TOOK - 1] = 1;
	assert_int_equal(data_stats_quantile_ns(&stats, 0.5), PLUG_VITALS_TOOK_NS);
	assert_int_equal(data_stats_quantile_ns(&stats, 0.9), PLUG_VITALS_TOOK_NS << 3);
	assert_int_equal(data_stats_quantile_ns(&stats, 0.98), PLUG_VITALS_TOOK_NS << 3);
	assert_int_equal(data_stats_quantile_ns(&stats, 1.),
			 (uint64_t)PLUG_VITALS_TOOK_NS << (PLUG_VITALS_TOOK - 1));
}

/* The interval that a call is counted in ends above the time it took, and not at twice of it. */
static void
test_ends_of_buckets(void **state)
{
	(void)state;
	for (unsigned i = 1; i < STATS_BUCKETS; i++)
		assert_true(stats_bucket_end_us(i) > stats_bucket_end_us(i - 1));
	for (uint64_t us = 1; us < (uint64_t)1 << 30; us += us / 7 + 1) {
		struct stats stats = {0};
		unsigned bucket = 0;

		stats_count(&stats, "m", PLUG_OK, us, NULL);
		while (!stats.methods[0]->buckets[bucket])
			bucket++;
		assert_true(us < stats_bucket_end_us(bucket));
		assert_true(bucket == 0 || us >= stats_bucket_end_us(bucket - 1));
		assert_true(stats_bucket_end_us(bucket) <= us + us / 4 + 1);
		stats_fini(&stats);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends_of_buckets),
		cmocka_unit_test(test_quantiles_of_known_distributions),
		cmocka_unit_test(test_bucket_edges),
		cmocka_unit_test(test_latencies_beyond_the_buckets),
		cmocka_unit_test(test_doublings),
		cmocka_unit_test(test_no_calls_have_no_latency),
		cmocka_unit_test(test_outcomes_are_counted),
		cmocka_unit_test(test_the_last_error_is_kept),
		cmocka_unit_test(test_the_65th_method_counts_in_the_totals),
		cmocka_unit_test(test_unknown_methods_take_no_place),
		cmocka_unit_test(test_the_data_plane_of_several_processes),
		cmocka_unit_test(test_quantiles_of_handlers),
	};

	return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
