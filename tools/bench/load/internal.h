/* A load from inside.  Private to tools/bench/load. */
#ifndef LOAD_INTERNAL_H
#define LOAD_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "load.h"

/* A part of a round: warming up, or what counts.  No call is under way before and after it. */
struct load_span {
	uint64_t begin_ns, end_ns; /* of CLOCK_MONOTONIC; end_ns is UINT64_MAX with a quota */
	uint64_t quota;            /* calls; UINT64_MAX with an end_ns */
	double interval_ns;        /* between the calls of one caller; 0: no rate */
	double offset_ns;          /* of its first call from begin_ns */
};

/* A call that is under way. */
struct load_slot {
	struct load_caller *caller;
	struct load_slot *next; /* in caller->idle */
	uint64_t start_ns;
};

struct load_caller {
	struct load *load;
	pthread_t thread;
	unsigned index;
	struct plug_client *client;
	struct plug_request request;
	struct load_span span;
	uint64_t issued; /* calls of this span */
	bool counts;     /* it is not the warm-up's */
	struct load_result *result;
	bool hopeless; /* no further call can succeed */

	/* of plan.tensor_bytes */
	struct plug_arena *arena;
	struct plug_tensor tensor;
	uint8_t *
		own; /* what is written to the tensor, and behind it what is read; NULL: no touch */

	/* of load_call_in_flight() */
	struct load_slot *slots, *idle;
	unsigned under_way;
	uint64_t answered;
};

/* Callers arrive, the round opens it for all of them. */
struct load_gate {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	unsigned arrived;
	enum { GATE_SHUT, GATE_OPEN, GATE_HOME } state;
};

struct load {
	struct load_plan plan;
	struct load_caller *callers;
	struct plug_client **handles;
	unsigned handle_count;
	struct load_gate gate;
	uint64_t begin_ns;       /* of what counts */
	_Atomic uint64_t end_ns; /* when the round was ended; UINT64_MAX: it was not */
};

static inline uint64_t
load_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- caller.c ---- */

/* When the caller's next call is due; 0: at once. */
uint64_t load_due_ns(const struct load_caller *caller);

/* When its span ends, or was ended. */
uint64_t load_end_ns(const struct load_caller *caller);

/* May it make another call at now_ns? */
bool load_more(const struct load_caller *caller, uint64_t now_ns);

/* A call ended.  start_ns: when it was sent or, with a rate, due. */
void load_note(struct load_caller *caller, plug_err outcome, uint64_t start_ns, uint64_t end_ns);

/* Why one failed, before its reply is freed; text may be NULL. */
void load_note_failure(struct load_caller *caller, plug_err outcome, const char *text);

/* Check what came back; PLUG_EPROTO when the plan does not allow it. */
plug_err load_check_reply(struct load_caller *caller, const struct plug_reply *reply);

void load_sleep_until(uint64_t ns);

/* Make the calls of caller->span with blocking calls. */
void load_call_blocking(struct load_caller *caller);

/* ---- flight.c ---- */

/* The same, with plan.in_flight of them under way. */
void load_call_in_flight(struct load_caller *caller);

/* ---- tensor.c ---- */

/* Make what the plan says; nothing without tensors.  tensor_fini() whatever it returns. */
plug_err load_tensor_init(struct load_caller *caller, char why[LOAD_WHY_BYTES]);
void load_tensor_fini(struct load_caller *caller);

/* With plan.touch, else nothing. */
void load_tensor_fill(struct load_caller *caller);
void load_tensor_read(struct load_caller *caller, const struct plug_reply *reply);

/* ---- cpu.c ---- */

/* User and system time of a process so far, in nanoseconds; NAN when it is not known.  0: nobody.
 */
double load_cpu_ns(pid_t pid);
double load_cpu_self_ns(void);

#endif
