#include "samples.h"

#include <stdlib.h>

#include "bench.h"

void
samples_add(struct samples *samples, double value)
{
	if (samples->count == samples->capacity) {
		size_t capacity = samples->capacity ? 2 * samples->capacity : 1024;
		double *values = realloc(samples->values, capacity * sizeof(*values));

		if (!values)
			bench_die("out of memory");
		samples->values = values;
		samples->capacity = capacity;
	}
	samples->values[samples->count++] = value;
}

void
samples_clear(struct samples *samples)
{
	samples->count = 0;
}

void
samples_fini(struct samples *samples)
{
	free(samples->values);
	*samples = (struct samples){0};
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double
samples_quantile(struct samples *samples, double quantile)
{
	size_t at;

	if (!samples->count)
		return NAN;
	qsort(samples->values, samples->count, sizeof(*samples->values), by_value);
	at = (size_t)((double)samples->count * quantile);
	return samples->values[at < samples->count ? at : samples->count - 1];
}

struct percentiles
samples_percentiles(struct samples *samples)
{
	return (struct percentiles){
		.p50 = samples_quantile(samples, 0.50),
		.p90 = samples_quantile(samples, 0.90),
		.p99 = samples_quantile(samples, 0.99),
		.p999 = samples_quantile(samples, 0.999),
		.spread = NAN,
	};
}
