/*
 * Load on one method of one plugin: callers that call as fast as they are answered, or at a fixed
 * rate, and what that took.
 *
 * A caller is a thread.  It makes blocking calls on a handle that it may share with others, or it
 * keeps `in_flight` calls under way on a handle of its own, as an event loop would.  With a rate
 * every call has a time at which it is due, and its latency counts from then, so that calls which
 * had to wait for a slow one before them are not left out.
 *
 * One thread uses a struct load; load_round() blocks until the round is over.
 */
#ifndef LOAD_LOAD_H
#define LOAD_LOAD_H

#include <plug/client.h>
#include <stdbool.h>
#include <sys/types.h>

#include "histogram.h"
#include "load_plane.h"

#define LOAD_CALLERS_MAX   1024
#define LOAD_IN_FLIGHT_MAX 65536 /* of all callers together */
#define LOAD_OUTCOMES      64    /* plug_err numbers counted one by one; larger ones in the last */
#define LOAD_WHY_BYTES     512

/* Strings and payload are the caller's, and outlive the load. */
struct load_plan {
	const char *runtime_dir; /* as in struct plug_client_config */
	const char *plugin, *method;
	struct plug_payload payload;
	uint64_t tensor_bytes; /* each request has a tensor of so many bytes; 0: none */
	bool touch; /* fill it before the call and read the reply's first one after; blocking calls
		     */
	uint64_t timeout_ms; /* of a call; 0: the method's own */
	enum load_plane plane;
	int64_t spin_us; /* longest spin of this side; -1: as $PLUG_SPIN_US says */

	unsigned callers;
	unsigned in_flight;   /* of each caller; 0: blocking calls, one at a time */
	unsigned handles;     /* that blocking callers share; 0: one */
	double rate;          /* calls a second of all callers together; 0: as fast as they go */
	uint64_t warm_up_ns;  /* before each round; what happens then is not counted */
	uint64_t duration_ns; /* of a round, unless count is given */
	uint64_t count;       /* calls of a round, of all callers together; 0: duration_ns */
	bool check_size;      /* a reply of another size than the request, or another tensor, ends
			       * the round */
	pid_t plugin_pid, plugd_pid; /* whose processor time is counted; 0: nobody's */

	/* Of every call that counts and has ended, on its caller's thread; may be NULL.  start_ns:
	 * when it was sent or, with a rate, due. */
	void (*on_call)(void *user, plug_err outcome, uint64_t start_ns, uint64_t end_ns);
	void *user;
};

/* Who pays with processor time. */
enum load_payer { LOAD_CALLER, LOAD_PLUGIN, LOAD_PLUGD, LOAD_SIDES };

/* Of one round. */
struct load_result {
	struct histogram latency; /* of calls that were answered with PLUG_OK, in nanoseconds */
	struct histogram late;    /* with a rate: from when a call was due to when it was sent */
	uint64_t outcomes[LOAD_OUTCOMES]; /* calls by plug_err */
	uint64_t calls;                   /* the sum of outcomes */
	uint64_t unsent; /* with a rate and a duration: due, and not sent in time */
	uint64_t elapsed_ns;
	double cpu_ns[LOAD_SIDES];   /* user and system time; NAN where it is not known */
	struct load_counters planes; /* what the handles counted meanwhile */
	plug_err failure;            /* of the first call that failed; PLUG_OK: none did */
	char failure_text[LOAD_WHY_BYTES];
};

struct load;

/* Check the plan and connect.  On failure the reason is in `why` and *ret is untouched. */
plug_err load_open(const struct load_plan *plan, struct load **ret, char why[LOAD_WHY_BYTES]);
void load_close(struct load *load);

/* Calls of the rounds to come, instead of the plan's. */
void load_set_count(struct load *load, uint64_t count);

/*
 * Warm up, then load.  Calls that fail are counted, and the round goes on, unless no call could
 * succeed: then, and when what the plan asks for cannot be measured, it returns the reason.
 * *ret is 60 KiB and more: not for the stack of a thread.
 */
plug_err load_round(struct load *load, struct load_result *ret, char why[LOAD_WHY_BYTES]);

/* No further call of the round under way begins; what was due before this is sent all the same.
 * Any thread.  Nothing when none is under way. */
void load_end_round(struct load *load);

double load_calls_per_s(const struct load_result *result); /* that succeeded; NAN: no time passed */

#endif
