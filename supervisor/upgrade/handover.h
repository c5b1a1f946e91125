/*
 * The execve of an upgrade, from both sides.  Main thread.
 *
 * What goes over: the process with its children and signals that are pending, the descriptors of
 * the state, the state as a sealed memfd, and the program that hands over, held open.  The new
 * program learns their numbers from the environment, which loses them at once.
 */
#ifndef PLUGD_UPGRADE_HANDOVER_H
#define PLUGD_UPGRADE_HANDOVER_H

#include <plug/error.h>
#include <stdbool.h>

#include "state/state.h"

#define HANDOVER_WHY_BYTES 1024

/* Signals that mean something to plugd wait from now on, until handover_unblock(): none is lost. */
void handover_block(void);
void handover_unblock(void);

/*
 * Execute `program_fd` in this process with the sealed state and the descriptors of `out`.  Returns
 * only when that failed, with everything as before: errno says why.
 */
void handover_execute(int program_fd, char *const *argv, int state_fd, const struct state_out *out);

struct handover {
	int state_fd, old_fd;
	char refused[HANDOVER_WHY_BYTES]; /* "": it took over; else: why the other one did not */
};

/* True in a program that was executed so.  The environment is as it was before. */
bool handover_take(struct handover *ret);

/* The state was made anew: let go of what is not needed any more. */
void handover_done(struct handover *handover);

/*
 * The state cannot be made anew: execute the one that handed over again, with the same state and
 * this reason.  Returns when that is not possible.
 */
void handover_give_back(const struct handover *handover, char *const *argv, const char *why);

#endif
