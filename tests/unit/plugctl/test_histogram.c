/* The load generator's histogram, against sorted values. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "histogram.h"

#define VALUES 20000

static struct histogram one, two;

static int
setup(void **state)
{
	(void)state;
	memset(&one, 0, sizeof(one));
	memset(&two, 0, sizeof(two));
	return 0;
}

static void
test_empty(void **state)
{
	(void)state;
	assert_true(isnan(histogram_quantile(&one, 0.5)));
	assert_true(isnan(histogram_mean(&one)));
	histogram_merge(&one, &two);
	assert_int_equal(one.count, 0);
}

/* Cells are in order, and none is out of the array. */
static void
test_cells_are_in_order(void **state)
{
	unsigned last = histogram_cell(0);

	(void)state;
	assert_int_equal(last, 0);
	for (uint64_t value = 1; value < 100000; value++) {
		unsigned cell = histogram_cell(value);

		assert_true(cell == last || cell == last + 1);
		last = cell;
	}
	for (unsigned bit = 17; bit < 64; bit++) {
		assert_true(histogram_cell(1ull << bit) == histogram_cell((1ull << bit) - 1) + 1);
		assert_true(histogram_cell(UINT64_MAX >> (63 - bit)) < HISTOGRAM_CELLS);
	}
	assert_int_equal(histogram_cell(UINT64_MAX), HISTOGRAM_CELLS - 1);
}

static void
test_small_values_are_exact(void **state)
{
	(void)state;
	for (uint64_t value = 0; value < 200; value++)
		histogram_add(&one, value);
	assert_true(histogram_quantile(&one, 0.) == 0.);
	assert_true(histogram_quantile(&one, 0.5) == 99.);
	assert_true(histogram_quantile(&one, 0.99) == 197.);
	assert_true(histogram_quantile(&one, 1.) == 199.);
	assert_true(histogram_mean(&one) == 99.5);
}

static int
by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Over eleven powers of ten, as far apart as latencies are. */
static uint64_t
random_value(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint64_t)pow(10., (double)(*seed >> 40) / (double)(1 << 24) * 11.);
}

static void
test_quantiles_are_within_one_percent(void **state)
{
	static const double quantiles[] = {0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1.};
	static uint64_t values[VALUES];
	uint64_t seed = 7;

	(void)state;
	for (unsigned i = 0; i < VALUES; i++) {
		values[i] = random_value(&seed);
		histogram_add(i % 3 ? &one : &two, values[i]);
	}
	qsort(values, VALUES, sizeof(values[0]), by_value);
	histogram_merge(&one, &two);
	assert_int_equal(one.count, VALUES);
	assert_int_equal(one.min, values[0]);
	assert_int_equal(one.max, values[VALUES - 1]);
	for (unsigned i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
		uint64_t rank = (uint64_t)ceil(quantiles[i] * VALUES);
		double truth = (double)values[rank - 1];
		double found = histogram_quantile(&one, quantiles[i]);

		if (fabs(found - truth) > 0.004 * truth + 0.5)
			fail_msg("quantile %g: %g is said, %g is true", quantiles[i], found, truth);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_empty, setup),
		cmocka_unit_test_setup(test_cells_are_in_order, setup),
		cmocka_unit_test_setup(test_small_values_are_exact, setup),
		cmocka_unit_test_setup(test_quantiles_are_within_one_percent, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
