/*
 * A line on stderr that says how far something is, for a person who waits: only on a terminal, only
 * after half a second, and gone when it ends.
 */
#ifndef PLUGCTL_PROGRESS_H
#define PLUGCTL_PROGRESS_H

#include "ctl.h"

struct progress;

/*
 * `what` is copied.  With a total a bar is drawn, of the steps of progress_step(); with a plugin,
 * its state is asked for over a connection of its own and shown (ctl says where; may be NULL).
 * NULL when nothing is to be shown: the functions below take it.
 */
struct progress *progress_begin(const char *what, uint64_t total, const struct ctl *ctl,
				const char *plugin);

/* So many of `total` are done.  Any thread. */
void progress_step(struct progress *progress, uint64_t done);

/* What it is at, shown at the end of the line; copied.  Any thread. */
void progress_say(struct progress *progress, const char *text);

/* Before anything else is printed. */
void progress_end(struct progress *progress);

#endif
