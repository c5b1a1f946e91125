/* What `plugctl bench` is to measure, from its command line.  Nothing here blocks or prints. */
#ifndef PLUGCTL_BENCH_PLAN_H
#define PLUGCTL_BENCH_PLAN_H

#include "args.h"
#include "load.h"

#define BENCH_LIST_MAX    16 /* values of one option */
#define BENCH_RUNS_MAX    64 /* combinations of them */
#define BENCH_SPIN_MAX_US 10000

/* The values of an option such as --size 64,4KiB. */
struct bench_list {
	uint64_t values[BENCH_LIST_MAX];
	size_t count;
};

struct bench_plan {
	struct bench_list planes, sizes, tensors, callers, in_flight,
		spins;         /* count 0: not given */
	bool sized;            /* the payload is `sizes` bytes; else one given in words */
	uint64_t largest;      /* of sizes */
	struct load_plan base; /* what all runs share */
	size_t runs;           /* combinations */
};

/*
 * From the options.  base has no payload, plugin or pids yet.  False after the reason, with what
 * was expected, was written to `why`.
 */
bool bench_plan_parse(const struct args *args, struct bench_plan *ret, char why[LOAD_WHY_BYTES]);

/* The plan of run 0 … runs - 1: the last option varies first.  Sized payloads are not set. */
struct load_plan bench_plan_run(const struct bench_plan *plan, size_t run, uint64_t *ret_size);

#endif
