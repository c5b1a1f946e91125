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

/* Hold it, if the process that its client believes dead still seems to take calls.  False: it goes
 * on.  It is none of limits.queue_calls: it was somewhere else already, and may not be refused. */
bool held_take(struct relay *relay);

/* A process of the plugin takes no calls any more: route those that were held for that. */
void held_release(struct plugin *plugin);

/* How many there are. */
unsigned held_count(const struct plugin *plugin);

/* Its timer has fired.  True: the process lives on after all, and the call was routed; it keeps its
 * deadline.  False: it was not held, or its deadline has passed. */
bool held_too_long(struct relay *relay);

#endif
