/*
 * Where a thread is when a fault signal hits it.  For a signal handler: nothing here allocates
 * or takes a lock once plugp_walk_init() has run.
 */
#ifndef PLUG_SDK_WALK_H
#define PLUG_SDK_WALK_H

#include <signal.h>

#include "trace.h"

/* Main thread, once: whatever is done by the first use only, is done now. */
void plugp_walk_init(void);

/* All but the frames. */
void plugp_walk_begin(struct plug_trace *trace, int number, const siginfo_t *info);

/*
 * The frames, from the one that `context` (of the handler) names.  A damaged stack may make it
 * fault: what has been counted until then is right.
 */
void plugp_walk(struct plug_trace *trace, const void *context);

/* Where no frame was found, since it jumped to where no code is: that address, and the place that
 * it was called from.  It may fault as well. */
void plugp_walk_jump(struct plug_trace *trace, const void *context);

#endif
