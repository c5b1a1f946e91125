/* Calls in the caller's own event loop.  One thread, by contract; the lock is taken all the same,
 * so that a blocking call made from a callback finds the handle as it expects it. */
#include <stdlib.h>
#include <string.h>

#include "plane.h"

/* ---- callbacks ---- */

static _Thread_local const struct plug_client *dispatched;

bool
plugc_dispatching(const struct plug_client *client)
{
	return dispatched == client;
}

/* False: the call was cancelled. */
static bool
run_pieces(pthread_mutex_t *lock, struct plugc_call *call)
{
	struct plugc_message *message;
	bool go_on = true;

	while (go_on && (message = STAILQ_FIRST(&call->inbox))) {
		size_t size = message->pub.payload.size;

		STAILQ_REMOVE_HEAD(&call->inbox, link);
		pthread_mutex_unlock(lock);
		go_on = call->on_piece(&message->pub.payload, call->user);
		plugc_message_free(message);
		pthread_mutex_lock(lock);
		if (call->flight)
			plugc_flight_credit(call->flight, size);
	}
	call->inbox_bytes = 0;
	return go_on;
}

static void
run_done(struct plug_client *client, pthread_mutex_t *lock, struct plugc_call *call)
{
	struct plug_reply none = {.outcome = call->outcome,
				  .payload = {.data = "", .content_type = ""},
				  .message = plug_err_text(call->outcome)};
	struct plugc_message *reply = call->reply;

	call->reply = NULL;
	plugc_call_fini(client, call);
	pthread_mutex_unlock(lock);
	call->on_done(reply ? &reply->pub : &none, call->user);
	plugc_message_free(reply);
	free(call);
	pthread_mutex_lock(lock);
}

void
plugc_run_ready(struct plug_client *client, pthread_mutex_t *lock, struct plugc_call_list *ready)
{
	const struct plug_client *outer = dispatched;
	struct plugc_call *call;

	dispatched = client;
	while ((call = TAILQ_FIRST(ready))) {
		bool go_on = run_pieces(lock, call);

		if (!go_on)
			plugc_call_abandon(client, call, PLUG_ECANCELLED,
					   "cancelled by the caller");
		if (call->done) {
			run_done(client, lock, call);
		} else {
			TAILQ_REMOVE(ready, call, link);
			call->listed = false;
		}
	}
	dispatched = outer;
}

/* ---- deadlines ---- */

struct expiry {
	struct plug_client *client;
	uint64_t now, next;
};

static void
expire(struct expiry *expiry, struct plugc_call *call)
{
	if (!call || call->blocking || call->done)
		return;
	plugc_call_expire(expiry->client, call, expiry->now);
	if (!call->done && call->deadline_ns < expiry->next)
		expiry->next = call->deadline_ns;
}

static void
expire_control(struct plugc_entry *entry, void *arg)
{
	expire(arg, (struct plugc_call *)entry);
}

/* Looks at every call, but only when the earliest deadline passed. */
static void
expire_all(struct plug_client *client)
{
	struct expiry expiry = {client, plugc_now_ns(), PLUGC_NEVER};

	if (client->next_deadline_ns > expiry.now)
		return;
	plugc_table_each(&client->calls, expire_control, &expiry);
	client->next_deadline_ns = expiry.next;
}

static void
expire_flight(struct plugc_entry *entry, void *arg)
{
	expire(arg, ((struct plugc_flight *)entry)->call);
}

static void
expire_route(struct plugc_route *route)
{
	struct expiry expiry = {route->client, PLUGC_NEVER, PLUGC_NEVER};
	struct plugc_channel *channel;
	struct plugc_flight *flight, *next;
	struct plugc_call *parked, *next_parked;

	if (route->next_deadline_ns == PLUGC_NEVER)
		return;
	expiry.now = plugc_now_ns();
	if (route->next_deadline_ns > expiry.now)
		return;
	for (parked = TAILQ_FIRST(&route->parked); parked; parked = next_parked) {
		next_parked = TAILQ_NEXT(parked, link);
		plugc_tensors_expire(route, parked, expiry.now);
		if (parked->parked && parked->call_deadline_ns < expiry.next)
			expiry.next = parked->call_deadline_ns;
	}
	LIST_FOREACH (channel, &route->channels, link) {
		plugc_table_each(&channel->flights, expire_flight, &expiry);
		for (flight = TAILQ_FIRST(&channel->out); flight; flight = next) {
			next = TAILQ_NEXT(flight, link);
			expire(&expiry, flight->call);
		}
	}
	route->next_deadline_ns = expiry.next;
}

/* ---- dispatch ---- */

/* What was never taken there starts again. */
static void
move_calls(struct plugc_route *route)
{
	struct plug_client *client = route->client;
	struct plugc_call *call;

	while ((call = TAILQ_FIRST(&route->moving))) {
		plug_err err;

		TAILQ_REMOVE(&route->moving, call, link);
		plugc_route_unlock(route);
		err = plugc_send_moved(client, route, call);
		plugc_route_lock(route);
		if (err != PLUG_OK && !call->done) {
			call->ready = &route->ready;
			plugc_call_end(client, call, err, "%s", plugc_failed());
		}
	}
}

static void
on_arena(const struct plug_wake_arena *arena, int fd, void *user)
{
	plugc_channel_arena(user, arena, fd);
}

/* What came on the wake socket. */
static void
drain(struct plugc_channel *channel)
{
	unsigned count = 0;
	plug_err err = plugs_drain(channel->wake_fd, PLUGC_DISPATCH_MAX, on_arena, channel, &count);

	channel->readable = false;
	channel->route->counts.wakes_received += count;
	if (err == PLUG_EGONE)
		channel->gone = true;
	else if (err != PLUG_OK)
		plugc_channel_violate(channel, "a message on the wake socket that is none");
}

/* The number of records taken. */
static unsigned
take_from(struct plugc_channel *channel)
{
	bool armed = channel->armed, gone;
	unsigned count = 0;

	if (channel->reading) /* another thread does, and lets us know */
		return 0;
	channel->reading = true;
	plugc_channel_rise(channel);
	if (channel->readable || (armed && plugc_channel_look(channel, channel->seen)))
		drain(channel);
	do {
		gone = channel->gone;
		count += plugc_take(channel, NULL, PLUGC_DISPATCH_MAX);
		if (count < PLUGC_DISPATCH_MAX && plugc_channel_changed(channel))
			plugc_channel_settle(channel);
	} while (channel->gone && !gone && !channel->finished);
	if (count)
		plugs_spin_found(&channel->spin);
	plugc_flight_flush(channel);
	channel->reading = false;
	return count;
}

static unsigned
take_from_all(struct plugc_route *route)
{
	struct plugc_channel *channel, *next;
	unsigned count = 0;

	for (channel = LIST_FIRST(&route->channels); channel; channel = next) {
		channel->refs++;
		count += take_from(channel);
		plugc_channel_wake(channel);
		next = channel->finished ? LIST_FIRST(&route->channels) : LIST_NEXT(channel, link);
		plugc_channel_unref(channel);
	}
	return count;
}

/* True: the caller is to look again soon, and is not told of what comes until it does. */
static bool
leave(struct plugc_channel *channel)
{
	bool alone = !channel->finished && !channel->reading && TAILQ_EMPTY(&channel->waiters);

	if (alone && !channel->armed && channel->async && plugs_spin_glance(&channel->spin))
		return true;
	if (alone)
		plugs_spin_woke(&channel->spin);
	plugc_channel_hand_on(channel);
	return false;
}

static bool
leave_all(struct plugc_route *route)
{
	struct plugc_channel *channel, *next;
	bool soon = false;

	for (channel = LIST_FIRST(&route->channels); channel; channel = next) {
		channel->refs++;
		soon |= leave(channel);
		plugc_channel_wake(channel);
		next = channel->finished ? LIST_FIRST(&route->channels) : LIST_NEXT(channel, link);
		plugc_channel_unref(channel);
	}
	return soon;
}

struct round {
	unsigned taken;
	bool soon;
};

static void
dispatch_route(struct plugc_route *route, void *arg)
{
	struct round *round = arg;

	plugc_route_lock(route);
	round->taken += take_from_all(route);
	expire_route(route);
	plugc_tensors_ask(route);
	move_calls(route);
	plugc_run_ready(route->client, &route->lock, &route->ready);
	round->soon |= leave_all(route);
	plugc_route_tidy(route);
	plugc_route_unlock(route);
}

static unsigned
dispatch_channels(struct plug_client *client)
{
	struct round round = {.taken = 0};

	plugc_routes_each(client, dispatch_route, &round);
	atomic_store_explicit(&client->awake, round.soon, memory_order_relaxed);
	if (round.soon)
		plugc_loop_kick(client);
	return round.taken;
}

static bool
may_receive(const struct plug_client *client)
{
	return client->more_input || client->broken || client->state == PLUGC_GREETING ||
	       !TAILQ_EMPTY(&client->out);
}

static void
receive_all(struct plug_client *client)
{
	bool more = true;

	for (int i = 0; more && i < PLUGC_DISPATCH_MAX && client->fd >= 0; i++) {
		more = !client->reading; /* or a blocking call does, and lets us know */
		if (!more)
			break;
		client->reading = true;
		more = plugc_read(client, 0);
		client->reading = false;
		plugc_run_ready(client, &client->lock, &client->ready);
	}
	client->more_input = more && client->fd >= 0;
}

/* `look`: it takes a system call to find out whether something came. */
static plug_err
dispatch_control(struct plug_client *client, bool look)
{
	plug_err lost;

	pthread_mutex_lock(&client->lock);
	client->lost = PLUG_OK;
	look = look || client->calls.count;
	if ((look && plugc_loop_look(client)) || may_receive(client))
		receive_all(client);
	expire_all(client);
	plugc_run_ready(client, &client->lock, &client->ready);
	lost = client->lost;
	if (client->state == PLUGC_DOWN && !TAILQ_EMPTY(&client->out) &&
	    plugc_connect(client, false) != PLUG_OK)
		plugc_run_ready(client, &client->lock, &client->ready);
	plugc_loop_update(client);
	plugc_promote(client);
	pthread_mutex_unlock(&client->lock);
	return lost == PLUG_OK || lost == PLUG_EPROTO ? lost : PLUG_EUNREACHABLE;
}

/* System calls are saved where calls come and go all the time: the sockets are looked at when the
 * rings had nothing and the caller has waited for its descriptor, else now and then. */
plug_err
plug_client_dispatch(struct plug_client *client)
{
	const struct plug_client *outer = dispatched;
	bool waited = atomic_exchange_explicit(&client->polled, false, memory_order_relaxed);
	bool due = ++client->unlooked >= PLUGC_LOOK_EVERY;
	plug_err err = PLUG_OK;

	dispatched = client;
	plugc_loop_calm(client);
	if (dispatch_channels(client) == 0 || due) {
		if (due || waited)
			client->unlooked = 0;
		err = dispatch_control(client, due || waited);
		if (atomic_exchange_explicit(&client->wakes, false, memory_order_relaxed))
			dispatch_channels(client);
	}
	dispatched = outer;
	return err;
}
