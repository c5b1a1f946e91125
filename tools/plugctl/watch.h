/* A verb again and again, as a picture that changes: --watch. */
#ifndef PLUGCTL_WATCH_H
#define PLUGCTL_WATCH_H

#include "verb.h"

#define WATCH_OPTION                                                                          \
	{                                                                                     \
		"watch", 'w', "[SECONDS]", "again every 2 s, or so often, until interrupted", \
			COMPLETE_NOTHING, ARGS_MAYBE_DURATION                                 \
	}

/*
 * Run the verb until a signal or a failure ends it: 0 or its exit status.  On a terminal each
 * picture takes the place of the one before, no longer than the screen; else they follow each
 * other, parted by an empty line, with --json a document a line.
 */
int watch_run(struct ctl *ctl, const struct args *args);

#endif
