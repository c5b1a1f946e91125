/*
 * The control of paced calls: a process that is woken at the same times as their callers are and
 * calls nobody.  How late it is, is what the machine does to everybody.  Main thread only.
 */
#ifndef BENCH_PACER_H
#define BENCH_PACER_H

#include "bench.h"
#include "process.h"

#define PACER_RATES 2

/* A call, or a beat of the control, which is a call of nobody. */
struct paced_call {
	uint64_t due_ns, end_ns; /* CLOCK_MONOTONIC */
};

struct pacer_beats {
	struct paced_call *beats; /* in the order of their ends */
	size_t count;
};

struct pacer {
	pid_t pid;
	int result_fd;
};

/* One thread for each of the rates, in times a second.  Ends the process on failure. */
void pacer_start(const struct bench *bench, const double rates[PACER_RATES], struct pacer *ret);

/* End it; the beats of each of its threads, to be freed. */
void pacer_stop(struct pacer *pacer, struct pacer_beats ret[PACER_RATES]);

/* Its process: argv after "--other pacer". */
int pacer_other_main(int argc, char **argv);

#endif
