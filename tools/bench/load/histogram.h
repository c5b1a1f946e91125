/*
 * Counts of latencies in cells that grow with the value, so that a quantile is within 0.4 % of the
 * truth however wide they lie apart, in a fixed amount of memory.  One thread each; merged
 * afterwards.
 */
#ifndef LOAD_HISTOGRAM_H
#define LOAD_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BITS  7 /* a power of two is parted into 2^7 cells */
#define HISTOGRAM_CELLS ((64 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS)

/* Zeroed is empty. */
struct histogram {
	uint64_t cells[HISTOGRAM_CELLS];
	uint64_t count, min, max; /* min and max are exact; 0 when empty */
	double sum;
};

/* Values below 2^(BITS + 1) have a cell each. */
static inline unsigned
histogram_cell(uint64_t value)
{
	unsigned shift = value >> (HISTOGRAM_BITS + 1)
				 ? 63 - (unsigned)__builtin_clzll(value) - HISTOGRAM_BITS
				 : 0;

	return (shift << HISTOGRAM_BITS) + (unsigned)(value >> shift);
}

static inline void
histogram_add(struct histogram *histogram, uint64_t value)
{
	if (!histogram->count++ || value < histogram->min)
		histogram->min = value;
	if (value > histogram->max)
		histogram->max = value;
	histogram->sum += (double)value;
	histogram->cells[histogram_cell(value)]++;
}

void histogram_merge(struct histogram *histogram, const struct histogram *from);

/* The smallest value that a share of `quantile` (0 … 1) of all does not exceed; NAN when empty. */
double histogram_quantile(const struct histogram *histogram, double quantile);

double histogram_mean(const struct histogram *histogram); /* NAN when empty */

#endif
