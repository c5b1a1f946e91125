/*
 * Calls that were on a channel when its process died.  plugd does not see those, so the next time
 * they go over plugd, which knows whether the process died of what it executed, and refuses what
 * two in a row died of.  One that was answered there goes over channels again.
 *
 * A request is recognised by a hash: another one that has the same takes the longer way once, and
 * nothing else comes of it.
 */
#ifndef PLUGC_WARY_H
#define PLUGC_WARY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLUGC_WARY_MAX 8                   /* of a route; the oldest gives way */
#define PLUGC_WARY_MS  (10ull * 60 * 1000) /* as long as plugd refuses */

struct plugc_call;

struct plugc_wary_of {
	uint64_t hash, size;
	uint64_t until_ns;
	uint64_t channel, number; /* where it was; 0: plugd has been told */
};

/* Of a route.  Its lock is taken last, and nothing is done under it. */
struct plugc_wary {
	pthread_mutex_t lock;
	_Atomic unsigned count; /* 0 is the rule, and all that a call looks at then */
	struct plugc_wary_of of[PLUGC_WARY_MAX];
};

void plugc_wary_init(struct plugc_wary *wary);
void plugc_wary_fini(struct plugc_wary *wary);

/* Its process died; payload and method are still there. */
void plugc_wary_add(struct plugc_wary *wary, const struct plugc_call *call, uint64_t channel,
		    uint64_t number);

/* Has the call to go over plugd?  Then it is marked, and knows what to tell plugd. */
bool plugc_wary_marks(struct plugc_wary *wary, struct plugc_call *call);

/* A call that was marked has ended. */
void plugc_wary_ended(struct plugc_call *call);

#endif
