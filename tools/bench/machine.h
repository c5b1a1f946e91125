/* The machine and the programs that the figures are of. */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include "bench.h"

struct machine {
	char date[16]; /* 2025-11-21 */
	char cpu[128], kernel[160], compiler[64], libraries[160], plugd[32];
	int processors;
	double load_before, load_after; /* of one minute */
};

/* All but load_after. */
void machine_describe(struct machine *ret);

double machine_load(void);

/* Wait until the processors were idle for QUIET_S, but at most QUIET_MAX_S.  false: they never
 * were.
 */
bool machine_wait_quiet(void);

#endif
