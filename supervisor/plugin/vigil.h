/*
 * For a moment after a failover the loop looks for what comes without going to sleep: to be woken
 * up again for the spare's answer would take longer than the spare.  Other processes get the
 * processor in between, and what is not needed for that answer is done when it is over.  Loop's
 * thread only.
 */
#ifndef PLUGD_VIGIL_H
#define PLUGD_VIGIL_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

/* To be done once, afterwards; `run` has to free it. */
struct vigil_task {
	struct list node;
	void (*run)(struct vigil_task *task);
};

struct vigil {
	struct ev_loop *loop; /* NULL: it never stays awake, as where there is one processor */
	ev_idle idle_w;
	ev_timer end_w;
	uint64_t began_ns;
	struct list tasks;
};

void vigil_init(struct vigil *vigil, struct ev_loop *loop);

/* Begin, or go on for as long again; it ends all the same when it has lasted for five times as
 * long. */
void vigil_keep(struct vigil *vigil);

bool vigil_is_kept(const struct vigil *vigil);

/* When it is over; now, if there is none. */
void vigil_do_after(struct vigil *vigil, struct vigil_task *task);

/* It is over now. */
void vigil_end(struct vigil *vigil);

#endif
