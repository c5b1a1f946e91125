/*
 * plugd itself: makes everything, runs the loop, takes everything apart.
 *
 * One thread, one loop.  All state of plugd is reached from `struct daemon`.
 */
#ifndef PLUGD_DAEMON_H
#define PLUGD_DAEMON_H

#include "config.h"
#include "os/guardian.h"

/*
 * Run until told to stop.  Takes `settings`.  The runtime directory, the door and the plugins are
 * opened here; every refusal is logged with its reason.  Returns the exit status: 0 after an
 * orderly stop, 1 when it could not start.
 */
int daemon_run(const struct options *options, struct settings *settings,
	       const struct guardian *guardian);

#endif
