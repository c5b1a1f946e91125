/* When, and whether, a dead plugin is started again.  Pure. */
#ifndef PLUGD_BACKOFF_H
#define PLUGD_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#include "core/lifecycle.h"

#define BACKOFF_STABLE_MS 60000 /* an uptime in READY that forgives earlier failures */

enum restart_policy { RESTART_ALWAYS, RESTART_ON_FAILURE, RESTART_NEVER };

struct backoff {
	uint64_t min_ms, max_ms; /* first and longest pause; min_ms 0: no pause at all */
	uint32_t max_failures;   /* in a row; 0: no limit */
	uint32_t failures;       /* in a row, without a stable minute between them */
};

/* How a process ended, as far as its restart depends on it. */
struct death {
	bool clean;        /* exit status 0 */
	bool declared;     /* it said FAILED, was refused, or could not be executed */
	uint64_t ready_ms; /* how long it was READY */
};

/*
 * Count the death and decide.  One of SE_GONE_RETRY, SE_GONE_DONE, SE_GONE_FAILED, SE_GONE_EXCESS.
 * Failures are counted in a row, not in a window of time, which slow starts would defeat.
 */
enum slot_event backoff_decide(struct backoff *backoff, enum restart_policy policy,
			       const struct death *death);

/*
 * The pause before the next start: min_ms doubled with every failure, at most max_ms, of which a
 * random quarter is taken away so that plugins that died together do not come back together.
 * `random` is any uniform 32-bit number.
 */
uint64_t backoff_pause_ms(const struct backoff *backoff, uint32_t random);

#endif
