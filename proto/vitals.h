/*
 * The vitals page: what an instance says of itself without a message.
 *
 * plugd makes it (a memfd of PLUG_VITALS_BYTES, sealed against shrinking and growing) and hands it
 * to the instance, which maps it read-write and is its only writer.  plugd reads it with pread(),
 * never maps it, and believes it only as the plugin's word.  Every field is a 64-bit little-endian
 * word, written with one relaxed atomic store, so a reader sees no torn value; different fields may
 * be of different instants.
 *
 * A plugin that does not map it leaves `magic` 0 and is watched by PING instead.
 */
#ifndef PLUG_VITALS_H
#define PLUG_VITALS_H

#include <stdint.h>

#define PLUG_VITALS_BYTES   4096
#define PLUG_VITALS_MAGIC   0x31534c4154495650ull /* "PVITALS1" */
#define PLUG_VITALS_TICK_MS 500 /* at most so long between two ticks of a live process */
#define PLUG_VITALS_TOOK    32  /* buckets of the histogram */
#define PLUG_VITALS_TOOK_NS                                                                      \
	128                    /* the first ends here, each other at twice its predecessor's end \
				*/
#define PLUG_VITALS_WORKERS 64 /* calls executing that the page can show */

/* A call that a worker is executing; id is 0 when the worker is idle. */
struct plug_vitals_slot {
	uint64_t id;
	uint64_t since_ns; /* CLOCK_MONOTONIC */
};

struct plug_vitals {
	uint64_t magic;
	uint64_t ticks;      /* grows by one every tick of the SDK's own thread */
	uint64_t tick_ns;    /* CLOCK_MONOTONIC of the last tick */
	uint64_t in_flight;  /* calls accepted and not answered */
	uint64_t calls;      /* calls accepted */
	uint64_t replies_ok; /* calls answered with PLUG_OK */
	uint64_t replies_error;
	uint64_t cancelled;
	uint64_t resumes; /* connections resumed */
	/* Calls that came on channels; they are not among those above.  In flight are channel_calls
	 * - channel_ok - channel_errors; what was just answered may be counted a moment later. */
	uint64_t channels;       /* open now */
	uint64_t channel_calls;  /* taken */
	uint64_t channel_ok;     /* answered with PLUG_OK */
	uint64_t channel_errors; /* answered otherwise, or nobody was left to be answered */
	uint64_t channel_cancelled;
	uint64_t violations;    /* channels closed because the caller broke the rules */
	uint64_t tensor_faults; /* tensors of callers that were wrong, and releases of what was not
				   lent */
	/* Calls of both kinds.  One of a channel has plugd's number of the channel in the upper
	 * half of its id and the caller's number in the lower; its time may be some milliseconds
	 * early. */
	struct plug_vitals_slot workers[PLUG_VITALS_WORKERS];
	/* How many of the channels' calls had a handler that took less than PLUG_VITALS_TOOK_NS <<
	 * i, and not less than half of it; the last one has all longer ones.  Of quick methods one
	 * call in 16 is timed and counts 16 times. */
	uint64_t channel_took[PLUG_VITALS_TOOK];
	/* 1: no Call is taken any more on any channel (DRAIN), so channel_calls stands still. */
	uint64_t channels_closed;
	/* Of the calls in `workers`: when they have to be answered (CLOCK_MONOTONIC); 0: no limit.
	 */
	uint64_t worker_deadline_ns[PLUG_VITALS_WORKERS];
	uint64_t workers_most; /* handlers that can run at once; 0: not told */
};

_Static_assert(sizeof(struct plug_vitals) <= PLUG_VITALS_BYTES, "the vitals fit their page");

#endif
