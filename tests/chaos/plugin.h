/* The plugin of the chaos suite: what it executes it records, and it can misbehave in many ways. */
#ifndef CHAOS_PLUGIN_H
#define CHAOS_PLUGIN_H

#include <plug/plugin.h>

struct chaos {
	int record_fd;
	const char *name, *observer, *start_file;
};

/* Tell the driver about a process: "up" of oneself, "stray" of one that was left. */
void chaos_tell(const struct chaos *chaos, const char *what, int64_t pid);

/* faults.c: the payload is "KEY KIND NUMBER". */
plug_err chaos_fault(struct plug_call *call, void *user);

/* honest.c does nothing; hostile.c damages this side of every channel, from the seed
 * $CHAOS_HOSTILE. */
void chaos_begin(void);

#endif
