/* A load on a plugin as one side of a comparison.  Main thread only; every function ends the
 * process on failure, and with LOAD_DATA when a call went through plugd. */
#ifndef BENCH_LOAD_SIDE_H
#define BENCH_LOAD_SIDE_H

#include "daemon.h"
#include "load.h"

struct load_side {
	struct load *load;
	const char *what;
	struct load_result *last; /* of the last round */
};

/* BENCH_MESSAGE bytes by one caller to `plugin`.echo, and back; to be changed where it is to
 * differ. */
struct load_plan load_side_plan(struct daemon *daemon, const char *plugin, enum load_plane plane);

void load_side_open(const struct load_plan *plan, const char *what, struct load_side *ret);
void load_side_close(struct load_side *side);

/* A round: of struct side. */
void load_side_latency(void *side, size_t count, struct histogram *ret);
void load_side_rate(void *side, size_t count, struct samples *ret); /* calls a second */

/* Of the last round, as a note: processor time and copies of a call. */
void load_side_note(const struct load_side *side, char *text, size_t size);

#endif
