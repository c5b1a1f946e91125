/* Blocking calls over a channel.  Leader and followers, as on the socket (wait.c): of the threads
 * that wait one takes replies for all. */
#include "plane.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS      1000000u
#define SOCKET_MS      1000   /* SO_RCVTIMEO of the wake socket: deadlines are looked at as often */
#define ENDING_STEP_NS 500000 /* of a plugd that does not wake who waits at the page */
#define TAKE_MAX       64     /* records in a row before the queue gets its turn */

/* ---- waiting for the plugin ---- */

static bool
there(struct plugc_channel *channel)
{
	return plugc_channel_look(channel, channel->seen);
}

/* Look until something is there.  False: it is time to sleep. */
static bool
spin(struct plugc_channel *channel)
{
	struct plugc_route *route = channel->route;
	struct plugc_seen seen = channel->seen;
	bool unlocked = false, found;

	while (!(found = plugc_channel_look(channel, seen)) && plugs_spin_look(&channel->spin)) {
		if (!unlocked && atomic_load_explicit(&route->contenders, memory_order_relaxed)) {
			plugc_route_unlock(route);
			unlocked = true;
		}
	}
	if (unlocked)
		plugc_route_lock(route);
	if (found)
		plugs_spin_found(&channel->spin);
	return found;
}

struct arrived {
	struct plug_wake_arena arena;
	int fd;
	bool any;
};

static void
on_arena(const struct plug_wake_arena *arena, int fd, void *user)
{
	struct arrived *arrived = user;

	arrived->arena = *arena;
	arrived->fd = fd;
	arrived->any = true;
}

/* One message of the wake socket, or SOCKET_MS, or until_ns.  No lock is held. */
static plug_err
wait_on_socket(int fd, uint64_t now_ns, uint64_t until_ns, struct arrived *arrived)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};

	if (until_ns - now_ns >= (uint64_t)SOCKET_MS * NS_PER_MS)
		return plugs_receive(fd, 0, on_arena, arrived);
	poll(&ready, 1, plugc_poll_ms(now_ns, until_ns));
	return plugs_receive(fd, MSG_DONTWAIT, on_arena, arrived);
}

static void
woken(struct plugc_channel *channel, plug_err err, struct arrived *arrived)
{
	if (err == PLUG_OK)
		channel->route->counts.wakes_received++;
	if (err == PLUG_EGONE)
		channel->gone = true;
	else if (err == PLUG_EPROTO)
		plugc_channel_violate(channel, "a message on the wake socket that is none");
	if (arrived->any)
		plugc_channel_arena(channel, &arrived->arena, arrived->fd);
}

static void
sleep_on_socket(struct plugc_channel *channel, struct plugc_call *call)
{
	struct arrived arrived = {.any = false};
	bool full = !TAILQ_EMPTY(&channel->out);
	uint64_t now = plugc_now_ns();
	plug_err err;

	if (plugs_tell_taken(&channel->taker))
		channel->wake_due = true;
	plugs_sleep_begin(&channel->own, PLUG_SLEEP_RECORDS | (full ? PLUG_SLEEP_ROOM : 0));
	if (there(channel) || (full && plugc_flight_flush(channel)) || now >= call->deadline_ns) {
		plugs_sleep_end(&channel->own);
		return;
	}
	channel->sleeping = true;
	plugc_channel_wake(channel);
	plugc_route_unlock(channel->route);
	err = wait_on_socket(channel->wake_fd, now, call->deadline_ns, &arrived);
	plugc_route_lock(channel->route);
	channel->sleeping = false;
	plugs_sleep_end(&channel->own);
	plugs_spin_woke(&channel->spin);
	woken(channel, err, &arrived);
}

/* The process ended, and the status page does not say yet how: until it says something new. */
static void
wait_for_status(struct plugc_channel *channel)
{
	const struct timespec step = {.tv_nsec = ENDING_STEP_NS};
	uint32_t seen = channel->seen.status;

	plugc_route_unlock(channel->route);
	syscall(SYS_futex, &channel->page->status, FUTEX_WAIT, seen, &step, NULL, 0);
	plugc_route_lock(channel->route);
}

static bool
has_something(const struct plugc_call *call)
{
	return call->done || call->elsewhere || !STAILQ_EMPTY(&call->inbox);
}

/* Nothing is in the ring. */
static void
wait_for_something(struct plugc_channel *channel, struct plugc_call *call)
{
	bool gone = channel->gone;

	if (plugc_channel_changed(channel)) {
		plugc_channel_settle(channel);
		if (!channel->finished && gone)
			wait_for_status(channel);
		return;
	}
	if (!TAILQ_EMPTY(&channel->out) && plugc_flight_flush(channel))
		return;
	plugc_channel_wake(channel);
	if (spin(channel) || channel->finished)
		return;
	plugc_flight_stamp(call);
	plugc_call_expire(channel->route->client, call, plugc_now_ns());
	if (call->done)
		plugc_flight_flush(channel);
	else
		sleep_on_socket(channel, call);
}

/* Replies for others come without a break. */
static void
between(struct plugc_channel *channel, struct plugc_call *call)
{
	if (plugc_channel_changed(channel) && !channel->gone)
		plugc_channel_settle(channel);
	plugc_flight_stamp(call);
	plugc_call_expire(channel->route->client, call, plugc_now_ns());
	plugc_flight_flush(channel);
	plugc_channel_wake(channel);
}

static void
lead(struct plugc_channel *channel, struct plugc_call *call)
{
	channel->reading = true;
	plugc_channel_rise(channel);
	while (!has_something(call)) {
		unsigned count = plugc_take(channel, call, TAKE_MAX);

		if (count == 0) {
			wait_for_something(channel, call);
			continue;
		}
		plugs_spin_found(&channel->spin);
		if (count == TAKE_MAX)
			between(channel, call);
	}
	channel->reading = false;
}

static void
follow(struct plugc_channel *channel, struct plugc_call *call)
{
	struct timespec until;

	plugc_channel_wake(channel);
	if (has_something(call) || !channel->reading)
		return;
	plugc_flight_stamp(call);
	plugc_call_can_wait(call);
	call->waiting = true;
	TAILQ_INSERT_TAIL(&channel->waiters, call, link);
	if (call->deadline_ns == PLUGC_NEVER) {
		pthread_cond_wait(&call->wake, &channel->route->lock);
	} else {
		until.tv_sec = (time_t)(call->deadline_ns / 1000000000u);
		until.tv_nsec = (long)(call->deadline_ns % 1000000000u);
		if (pthread_cond_timedwait(&call->wake, &channel->route->lock, &until) ==
		    ETIMEDOUT) {
			plugc_call_expire(channel->route->client, call, plugc_now_ns());
			plugc_flight_push(channel);
		}
	}
	TAILQ_REMOVE(&channel->waiters, call, link);
	call->waiting = false;
}

void
plugc_channel_hand_on(struct plugc_channel *channel)
{
	struct plugc_call *next = TAILQ_FIRST(&channel->waiters);

	if (!channel->reading && !channel->finished) {
		if (!channel->flights.count && (channel->gone || !channel->taking))
			plugc_channel_settle(channel); /* nothing tells of it any more */
		if (!channel->finished && plugs_exchange_returns_due(channel->exchange))
			plugc_tensors_return(channel); /* given up while the lock was held */
		if (next)
			pthread_cond_signal(&next->wake);
		else
			plugc_channel_rest(channel);
	}
	plugc_channel_wake(channel);
}

/* ---- the call ---- */

/* Hand over the pieces that are there. */
static void
hand_over(struct plugc_channel *channel, struct plugc_call *call)
{
	struct plugc_route *route = channel->route;
	struct plugc_message *piece;
	bool go_on = true;

	plugc_channel_hand_on(channel);
	while (go_on && (piece = STAILQ_FIRST(&call->inbox))) {
		size_t size = piece->pub.payload.size;

		STAILQ_REMOVE_HEAD(&call->inbox, link);
		plugc_route_unlock(route);
		go_on = call->on_piece(&piece->pub.payload, call->user);
		plugc_message_free(piece);
		plugc_route_lock(route);
		if (call->flight)
			plugc_flight_credit(call->flight, size);
		plugc_flight_push(channel);
	}
	if (STAILQ_EMPTY(&call->inbox))
		call->inbox_bytes = 0;
	if (!go_on)
		plugc_call_abandon(route->client, call, PLUG_ECANCELLED, "cancelled by the caller");
}

static void
wait_for_reply(struct plugc_channel *channel, struct plugc_call *call)
{
	while (true) {
		if (!STAILQ_EMPTY(&call->inbox))
			hand_over(channel, call);
		else if (call->done || call->elsewhere)
			break;
		else if (channel->reading)
			follow(channel, call);
		else
			lead(channel, call);
	}
}

static bool
fits(struct plugc_channel *channel, struct plugc_call *call)
{
	if (call->out.size <= channel->call_bytes)
		return true;
	call->refused = true;
	plugc_call_end(channel->route->client, call, PLUG_ETOOLARGE,
		       "the payload is %zu bytes, %s takes at most %llu in a call", call->out.size,
		       channel->route->name, (unsigned long long)channel->call_bytes);
	return false;
}

bool
plugc_plane_call(struct plugc_route *route, struct plugc_call *call)
{
	struct plugc_channel *channel;

	plugc_route_lock(route);
	channel = plugc_route_channel(route);
	if (!channel) {
		plugc_route_unlock(route);
		return false;
	}
	channel->refs++;
	call->elsewhere = false;
	if (fits(channel, call))
		plugc_flight_start(channel, call);
	wait_for_reply(channel, call);
	plugc_channel_hand_on(channel);
	plugc_channel_unref(channel);
	if (call->done)
		plugc_route_tidy(route);
	plugc_route_unlock(route);
	return call->done;
}
