/*
 * A whole plugd in this process, for fuzz_doorman.c: loop, door, router, control, channels and
 * registry as daemon.c joins them, and one plugin, `live`, whose process is real and does nothing:
 * its session and its broker socket are spoken here, by the same code as a plugin's.
 *
 * It is kept from one input to the next, as long as the plugin is ready and nothing is left of the
 * input; else it is taken apart and made again.
 */
#ifndef DOOR_WORLD_H
#define DOOR_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon_private.h"
#include "peer.h"

#define WORLD_CALLS 256

/* What plugd has asked of the plugin and it has not answered yet. */
struct world_call {
	uint64_t id;
	bool begun; /* a chunked reply */
};

struct world {
	struct daemon daemon;
	struct peer link;
	int broker_fd;
	int region_fd;             /* sealed, for whoever wants a region */
	struct instance *instance; /* whose session is spoken here; may be gone */
	uint32_t generation;
	uint64_t seq, received;
	struct world_call calls[WORLD_CALLS];
	unsigned call_count;
	uint64_t offers[WORLD_CALLS], channels[WORLD_CALLS]; /* numbers */
	unsigned offer_count, channel_count;
	int before; /* peer_free_descriptor() of a world at rest */
};

extern struct world world;

/* A plugd whose plugin is ready. */
void world_begin(void);

/* Everything is answered and closed; what plugd still holds of the input fails the target. */
void world_end(void);

/* The loop, as long as it has something to do, but not for ever. */
void world_turn(void);

/* For a loop that waits for another process: sleep a little; fails when it has gone on since
 * `since_ms` for longer than anything takes, and says for what. */
void world_wait(uint64_t since_ms, const char *what);

/* Called before and after plugd's code runs in world_turn(), unless it is NULL. */
extern void (*world_around_turn)(bool begins);

/* The instance that began, or NULL when it is not what takes calls any more, or its session was
 * cut: what is spoken here does not resume. */
struct instance *world_instance(void);

/* ---- door_plugin.c: the plugin's side ---- */

/* HELLO to READY for the first instance of `live`. */
void plugin_come_up(void);
void plugin_leave(void);

/* Read what plugd says. */
void plugin_listen(void);

/* Answer the call at `which` (modulo) in one of several ways; does nothing when there is none. */
void plugin_answer(unsigned which, unsigned how);
void plugin_answer_offer(unsigned how);
void plugin_close_channel(unsigned how);

/* Messages as they are, but with the numbers that plugd expects. */
void plugin_say(const uint8_t *bytes, size_t size);
void plugin_say_on_broker(const uint8_t *bytes, size_t size, int fd);

/* What makes nothing be left. */
void plugin_answer_all(void);

#endif
