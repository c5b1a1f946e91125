/*
 * plugd itself: makes everything, runs the loop, takes everything apart.
 *
 * One thread, one loop.  All state of plugd is reached from `struct daemon`.
 */
#ifndef PLUGD_DAEMON_H
#define PLUGD_DAEMON_H

#include "config.h"
#include "os/guardian.h"
#include "upgrade/handover.h"

/*
 * Run until told to stop.  Takes `settings`.  The runtime directory, the door and the plugins are
 * opened here; every refusal is logged with its reason.  Returns the exit status: 0 after an
 * orderly stop, 1 when it could not start.
 */
int daemon_run(const struct options *options, struct settings *settings,
	       const struct guardian *guardian);

/*
 * Over an upgrade in place, in the new program.  The settings in force of a state with a daemon;
 * NULL: `in` says why.  Then the whole.
 */
struct settings *daemon_saved_settings(struct state_in *in);

/* Would this program take over?  Has no effect; false: `in` says why.  Once in a process. */
bool daemon_try(const struct options *options, struct settings *settings,
		const struct guardian *guardian, struct state_in *in);

/*
 * Take over and run, as daemon_run().  When it cannot, the program that handed over is executed
 * again; without that, 1.
 */
int daemon_resume(const struct options *options, struct settings *settings,
		  const struct guardian *guardian, struct state_in *in, struct handover *handover);

#endif
