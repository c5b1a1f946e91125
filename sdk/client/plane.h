/*
 * The data plane of a client handle: routes, channels and what is in flight on them.  Private to
 * sdk/client.
 *
 * A route is a plugin by name.  It is made with the second thought of calling it and stays until
 * the handle is closed, so it is found without a lock.  Its lock protects everything of the route:
 * the channel that takes new calls, those that only finish what they have, and their calls.
 * Whoever holds it may not take client->lock; the other way round is allowed.
 *
 * Of the threads that wait for replies on a channel one is `reading`: it alone takes from the ring
 * and sleeps on the wake socket, the others sleep on conditions of their own (plane.c).  It holds
 * the route's lock even while it spins, because that is free, until somebody else wants it, who
 * says so in `contenders`.
 *
 * A flight is a call as the channel sees it: it has the number, and ends with the plugin's last
 * Reply.  The plugc_call is what the user waits for and may end before; the flight then goes on
 * without one, so that what the plugin still says of it has a meaning.
 *
 * Functions named here expect the route's lock held unless they say otherwise.
 */
#ifndef PLUGC_PLANE_H
#define PLUGC_PLANE_H

#include <stdatomic.h>

#include "exchange.h"
#include "internal.h"
#include "message.h"
#include "ring.h"
#include "spin.h"
#include "wary.h"

#define PLUGC_ROUTES_MAX     1024  /* plugins of one handle with a data plane */
#define PLUGC_HOT_MS         1000  /* two calls within it ask for a channel */
#define PLUGC_PAUSE_MS       1000  /* after a refusal */
#define PLUGC_PAUSE_MAX_MS   60000 /* where asking again is vain until the plugin restarts */
#define PLUGC_OPEN_MS        5000  /* plugd answers within 2 s */
#define PLUGC_AGAIN_MS       50    /* at most, where asking again soon may help */
#define PLUGC_ENDED_MS       1000  /* for the status page to say how a process ended */
#define PLUGC_SPARE_MAX      256   /* flights kept for the next calls */
#define PLUGC_EVENTS_MAX     16    /* looked at in one plug_client_dispatch() */
#define PLUGC_STATUS_MS      1000  /* at least as often the status page is looked at */
#define PLUGC_LOOK_EVERY     64    /* a busy caller's dispatches between two looks at the sockets */

#define PLUGC_INSTANCE_BYTES 80

struct plugc_channel;
struct plugc_route;

/* A process of a plugin: generations are counted by instance. */
struct plugc_process {
	char instance[PLUGC_INSTANCE_BYTES];
	uint32_t generation;
};

/* A method as the grant has it. */
struct plugc_method {
	char *name;
	size_t length;
	uint64_t timeout_ms; /* 0: none */
	bool stream, idempotent;
};

/* What plugd and the plugin had said of a channel when it was last dealt with. */
struct plugc_seen {
	uint32_t status; /* enum plug_status */
	bool closed;     /* closed_at is there */
};

struct plugc_flight {
	struct plugc_entry entry; /* first; in channel->flights once it has a number */
	struct plugc_channel *channel;
	struct plugc_call *call;           /* NULL: ended before its Reply */
	const struct plugc_method *method; /* NULL: the grant has none of that name */
	TAILQ_ENTRY(plugc_flight) link;    /* in channel->out or channel->spare */
	size_t posted;                     /* payload bytes */
	uint64_t ahead;                    /* reply payload that came and was not credited */
	uint64_t credit;                   /* of it, passed on and not said yet */
	plug_err cancel;                   /* to be posted; 0: nothing */
	struct plugs_pins *pins;           /* what its Call lent */
	plug_err refusal;                  /* of its tensors; 0: none */
	bool queued, started, sent;
	bool answering;       /* something of the answer came */
	bool many;            /* the reply comes in more than one record */
	bool in_chunks, last; /* chunks are to come; of the last Reply */
};

TAILQ_HEAD(plugc_flight_list, plugc_flight);

/* Sums over the life of a route. */
struct plugc_counts {
	uint64_t calls, opened, closed, refused, violations, moves, resends;
	uint64_t copies, bytes_copied, wakes_sent, wakes_received, spin_hits, spin_misses;
};

struct plugc_channel {
	LIST_ENTRY(plugc_channel) link; /* route->channels, then route->left */
	struct plugc_route *route;
	unsigned refs;   /* one of the route while it is there, one a thread inside */
	uint64_t serial; /* of this handle; names it in the event loop */

	struct plugs_region own, peer;
	struct plugs_poster poster;
	struct plugs_taker taker;
	struct plugs_tensor *tensors; /* room for those of one record */
	struct plug_status_page *page;
	struct plugs_spin spin;
	struct plugs_exchange *exchange; /* the tensors lent and borrowed */
	int wake_fd;
	size_t overhead; /* of a Chunk beside its payload */

	uint64_t number;
	struct plugc_process process;
	uint64_t call_bytes, window_bytes;
	struct plugc_method *methods;
	size_t method_count;

	bool taking;   /* new calls */
	bool gone;     /* the process ended, or its end of the wake socket is closed */
	bool finished; /* nothing is left of it but memory */
	bool holds;    /* plugd holds calls that come from here before it knows how it ended */
	bool reading;  /* somebody takes from the ring */
	bool sleeping; /* … and waits on the socket */
	bool armed;    /* the own `sleeping` is up for the event loop */
	bool wake_due; /* the plugin sleeps and has to be woken */
	bool readable; /* the event loop saw something on the wake socket */
	struct plugc_seen seen;
	uint64_t closed_at;       /* believed; 0: not (yet) */
	uint64_t answered;        /* highest number that was */
	uint64_t ending_until_ns; /* gone: how long the status page is waited for; 0: not yet known
				   */

	uint64_t last_id;
	struct plugc_table flights;
	struct plugc_flight_list out; /* with something to post, in turn */
	size_t out_bytes;             /* payload of the event loop's calls there */
	struct plugc_flight_list spare;
	unsigned spare_count;
	unsigned async;                 /* calls of the event loop here */
	struct plugc_call_list waiters; /* threads asleep in plugc_plane_call() */
};

struct plugc_route {
	struct plugc_route *next;      /* of the same hash */
	struct plugc_route *next_made; /* made before this one */
	bool listed;
	struct plug_client *client;
	pthread_mutex_t lock;
	atomic_uint contenders; /* threads that wait for the lock */

	struct plugc_channel *channel; /* takes calls; or NULL */
	LIST_HEAD(, plugc_channel) channels;
	LIST_HEAD(, plugc_channel) left; /* to be freed */
	atomic_bool leaves;              /* there are some */
	struct plugc_call_list ready;    /* calls of the event loop with something to deliver */
	struct plugc_call_list moving;   /* … that have to be started elsewhere */
	struct plugc_call_list parked;   /* … that wait for a channel, because they need one */
	uint64_t next_deadline_ns;       /* no call of the event loop here ends before */
	struct plugc_counts counts;

	/* Asking for a channel. */
	bool asking, eager;
	uint64_t last_ns; /* of the last call over plugd */
	uint64_t asked_until_ns;
	uint64_t pause_ns;           /* not asked again before */
	uint64_t again_ns;           /* refused for now: who needs one asks again then; else 0 */
	unsigned agains;             /* such refusals in a row */
	uint64_t patience_ms;        /* of calls without a deadline then; 0: for ever */
	struct plugc_process barred; /* broke the rules; generation 0: none did */
	uint64_t region_bytes;       /* that plugd takes; 0: as many as the handle wants */
	struct plugc_call opening;   /* under client->lock */
	struct plugs_region region;
	int region_fd;
	struct plugc_wary wary;
	char refusal[384]; /* why there was no channel, "": not known */
	bool denied;       /* that was PLUG_EDENIED */

	char name[];
};

/* ---- route.c ---- */

/* The route to a plugin, made when there is none yet; NULL without memory, with too many of them or
 * with the data plane off.  No lock needed. */
struct plugc_route *plugc_route_get(struct plug_client *client, const char *plugin);

void plugc_route_lock(struct plugc_route *route);
void plugc_route_unlock(struct plugc_route *route);

/* End all channels of the route and their calls, callbacks included: the handle is being closed. */
void plugc_route_close(struct plugc_route *route, void *unused);

/* Run fn for every route; no lock is held. */
void plugc_routes_each(struct plug_client *client, void (*fn)(struct plugc_route *, void *),
		       void *arg);
void plugc_routes_fini(struct plug_client *client); /* all channels are closed */

/* ---- open.c ---- */

/*
 * A call to the route goes over plugd: ask for a channel if it is time for one.  Never waits for
 * it.  Takes both locks; needs none.
 */
void plugc_open_consider(struct plug_client *client, struct plugc_route *route);

/* Ask for a channel now, unless that was in vain a moment ago.  True: a grant is awaited, or it is
 * to be asked again soon (route->again_ns), or there is a channel.  Takes both locks; needs none.
 */
bool plugc_open_ask(struct plug_client *client, struct plugc_route *route);

/* Needs client->lock.  The grant to route->opening came; takes env and, as far as it uses them, the
 * descriptors. */
void plugc_open_granted(struct plug_client *client, struct plugc_route *route, Plug__Envelope *env);

/* Needs client->lock.  route->opening ended without a channel. */
void plugc_open_failed(struct plug_client *client, struct plugc_route *route, plug_err why);

/* Needs client->lock.  route->opening was handed to the kernel. */
void plugc_open_sent(struct plugc_route *route);

/* Needs client->lock.  Read what plugd has sent already, if a grant may be among it.  True: there
 * is a channel now. */
bool plugc_open_came(struct plug_client *client, struct plugc_route *route);

/* A call over plugd ended so: the plugin may be another process now. */
void plugc_open_outcome(struct plugc_route *route, plug_err outcome);

/* ---- channel.c ---- */

struct plugc_channel *plugc_channel_new(struct plugc_route *route);

/* Of one that the route never had, or has no more.  Needs no lock. */
void plugc_channel_free(struct plugc_channel *channel);

/* Needs route->lock.  One reference less; with the last it goes to route->left. */
void plugc_channel_unref(struct plugc_channel *channel);

/* Free what is there: when calls that have to be sent elsewhere have been.  The first needs
 * route->lock, the second takes it, and only if there is something. */
void plugc_route_tidy(struct plugc_route *route);
void plugc_route_tidy_later(struct plugc_route *route);
bool plugc_route_has_left(struct plugc_route *route);

/* Give back only what others may want: the rest, half a MiB, takes as long as a call, and the
 * end of the next call sees to it, the next channel, or a longer wait.  Takes route->lock. */
void plugc_route_lighten(struct plugc_route *route);

/* Take it away from the route and let the plugin know.  All flights have ended. */
void plugc_channel_finish(struct plugc_channel *channel);

/* The plugin broke the rules: end all calls and the channel.  `what` is put behind "the plugin
 * broke the rules of the channel: ". */
void plugc_channel_violate(struct plugc_channel *channel, const char *what);

/* End all calls with this outcome and text, and the channel. */
void plugc_channel_end(struct plugc_channel *channel, plug_err outcome, const char *text);

/* Has the plugin or plugd changed its state, or is it gone?  Cheap. */
bool plugc_channel_changed(const struct plugc_channel *channel);

/* Act on it.  When the channel is `gone` before, the ring has been emptied since. */
void plugc_channel_settle(struct plugc_channel *channel);

/* The same, and is there a record?  For the thread that is `reading`, with or without the lock, and
 * with what had been seen when it had it. */
bool plugc_channel_look(struct plugc_channel *channel, struct plugc_seen seen);

/* The channel that takes calls now, or NULL. */
struct plugc_channel *plugc_route_channel(struct plugc_route *route);

/* No thread looks at the ring any more: the event loop, if there is one, is told of what comes. */
void plugc_channel_rest(struct plugc_channel *channel);

/* A thread looks again. */
void plugc_channel_rise(struct plugc_channel *channel);

/* An arena that tensors of this channel will name.  Takes fd. */
void plugc_channel_arena(struct plugc_channel *channel, const struct plug_wake_arena *arena,
			 int fd);

/* Wake the plugin if that is due.  Releases the lock meanwhile; the caller has a reference. */
void plugc_channel_wake(struct plugc_channel *channel);

/* ---- flight.c ---- */

/* Put a call on the channel: posted, or queued when there is no room; or it ends at once, or has to
 * go elsewhere. */
void plugc_flight_start(struct plugc_channel *channel, struct plugc_call *call);

/* When the deadline of the call passes, as of now, unless that is known. */
void plugc_flight_stamp(struct plugc_call *call);

/* Post what is queued, as far as there is room.  True: something was posted. */
bool plugc_flight_flush(struct plugc_channel *channel);

/* The same for a thread that does not wait on the channel: whoever does is told of room. */
void plugc_flight_push(struct plugc_channel *channel);

/* Nobody waits for it any more: queue word of it.  Push afterwards. */
void plugc_flight_cancel(struct plugc_flight *flight, plug_err reason);

/* This much of its reply was passed on: queue word of it when it is enough.  Push afterwards. */
void plugc_flight_credit(struct plugc_flight *flight, size_t bytes);

/* The call ended; the flight goes on, unless nothing of it was posted. */
void plugc_flight_detach(struct plugc_flight *flight);

/* The end of the flight. */
void plugc_flight_free(struct plugc_flight *flight);

/* ---- take.c ---- */

/* Take what is in the ring, up to `limit` records and until `call` (may be NULL) has something for
 * its owner.  The number of records. */
unsigned plugc_take(struct plugc_channel *channel, const struct plugc_call *call, unsigned limit);

/* ---- plane.c ---- */

/*
 * A blocking call over the route's channel.  Takes the route's lock itself.  False: it has to go
 * another way, now or again; call->elsewhere says whether it was on a channel.
 */
bool plugc_plane_call(struct plugc_route *route, struct plugc_call *call);

/* The thread does not look at the ring any more: another waiting thread has to, or the event loop.
 */
void plugc_channel_hand_on(struct plugc_channel *channel);

/* ---- tensors.c ---- */

/* Wait for a channel, for a blocking call that needs one.  No lock is held.  False: there is one
 * now; true: the call has ended.  route NULL: there can be none. */
bool plugc_tensors_wait(struct plug_client *client, struct plugc_route *route,
			struct plugc_call *call);

/* The same for a call of the event loop: it waits in route->parked.  No lock is held.  Errors as
 * plug_client_send(). */
plug_err plugc_tensors_park(struct plug_client *client, struct plugc_route *route,
			    struct plugc_call *call);

/* Ask again for those that wait there, if it is time to.  May release the lock meanwhile. */
void plugc_tensors_ask(struct plugc_route *route);

/* plugd says to ask again: they go on waiting. */
void plugc_tensors_go_on(struct plugc_route *route);

/* Take it from there when its deadline has passed. */
void plugc_tensors_expire(struct plugc_route *route, struct plugc_call *call, uint64_t now_ns);

/* There is a channel now, or there will be none: those that waited go on, or end. */
void plugc_tensors_unpark(struct plugc_route *route, bool granted);

/* Needs client->lock: the same for the threads that wait for it. */
void plugc_tensors_tell(struct plug_client *client, struct plugc_route *route);

/* Lend the call's tensors and describe them in `message`; `wire` is room for PLUGS_TENSORS_MAX.
 * PLUG_EOVERLOADED: not now. */
plug_err plugc_tensors_lend(struct plugc_flight *flight, struct plugs_tensor *wire,
			    struct plugs_message *message);

/* Post a Release of what was given up, if there is something and room for it. */
void plugc_tensors_return(struct plugc_channel *channel);

/* What came with a Reply goes into the message, or back when nobody wants it (message NULL).
 * PLUG_EINVAL, PLUG_ENOMEM: it is not usable; plug_tensor_error_text() says why. */
plug_err plugc_tensors_take(struct plugc_channel *channel, const struct plugs_message *from,
			    struct plugc_message *message);

/* Take what lies in the wake socket. */
void plugc_tensors_drain(struct plugc_channel *channel);

/* For plugs_exchange_on_due(); `user` is the channel. */
void plugc_tensors_due(void *user);

/* Copy and keep the tensors of a request, at `to`. */
void plugc_tensors_keep(struct plugc_out *out, const struct plugc_out *from,
			struct plug_tensor *to);
void plugc_tensors_let_go(struct plugc_out *out);

/* ---- send.c ---- */

/* A call of the event loop that its channel never took starts again.  No lock is held.  Errors as
 * plug_client_send(). */
plug_err plugc_send_moved(struct plug_client *client, struct plugc_route *route,
			  struct plugc_call *call);

/* ---- loop.c: the event loop's descriptor ---- */

/* Has the caller an event loop that waits on the handle? */
bool plugc_loop_is_there(const struct plug_client *client);

/* Make plug_client_fd() readable: there is something to dispatch, or will be soon.  No lock needed.
 */
void plugc_loop_kick(struct plug_client *client);

/* A dispatch begins: unless the one before it wanted it so, the descriptor is not readable without
 * a reason any more. */
void plugc_loop_calm(struct plug_client *client);

/* Needs client->lock.  The descriptor, made when there is none yet; -1: none could be made. */
int plugc_loop_make(struct plug_client *client);
void plugc_loop_fini(struct plug_client *client);

/* Needs client->lock.  Look for room in the socket to plugd while something waits for it. */
void plugc_loop_update(struct plug_client *client);

/* Needs client->lock.  Note which channels have something on their wake sockets (client->wakes).
 * True: so may the socket to plugd. */
bool plugc_loop_look(struct plug_client *client);

/* The descriptor has to cover this one too; `serial` 0: the socket to plugd. */
void plugc_loop_add(struct plug_client *client, int fd, uint64_t serial);
void plugc_loop_remove(struct plug_client *client, int fd);

#endif
