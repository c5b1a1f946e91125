/*
 * What the rows of the data plane share: a plugd with three plugins that echo, one whose waits spin
 * as they are shipped to do, one that spins for longer and one that never spins, and the floors.
 *
 * How long a process spins depends on how many processors it may use when it begins, so all start
 * with both and are pinned afterwards, as an operator's taskset on a running process would.
 */
#ifndef BENCH_PLANE_SITE_H
#define BENCH_PLANE_SITE_H

#include "floor.h"
#include "load_side.h"

#define PLANE_RUNNING    "running-000"
#define PLANE_SLEEPING   "sleeping-000"
#define PLANE_PATIENT    "patient-000"

#define PLANE_PATIENT_US 1000 /* that this one spins; the caller's side is the plan's */

struct plane_site {
	const struct bench *bench;
	struct daemon daemon;
	struct floor floor;
};

/* Main thread; end the process on failure. */
void plane_site_open(const struct bench *bench, const char *name, struct plane_site *ret);
void plane_site_close(struct plane_site *site);

/* Handles are opened between these two. */
void plane_site_unpin(struct plane_site *site);
void plane_site_pin(struct plane_site *site);

/* A way of the floor with one size, as one side of a comparison. */
struct floor_side {
	struct floor *floor;
	enum floor_way way;
	size_t size;
};

void floor_side_latency(void *floor_side, size_t count, struct histogram *ret);

#endif
