/*
 * Processes that died, waiting to be reaped.
 *
 * The last thread of a process announces its end before the kernel has taken its entries out of
 * /proc, and waitid() spins until they are gone: for 4 to 16 ms, measured, where both share a busy
 * processor.  That must not stand between a crash and the next process, nor hold up the loop, so a
 * crashed process is reaped GRAVE_MS later.  Its pid stays its own until then.  Loop's thread only.
 */
#ifndef PLUGD_GRAVES_H
#define PLUGD_GRAVES_H

#include <ev.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/list.h"

#define GRAVE_MS 100

struct graves {
	struct ev_loop *loop;
	struct list list;
};

void graves_init(struct graves *graves, struct ev_loop *loop);
void graves_fini(struct graves *graves); /* reaps what is left */

/* Takes pidfd.  The process has ended. */
void graves_add(struct graves *graves, pid_t pid, int pidfd);

bool graves_has(const struct graves *graves, pid_t pid);

#endif
