/* Figures of one measurement, and what is said of them.  Single-threaded; nothing blocks. */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

struct samples {
	double *values;
	size_t count, capacity;
};

/* All but p50 are NAN where only the median is known. */
struct percentiles {
	double p50, p90, p99, p999;
	double spread; /* of rounds: the median of their p99 / p50 */
};

#define PERCENTILES_NONE ((struct percentiles){NAN, NAN, NAN, NAN, NAN})

/* Ends the process when memory runs out. */
void samples_add(struct samples *samples, double value);
void samples_clear(struct samples *samples); /* keeps the memory */
void samples_fini(struct samples *samples);

/* Sorts; NAN when there is none. */
double samples_quantile(struct samples *samples, double quantile);
struct percentiles samples_percentiles(struct samples *samples);

#endif
