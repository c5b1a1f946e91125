/*
 * One caller's channel, this side of it.
 *
 * The plane's holder takes from it, any handler's thread may post to it, the tick thread makes and
 * frees it.  It lives until it is closed and none of its calls is listed.
 */
#ifndef PLUG_SDK_PLANE_CHANNEL_H
#define PLUG_SDK_PLANE_CHANNEL_H

#include <plug/error.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arena_pool.h"
#include "message.h"
#include "region.h"
#include "ring.h"

struct plug_plugin;
struct plugs_exchange;
struct spilled;

#define CHANNEL_SPILL_BYTES (1024u * 1024) /* of replies that wait for room in the ring */
#define CHANNEL_SPILL_NS    (5 * NS_PER_S) /* a caller that takes nothing for so long is given up */
#define CHANNEL_NAME        64
#define CHANNEL_WAKES       4096 /* at once: far more than a socket holds */

/* The one reason in `broken` that is not the caller's doing. */
#define CHANNEL_NO_MEMORY "there is no memory for its messages"

struct channel {
	struct plug_plugin *plugin;
	uint64_t number;
	int64_t pid; /* of the caller, as plugd says */
	char name[CHANNEL_NAME];
	int wake_fd;
	struct plugs_region own, peer;

	struct plugs_exchange *exchange; /* the tensors lent and borrowed */
	struct plugs_pool pool;          /* for reply tensors */

	/* of the plane's holder */
	struct plugs_taker taker;
	uint64_t tensor_faults;
	uint64_t next_id;   /* of the next Call */
	uint64_t closed_at; /* 0 while Calls are taken */
	bool woken;         /* something came on the wake socket, which has not been emptied */
	unsigned quiet;     /* checks since the last record */
	bool hot;           /* looked at, not asleep */

	/* under post_lock */
	pthread_mutex_t post_lock;
	struct plugs_poster poster;
	struct spilled *spill, **spill_tail;
	uint64_t spill_moved_ns; /* when the spill began, or last got shorter */
	bool shut;               /* nothing is posted any more */
	_Atomic size_t spill_bytes;

	_Atomic uint64_t held_bytes; /* of requests that came in several records */

	atomic_bool moved_calls;      /* it posted Calls that were not taken */
	_Atomic(const char *) broken; /* static text: why it has to be closed */

	/* under work.lock */
	unsigned listed; /* calls in the table */
	bool closed;
	bool violated;
	char reason[128];
	struct channel *next; /* of all */
};

/*
 * A channel from what plugd offers: maps the caller's region, makes the own one.  Takes both
 * descriptors, whatever happens.  On success *ret_own_fd is the own region's, for plugd, and the
 * channel is asleep: a caller that posts wakes it.  On failure *ret_why is static text.
 *
 * PLUG_EINVAL PLUG_EPROTO PLUG_ENOMEM PLUG_ESYS
 */
plug_err plugp_channel_new(struct plug_plugin *plugin, uint64_t number, uint64_t region_bytes,
			   int peer_fd, int wake_fd, struct channel **ret, int *ret_own_fd,
			   const char **ret_why);

/* Unmap and close everything; what it was called stays.  Nobody else may know it any more. */
void plugp_channel_release(struct channel *channel);

/* The process ends, and its caller may be late: what is lent with answers stays good for him. */
void plugp_channel_leave(struct channel *channel);

/* NULL is allowed. */
void plugp_channel_free(struct channel *channel);

/* ---- posting, any thread that has one of its calls ---- */

/*
 * Post a Reply or Chunk, or keep it until there is room.
 *
 * PLUG_OK
 * PLUG_EOVERLOADED  so much waits that the caller must read first; never for one without payload
 * PLUG_ECANCELLED   the channel is closed
 * PLUG_ENOMEM
 */
plug_err plugp_channel_send(struct channel *channel, const struct plugs_message *msg);

/* Longest payload that `msg`, which has none yet, can carry in one record. */
size_t plugp_channel_piece(const struct channel *channel, const struct plugs_message *msg);

/* CHANNEL_SPILL_BYTES wait for room. */
static inline bool
plugp_channel_is_full(const struct channel *channel)
{
	return atomic_load(&channel->spill_bytes) >= CHANNEL_SPILL_BYTES;
}

/* ---- for the plane's holder ---- */

/* Post of the spill what there is room for.  False: nothing. */
bool plugp_channel_pump(struct channel *channel);

/* Empty the wake socket.  By the holder. */
void plugp_channel_drain(struct channel *channel);

/* ---- others ---- */

/* Give up a caller that has not read for too long: sets `broken`. */
void plugp_channel_check(struct channel *channel, uint64_t now_ns);

/* Its caller is about to look: it has Calls that were not taken, or not all that was posted to it.
 */
bool plugp_channel_is_awaited(struct channel *channel);

/* One of its calls is in the table no more.  Called with work.lock held. */
void plugp_channel_unlisted(struct channel *channel, size_t held_bytes);

/* Nothing is posted any more, the caller sees the end. */
void plugp_channel_shut(struct channel *channel);

#endif
