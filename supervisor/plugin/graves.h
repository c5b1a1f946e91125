/*
 * Processes that died, waiting to be reaped.
 *
 * The last thread of a process announces its end before the kernel has taken its entries out of
 * /proc, and waitid() spins until they are gone: for 4 to 16 ms, measured, where both share a busy
 * processor.  That must not stand between a crash and the next process, nor hold up the calls of
 * others, so a process is reaped GRAVE_MS after its end, whether it was asked to end or not.  Its
 * pid stays its own until then.
 *
 * Then what it left behind is looked for once more: one of its processes that was in the middle of
 * an execve() when it ended had no environment to be known by.  Loop's thread only.
 */
#ifndef PLUGD_GRAVES_H
#define PLUGD_GRAVES_H

#include <ev.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/list.h"
#include "os/tree.h"
#include "wire.h"

#define GRAVE_MS 100

struct graves {
	struct ev_loop *loop;
	struct list list;
};

void graves_init(struct graves *graves, struct ev_loop *loop);
void graves_fini(struct graves *graves); /* reaps what is left */

/* Takes pidfd.  The process has ended; `token` is in the environment of what it started.  `graves`
 * is a struct host's. */
void graves_add(struct graves *graves, pid_t pid, int pidfd, const uint8_t token[PLUG_TOKEN_BYTES]);

/* Was it left over by the process `pid` that had this token: is it still in its session, or has the
 * token in its environment? */
bool graves_left_by(const struct stranger *stranger, pid_t pid,
		    const uint8_t token[PLUG_TOKEN_BYTES]);

bool graves_has(const struct graves *graves, pid_t pid);

#endif
