#include "histogram.h"

#include <math.h>

void
histogram_merge(struct histogram *histogram, const struct histogram *from)
{
	if (!from->count)
		return;
	for (unsigned i = 0; i < HISTOGRAM_CELLS; i++)
		histogram->cells[i] += from->cells[i];
	if (!histogram->count || from->min < histogram->min)
		histogram->min = from->min;
	if (from->max > histogram->max)
		histogram->max = from->max;
	histogram->count += from->count;
	histogram->sum += from->sum;
}

/* The middle of a cell. */
static double
cell_value(unsigned cell)
{
	unsigned shift = cell >> (HISTOGRAM_BITS + 1) ? (cell >> HISTOGRAM_BITS) - 1 : 0;
	double width = (double)(1ull << shift);

	return (cell - (shift << HISTOGRAM_BITS)) * width + (width - 1.) / 2.;
}

static double
within(const struct histogram *histogram, double value)
{
	if (value < (double)histogram->min)
		return (double)histogram->min;
	return value > (double)histogram->max ? (double)histogram->max : value;
}

double
histogram_quantile(const struct histogram *histogram, double quantile)
{
	double rank = ceil(quantile * (double)histogram->count);
	uint64_t wanted = rank > 1. ? (uint64_t)rank : 1, seen = 0;

	if (!histogram->count)
		return NAN;
	if (wanted >= histogram->count)
		return (double)histogram->max;
	for (unsigned i = 0; i < HISTOGRAM_CELLS; i++) {
		seen += histogram->cells[i];
		if (seen >= wanted)
			return within(histogram, cell_value(i));
	}
	return (double)histogram->max;
}

double
histogram_mean(const struct histogram *histogram)
{
	return histogram->count ? histogram->sum / (double)histogram->count : NAN;
}
