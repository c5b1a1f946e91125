/*
 * Calls whose client saw a process's end before plugd did.
 *
 * The end of a process shows on its sockets a moment before the kernel says so on its pidfd.  A
 * call of a channel that ended comes here then, and must not go to the same process once more: it
 * is held until plugd knows of that process, too.
 */
#ifndef PLUGD_HELD_H
#define PLUGD_HELD_H

#include "serve/relay.h"

/* Hold it, if the process that its client believes dead may still seem to take calls.  False: it
 * goes on. */
bool held_take(struct relay *relay);

/* Route those of which it is known now. */
void held_release(struct plugin *plugin);

/* Its timer has fired.  True: the process lives on after all, and the call was routed; it keeps its
 * deadline.  False: it was not held, or its deadline has passed. */
bool held_too_long(struct relay *relay);

#endif
