/*
 * Work that calls need not wait for: it is done in a lull, when none has been handed on for a
 * moment, or after a while all the same.
 *
 * Who is handed a call is woken on plugd's own processor, for the kernel takes it that plugd is
 * about to sleep (a synchronous wake-up of a Unix socket); work done just then keeps it waiting,
 * though another processor be idle.  And the loop's timers are of milliseconds, so that they are
 * mostly found to be over when a call has woken it.  Hence a timer descriptor.  Loop's thread only.
 */
#ifndef PLUGD_LULL_H
#define PLUGD_LULL_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

#define LULL_NS      100000u  /* without a call; one that is answered at once takes half of that */
#define LULL_MOST_NS 1000000u /* longer than this nothing waits for a lull */

struct lull_task {
	struct list node;
	uint64_t from_ns, latest_ns; /* CLOCK_MONOTONIC */
	void (*run)(struct lull_task *task);
};

struct lull {
	struct ev_loop *loop;
	int fd; /* -1: it has to do with the loop's timers */
	ev_io fd_w;
	ev_timer soon_w;
	uint64_t busy_ns;
	uint64_t armed_ns; /* what the descriptor is set to; 0: nothing */
	bool running;
	struct list tasks; /* those that wait */
};

/* Nothing fails: without a descriptor it is less exact. */
void lull_init(struct lull *lull, struct ev_loop *loop);
/* Safe on one of zeros. */
void lull_fini(struct lull *lull);

/* A call, or an answer, has just been handed on. */
void lull_busy(struct lull *lull);

void lull_task_init(struct lull_task *task, void (*run)(struct lull_task *task));

/* Run it once, from the loop, at `from_ns` at the earliest: one task in a turn of the loop, in the
 * order in which they came. */
void lull_await(struct lull *lull, struct lull_task *task, uint64_t from_ns);

/* The same for the rest of a task that has run in part: in a later turn, and by the time by which
 * the whole was to be done. */
void lull_await_rest(struct lull *lull, struct lull_task *task);

/* Safe on one that does not wait. */
void lull_cancel(struct lull_task *task);

#endif
