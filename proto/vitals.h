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
#define PLUG_VITALS_WORKERS 64  /* calls executing that the page can show */

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
	uint64_t reserved[7];
	struct plug_vitals_slot workers[PLUG_VITALS_WORKERS];
};

_Static_assert(sizeof(struct plug_vitals) <= PLUG_VITALS_BYTES, "the vitals fit their page");

#endif
