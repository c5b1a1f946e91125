/* Which way calls go, and what a handle says of it. */
#ifndef LOAD_PLANE_H
#define LOAD_PLANE_H

#include <plug/client.h>
#include <stdbool.h>

enum load_plane {
	LOAD_AUTO,    /* as the client decides */
	LOAD_CONTROL, /* through plugd only */
	LOAD_DATA,    /* a round in which any call went through plugd is refused */
};

/* From the handle's own statistics; all only grow. */
struct load_counters {
	uint64_t data_calls, control_calls;
	uint64_t copies, copied_bytes; /* of payloads, in this process */
	uint64_t wakes_sent, wakes_received;
	uint64_t spin_hits, spin_misses;
	uint64_t resent, moved, violations;
};

const char *load_plane_name(enum load_plane plane);

/* Connect so that calls go that way.  spin_us: longest spin of this side; -1: as $PLUG_SPIN_US
 * says.  Changes the environment for the time of the call: no other thread may use it. */
plug_err load_plane_open(const char *runtime_dir, enum load_plane plane, int64_t spin_us,
			 struct plug_client **ret);

/* Add what the handle counted so far. */
void load_plane_count(const struct plug_client *client, struct load_counters *counters);

/* after - before */
struct load_counters load_counters_since(const struct load_counters *after,
					 const struct load_counters *before);

/* Has the handle a channel? */
bool load_plane_ready(const struct plug_client *client);

#endif
