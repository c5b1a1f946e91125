/*
 * The control of paced calls: a process that is woken at the same times as their callers are and
 * calls nobody.  How late it is, is what the machine does to everybody.  Main thread only.
 */
#ifndef BENCH_PACER_H
#define BENCH_PACER_H

#include "bench.h"
#include "process.h"

#define PACER_RATES 2

struct pacer {
	pid_t pid;
	int result_fd;
};

/* One thread for each of the rates, in times a second.  Ends the process on failure. */
void pacer_start(const struct bench *bench, const double rates[PACER_RATES], struct pacer *ret);

/* End it; how late each of its threads was, in nanoseconds, from when it was due. */
void pacer_stop(struct pacer *pacer, struct histogram ret[PACER_RATES]);

/* Its process: argv after "--other pacer". */
int pacer_other_main(int argc, char **argv);

#endif
