/* Making an installed version the one that runs. */
#ifndef PLUGCTL_INSTALL_CHOOSE_H
#define PLUGCTL_INSTALL_CHOOSE_H

#include "install/tell.h"
#include "install/where.h"

struct chosen {
	char detail[1024]; /* what plugd did: "from version 1.0.0 to 1.1.0, beside …" */
	struct tell_state state;
};

/*
 * Where plugd runs the plugin it goes over to the version as in a reload, and only if that has
 * worked is the version the chosen one; otherwise what ran goes on.  Elsewhere the link is changed.
 * Gives the lock back.  CTL_DONE, or the exit status after the reason was printed.
 */
int choose_version(struct ctl *ctl, struct where *where, const char *name, const char *version,
		   struct chosen *ret);

#endif
