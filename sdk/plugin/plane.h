/*
 * The plane: the channels of this process, and the thread that looks at them.
 *
 * Channels that have lately brought something are hot: the holder of the plane's duty looks at
 * their rings in turn, a few records each.  The others say in their heads that they sleep, and
 * their wake sockets are in an epoll set that is looked at now and then, and slept on when nothing
 * is hot.  An idle plane costs nothing, and neither do idle channels beside a hot one.
 */
#ifndef PLUG_SDK_PLANE_H
#define PLUG_SDK_PLANE_H

#include <plug/error.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "plane_channel.h"
#include "spin.h"

struct plug_call;
struct worker;

#define PLANE_CHANNELS     64      /* that it holds at a time */
#define PLANE_TURN         4       /* records of one channel before the next one's turn */
#define PLANE_SPARES       32      /* calls kept to be used again */
#define PLANE_RECORD_BYTES 2048    /* of a call's record without an allocation of its own */
#define PLANE_TIMED        16      /* of a quick method's calls one in so many is timed */
#define PLANE_TIMED_NS     10000u  /* a method slower than this: every one */
#define PLANE_NEAR_US      100000u /* an answer before a deadline so near does not wait for others */
#define PLANE_EXACT_US     5000000u /* a deadline so near is kept exactly */
#define PLANE_ALONE        16       /* calls in a row that met no other, and none is expected */
#define PLANE_ALONE_NS     500000u  /* a handler this short is then run by the holder */
#define PLANE_LINGER_NS    NS_PER_S /* how long a stopping process waits for callers to leave */

/* What the holder is told to do. */
enum plane_news {
	PLANE_QUEUE = 1,  /* calls wait for the place that it keeps, or the threads end */
	PLANE_SPILL = 2,  /* a channel has replies that wait for room */
	PLANE_BROKEN = 4, /* a channel has to be closed */
	PLANE_DRAIN = 8   /* no Calls are taken any more */
};

struct plane {
	int epoll_fd, nudge_fd; /* -1: no data plane */
	uint64_t tensor_bytes;  /* of replies, that one channel may have at a time */

	/* of the holder */
	struct channel *hot[PLANE_CHANNELS];
	unsigned hot_count, rounds;
	struct plugs_spin spin;
	uint64_t calls, ok; /* taken; answered and not yet in the vitals */
	unsigned untimed;
	struct channel *last;     /* that brought a call; to be compared only */
	unsigned alone;           /* calls in a row of that one, each met with nothing waiting */
	bool waited;              /* nothing was there since the last call */
	struct plug_call *spares; /* of the holder alone */
	unsigned spare_count;

	/* anybody's */
	_Atomic uint32_t news; /* enum plane_news */
	atomic_bool asleep;    /* the holder sleeps on epoll_fd */
	pthread_mutex_t spare_lock;
	struct plug_call *given; /* spares that other threads gave back */

	/* under work.lock */
	struct channel *channels; /* all, newest first */
	unsigned open;            /* not closed */
	bool draining;
	bool all_closed; /* closed_at stands in all */
};

/* Without descriptors for it there is no data plane: PLUG_OK all the same. */
plug_err plugp_plane_init(struct plug_plugin *plugin);

/* Every thread has ended. */
void plugp_plane_fini(struct plug_plugin *plugin);

static inline bool
plugp_plane_is_there(const struct plane *plane)
{
	return plane->epoll_fd >= 0;
}

/* Have the duty done: by a thread that was given it, until it is not its any more. */
void plugp_plane_lead(struct worker *worker);

/* Tell the holder.  Any thread, with any lock. */
void plugp_plane_notify(struct plane *plane, uint32_t news);

/*
 * Add a channel; it is the plane's from now on.  By the tick thread.
 * PLUG_EUNAVAILABLE  the process is draining or stopping
 * PLUG_EOVERLOADED   there are PLANE_CHANNELS
 * PLUG_ESYS
 */
plug_err plugp_plane_add(struct plug_plugin *plugin, struct channel *channel);

/* By the tick thread: give up callers that do not read, and take out a closed channel of which
 * nothing is left, to be freed by the caller; NULL: there is none. */
struct channel *plugp_plane_reap(struct plug_plugin *plugin);

/* No Calls are taken any more, on any channel. */
void plugp_plane_drain(struct plug_plugin *plugin);

/* Wait until every caller who is about to look has left, PLANE_LINGER_NS at most.  An idle one's
 * thread is elsewhere: when it comes back, the status page tells it. */
void plugp_plane_linger(struct plug_plugin *plugin);

/* ---- calls to be used again (spare.c) ---- */

/* For the holder: a call whose record has room for `size` bytes and a NUL; NULL: no memory. */
struct plug_call *plugp_spare_take(struct plug_plugin *plugin, size_t size);

/* For the holder: it was not needed, or has ended. */
void plugp_spare_put(struct plane *plane, struct plug_call *call);

/* Any thread. */
void plugp_spare_give(struct plane *plane, struct plug_call *call);

void plugp_spares_fini(struct plane *plane);

/* ---- records (plane_take.c), for the holder ---- */

enum plane_take {
	TAKE_NONE, /* there is no record */
	TAKE_ONE,
	TAKE_CLOSED, /* the channel was closed */
	TAKE_LOST    /* the role was lost, or the threads end */
};

enum plane_take plugp_plane_take(struct worker *worker, struct channel *channel);

/* Close a channel.  `violation` NULL: the caller left. */
void plugp_plane_close(struct plug_plugin *plugin, struct channel *channel, const char *violation);

/* Say that the next Call, and all after it, are not taken.  The holder takes nothing meanwhile, so
 * it stays true. */
void plugp_plane_close_at(struct channel *channel);

/* The holder runs the call's handler still. */
bool plugp_plane_is_led(const struct plug_call *call);

#endif
