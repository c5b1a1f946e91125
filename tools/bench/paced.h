/*
 * Calls over both planes at fixed rates while something is done to plugd or the plugin, with a
 * control beside them that is paced alike and calls nobody (pacer.h).
 *
 * Every call begins when it is due, however long those before it take, and what became of each is
 * kept, so that what happened during a window of time can be told from the rest.  Main thread only;
 * every function ends the process on failure.
 */
#ifndef BENCH_PACED_H
#define BENCH_PACED_H

#include <pthread.h>
#include <stdatomic.h>

#include "daemon.h"
#include "load.h"
#include "pacer.h"

#define PACED_DATA_RATE    10000. /* calls a second */
#define PACED_CONTROL_RATE 2000.
#define PACED_WINDOWS_MAX  1000

/* A plugd.yaml under which a call is not refused because the machine stood still for a while. */
#define PACED_CONFIG "limits: { calls_per_client: 8192, queue_calls: 16384 }\n"

enum paced_plane_name { PACED_DATA, PACED_CONTROL, PACED_PLANES };

struct paced_plane {
	pthread_t thread;
	struct load *load;
	struct load_result *result;
	struct paced_call *calls; /* that were answered with PLUG_OK, in the order of their ends */
	_Atomic size_t count;
	plug_err err; /* of the round */
	char why[LOAD_WHY_BYTES];
};

struct paced_window {
	uint64_t begin_ns, end_ns;
};

/* Windows from `begin` up to before `end`, each with the time since the one before. */
struct paced_part {
	size_t begin, end;
};

/* From when each call was due to its answer, in nanoseconds: of those that were under way in a
 * window, and of the others. */
struct paced_halves {
	struct histogram within, without;
};

struct paced {
	struct paced_plane planes[PACED_PLANES];
	struct pacer pacer;
	struct pacer_beats beats[PACED_PLANES]; /* of the control */
	struct histogram late[PACED_PLANES];    /* how late they were, in nanoseconds */
	struct paced_window windows[PACED_WINDOWS_MAX];
	size_t window_count;
};

/* Connect to `plugin`.echo, and start to call it; returns when calls are answered on both planes.
 */
void paced_start(struct daemon *daemon, const char *plugin, struct paced *ret);

/* No more calls; returns when the last one has ended. */
void paced_stop(struct paced *paced);

void paced_close(struct paced *paced);

/* Returns when both planes have answered a call that was due at this time (bench_now_ns()) or
 * later: on a machine that has too much to do they may be far behind. */
void paced_await(struct paced *paced, uint64_t due_ns);

/* What is of interest is being done from one to the other. */
void paced_window_begin(struct paced *paced);
void paced_window_end(struct paced *paced);

/* ---- after paced_stop() ---- */

/* Calls that ended otherwise than with their answer, or never began.  Why, of the first one; "". */
uint64_t paced_lost(const struct paced *paced, enum paced_plane_name plane, const char **ret_why);

/* The longest time between two answers that follow each other, in nanoseconds. */
uint64_t paced_pause_ns(const struct paced *paced, enum paced_plane_name plane);

/* The calls of a part; the same of the control's beats, which had to call nobody.  There is a
 * window. */
void paced_split(const struct paced *paced, enum paced_plane_name plane,
		 const struct paced_part *part, struct paced_halves *ret);
void paced_split_beats(const struct paced *paced, enum paced_plane_name plane,
		       const struct paced_part *part, struct paced_halves *ret);

/* ---- rows of it: paced_rows.c ---- */

/* The calls that were lost, and how much later the latest call of each plane was than the latest of
 * the control.  `doing`: "100 reloads". */
void paced_add_lost(const struct paced *paced, const struct bench *bench, const char *name,
		    const char *doing);
void paced_add_latest(const struct paced *paced, const struct bench *bench, const char *name,
		      const char *doing, double reach_ms);

/* The latency of a plane within the windows beside that between them. */
void paced_add_latency(const struct paced *paced, const struct bench *bench, const char *name,
		       const char *doing, enum paced_plane_name plane);

/* Its 99.9th percentile alone, in rounds of as many windows each: the medians of the rounds', and
 * the median of their ratios, which may be at most `reach`: if each has a thousand calls in its
 * windows. */
void paced_add_tail(const struct paced *paced, const struct bench *bench, const char *name,
		    const char *doing, enum paced_plane_name plane, unsigned rounds, double reach);

#endif
