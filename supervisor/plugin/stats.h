/* Counters and latencies of a plugin's calls through plugd, by method.  Loop's thread only. */
#ifndef PLUGD_STATS_H
#define PLUGD_STATS_H

#include <plug/error.h>
#include <stddef.h>
#include <stdint.h>

#define STATS_METHODS 64 /* further ones are counted in the totals only */

/*
 * Logarithmic buckets, four to a doubling, from 1 µs to about 70 minutes: a quantile is right
 * within 19 %.
 */
#define STATS_BUCKETS   128
#define STATS_DOUBLINGS 34

struct stats_method {
	char name[64];
	uint64_t calls, ok, errors, timeouts, cancelled, gone;
	uint64_t max_us, sum_us;
	uint32_t buckets[STATS_BUCKETS];
};

struct stats {
	uint64_t calls, ok, errors;
	uint64_t last_used_ms; /* since the epoch */
	char last_error[256];
	struct stats_method *methods[STATS_METHODS];
	size_t method_count;
};

void stats_fini(struct stats *stats);

/* A call of `method` ended. `message` of its failure may be NULL. */
void stats_count(struct stats *stats, const char *method, plug_err outcome, uint64_t took_us,
		 const char *message);

/* The latency below which the share q (0..1) of the method's calls were, in µs; 0 when there were
 * none. */
uint64_t stats_quantile_us(const struct stats_method *method, double q);

/* Where a bucket ends: what is in it took less. */
uint64_t stats_bucket_end_us(unsigned bucket);

/* The calls that took less than 2^i µs, and not less than half of that; the last one has all longer
 * ones.  Returns how many there are without the zeros at the end. */
size_t stats_doublings(const struct stats_method *method, uint64_t ret[STATS_DOUBLINGS]);

#endif
