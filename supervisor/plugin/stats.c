#include "plugin/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

void
stats_fini(struct stats *stats)
{
	for (size_t i = 0; i < stats->method_count; i++)
		free(stats->methods[i]);
	stats->method_count = 0;
}

static struct stats_method *
method_of(struct stats *stats, const char *name)
{
	struct stats_method *method;

	for (size_t i = 0; i < stats->method_count; i++)
		if (!strcmp(stats->methods[i]->name, name))
			return stats->methods[i];
	if (stats->method_count == STATS_METHODS)
		return NULL;
	method = calloc(1, sizeof(*method));
	if (!method)
		return NULL;
	snprintf(method->name, sizeof(method->name), "%s", name);
	return stats->methods[stats->method_count++] = method;
}

/* The two bits below the highest one choose the quarter of the doubling. */
static unsigned
bucket_of(uint64_t us)
{
	unsigned high, bucket;

	if (us < 4)
		return (unsigned)us;
	high = 63 - (unsigned)__builtin_clzll(us);
	bucket = (high - 1) * 4 + (unsigned)(us >> (high - 2) & 3);
	return bucket < STATS_BUCKETS ? bucket : STATS_BUCKETS - 1;
}

/* The middle of what falls into the bucket: at most an eighth away from all of it. */
static uint64_t
bucket_middle_us(unsigned bucket)
{
	uint64_t width;

	if (bucket < 4)
		return bucket;
	width = (uint64_t)1 << (bucket / 4 - 1);
	return (4 + bucket % 4) * width + width / 2;
}

uint64_t
stats_bucket_end_us(unsigned bucket)
{
	if (bucket == STATS_BUCKETS - 1)
		return UINT64_MAX / 1000; /* it has no end */
	if (bucket < 4)
		return bucket + 1;
	return (5 + bucket % 4) * ((uint64_t)1 << (bucket / 4 - 1));
}

static void
count_in_method(struct stats_method *method, plug_err outcome, uint64_t took_us)
{
	method->calls++;
	method->ok += outcome == PLUG_OK;
	method->timeouts += outcome == PLUG_ETIMEOUT;
	method->cancelled += outcome == PLUG_ECANCELLED;
	method->gone += outcome == PLUG_EGONE;
	method->errors += outcome != PLUG_OK;
	if (took_us > method->max_us)
		method->max_us = took_us;
	method->sum_us += took_us;
	method->buckets[bucket_of(took_us)]++;
}

void
stats_count(struct stats *stats, const char *name, plug_err outcome, uint64_t took_us,
	    const char *message)
{
	/* A name that no plugin has must not take a place: whoever calls it chooses it. */
	struct stats_method *method = outcome == PLUG_ENOMETHOD ? NULL : method_of(stats, name);

	stats->calls++;
	stats->ok += outcome == PLUG_OK;
	stats->errors += outcome != PLUG_OK;
	stats->last_used_ms = clock_wall_ms();
	if (outcome != PLUG_OK)
		snprintf(stats->last_error, sizeof(stats->last_error), "%s: %s: %s", name,
			 plug_err_name(outcome),
			 message && *message ? message : plug_err_text(outcome));
	if (method)
		count_in_method(method, outcome, took_us);
}

uint64_t
stats_quantile_us(const struct stats_method *method, double q)
{
	uint64_t want = (uint64_t)((double)method->calls * q), seen = 0;

	for (unsigned i = 0; i < STATS_BUCKETS - 1; i++) {
		seen += method->buckets[i];
		if (seen > want) {
			uint64_t middle = bucket_middle_us(i);

			return middle < method->max_us ? middle : method->max_us;
		}
	}
	return method->max_us; /* the last bucket has no end */
}

static unsigned
doubling_of(unsigned bucket)
{
	if (bucket < 4)
		return bucket < 3 ? bucket : 2;
	return bucket / 4 + 2;
}

_Static_assert((STATS_BUCKETS - 1) / 4 + 2 == STATS_DOUBLINGS - 1,
	       "the last bucket is in the last");

size_t
stats_doublings(const struct stats_method *method, uint64_t ret[STATS_DOUBLINGS])
{
	size_t count = 0;

	memset(ret, 0, STATS_DOUBLINGS * sizeof(*ret));
	for (unsigned i = 0; i < STATS_BUCKETS; i++) {
		ret[doubling_of(i)] += method->buckets[i];
		if (method->buckets[i])
			count = doubling_of(i) + 1;
	}
	return count;
}
