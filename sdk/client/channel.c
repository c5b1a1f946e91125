/*
 * How channels live and end.
 *
 * A channel takes new calls until the plugin closes it (closed_at), plugd says that the process is
 * not the one to ask any more (the status page), or it is gone.  It is finished when its last call
 * is: what nobody waits for keeps it too, until the plugin has answered or ended.
 *
 * - closed_at = N is the plugin's word, which counts while plugd's status page says that the
 * process was told to move: calls from N on were never taken and go elsewhere.  While the page says
 * LIVE nothing new goes there, and what was posted stays undecided.  closed_at is read first: plugd
 *   says MOVED before it tells the plugin.  One below what was answered, or above what was posted,
 *   is a lie.
 * - The end is end of file, or the page's word (a child of the plugin may still hold its socket).
 *   What is in the ring then is taken first.  A closed_at not believed before counts when the page
 *   says that the process ended in order; its word is waited for, because plugd learns of the death
 *   at the same time, and until then would give a call that is sent again to the dead process.
 *   What may be executed twice need not wait here for that: plugd holds it (ChannelGrant.holds).
 */
#include <stdio.h>
#include <sys/socket.h>

#include "plane.h"

/* ---- the end ---- */

static void
stop_taking(struct plugc_channel *channel)
{
	struct plugc_route *route = channel->route;

	channel->taking = false;
	if (route->channel == channel)
		route->channel = NULL;
	route->eager = true;
}

void
plugc_channel_finish(struct plugc_channel *channel)
{
	struct plugc_counts *counts = &channel->route->counts;

	if (channel->finished)
		return;
	stop_taking(channel);
	channel->finished = true;
	counts->closed++;
	counts->spin_hits += channel->spin.found;
	counts->spin_misses += channel->spin.slept;
	LIST_REMOVE(channel, link);
	atomic_fetch_sub(&channel->route->client->channel_count, 1);
	plugc_loop_remove(channel->route->client, channel->wake_fd); /* a child may have it, too */
	shutdown(channel->wake_fd, SHUT_RDWR); /* the plugin's end of file, and a reader's here */
	plugc_channel_unref(channel);
}

static void
finish_when_empty(struct plugc_channel *channel)
{
	if (!channel->taking && channel->flights.count == 0 && TAILQ_EMPTY(&channel->out))
		plugc_channel_finish(channel);
}

/* The call has to be sent another way; its thread or the event loop does it. */
static void
send_elsewhere(struct plugc_flight *flight)
{
	struct plugc_route *route = flight->channel->route;
	struct plugc_call *call = flight->call;

	plugc_flight_free(flight);
	if (!call)
		return;
	plugc_message_free(call->assembling);
	call->assembling = NULL;
	call->elsewhere = true;
	route->counts.resends++;
	if (call->blocking) {
		if (call->waiting)
			pthread_cond_signal(&call->wake);
	} else {
		TAILQ_INSERT_TAIL(&route->moving, call, link);
		plugc_loop_kick(route->client);
	}
}

/* What was queued and has no number yet was not posted. */
static void
move_unposted(struct plugc_channel *channel)
{
	struct plugc_flight *flight, *next;

	for (flight = TAILQ_FIRST(&channel->out); flight; flight = next) {
		next = TAILQ_NEXT(flight, link);
		if (flight->started)
			continue;
		if (flight->call && channel->gone && channel->holds)
			flight->call->died_channel = channel->number; /* it had no number there */
		send_elsewhere(flight);
	}
}

struct ending {
	struct plugc_channel *channel;
	plug_err outcome;
	const char *text;
	bool replay; /* what may be executed twice is */
	bool died;   /* as far as it is known: plugd is to see what was there, the next time */
};

static bool
may_replay(const struct plugc_flight *flight)
{
	return flight->call && flight->method && flight->method->idempotent && !flight->answering &&
	       !flight->call->replayed;
}

static void
mark_died(struct plugc_flight *flight)
{
	struct plugc_channel *channel = flight->channel;

	plugc_wary_add(&channel->route->wary, flight->call, channel->number, flight->entry.id);
}

static void
end_flight(struct plugc_entry *entry, void *arg)
{
	struct plugc_flight *flight = (struct plugc_flight *)entry;
	const struct ending *ending = arg;
	struct plugc_call *call = flight->call;

	if (call && ending->died && !call->plane_only)
		mark_died(flight);
	if (ending->replay && may_replay(flight)) {
		call->replayed = true;
		send_elsewhere(flight);
		return;
	}
	plugc_flight_free(flight);
	if (call)
		plugc_call_end(ending->channel->route->client, call, ending->outcome, "%s",
			       ending->text);
}

static void
end_all(struct plugc_channel *channel, struct ending ending)
{
	stop_taking(channel);
	move_unposted(channel);
	plugc_table_each(&channel->flights, end_flight, &ending);
	plugc_channel_finish(channel);
}

void
plugc_channel_end(struct plugc_channel *channel, plug_err outcome, const char *text)
{
	if (!channel->finished)
		end_all(channel, (struct ending){channel, outcome, text});
}

void
plugc_channel_violate(struct plugc_channel *channel, const char *what)
{
	struct plugc_route *route = channel->route;
	char text[PLUGC_TEXT_BYTES];

	if (channel->finished)
		return;
	route->counts.violations++;
	route->barred = channel->process;
	snprintf(text, sizeof(text),
		 "%s broke the rules of the channel: %s; calls go over plugd until the plugin "
		 "restarts",
		 route->name, what);
	plugc_channel_end(channel, PLUG_EPROTO, text);
	route->eager = false;
	route->pause_ns = plugc_after_ms(plugc_now_ns(), PLUGC_PAUSE_MAX_MS);
	route->again_ns = 0;
}

/* ---- what the other sides say ---- */

static uint64_t
read_closed_at(const struct plugc_channel *channel)
{
	return __atomic_load_n(&channel->peer.head->closed_at, __ATOMIC_SEQ_CST);
}

static uint32_t
read_status(const struct plugc_channel *channel)
{
	return __atomic_load_n(&channel->page->status, __ATOMIC_ACQUIRE);
}

static bool
differs(const struct plugc_channel *channel, struct plugc_seen seen)
{
	return (!seen.closed && read_closed_at(channel)) || read_status(channel) != seen.status;
}

bool
plugc_channel_changed(const struct plugc_channel *channel)
{
	return channel->gone || differs(channel, channel->seen);
}

bool
plugc_channel_look(struct plugc_channel *channel, struct plugc_seen seen)
{
	const uint8_t *body;
	size_t size;

	return plugs_peek(&channel->taker, &body, &size) != PLUG_EAGAIN || differs(channel, seen);
}

struct plugc_channel *
plugc_route_channel(struct plugc_route *route)
{
	struct plugc_channel *channel = route->channel;

	if (!channel || !plugc_channel_changed(channel))
		return channel;
	if (channel->gone && channel->flights.count)
		stop_taking(channel); /* whoever reads next resolves that: replies may be there */
	else
		plugc_channel_settle(channel); /* without a call nobody reads */
	return route->channel;
}

static void
move_from(struct plugc_entry *entry, void *arg)
{
	struct plugc_flight *flight = (struct plugc_flight *)entry;
	const uint64_t *closed_at = arg;

	if (entry->id >= *closed_at)
		send_elsewhere(flight);
}

/* False: it lies. */
static bool
take_closed_at(struct plugc_channel *channel, uint64_t closed_at)
{
	if (closed_at > channel->last_id + 1 || closed_at <= channel->answered) {
		plugc_channel_violate(channel, "it closed at a call that it had answered, or that "
					       "was never posted");
		return false;
	}
	channel->closed_at = closed_at;
	plugc_table_each(&channel->flights, move_from, &closed_at);
	return true;
}

/* What may be executed twice need not wait for plugd's word: it waits there. */
static void
leave_early(struct plugc_entry *entry, void *unused)
{
	struct plugc_flight *flight = (struct plugc_flight *)entry;
	struct plugc_call *call = flight->call;

	(void)unused;
	if (!may_replay(flight) || call->plane_only)
		return;
	mark_died(flight);
	call->replayed = true;
	call->died_channel = flight->channel->number;
	call->died_number = entry->id;
	send_elsewhere(flight);
}

/* The plugin is gone.  False: how it ended is not known yet. */
static bool
resolve_end(struct plugc_channel *channel)
{
	struct plugc_route *route = channel->route;
	uint64_t closed_at = channel->closed_at ? 0 : read_closed_at(channel);
	uint32_t status = read_status(channel);
	char text[PLUGC_TEXT_BYTES];

	if (channel->holds && status == PLUG_STATUS_LIVE && !closed_at)
		plugc_table_each(&channel->flights, leave_early, NULL);
	/* What goes on over plugd must not be handed to the same process once more, and whether
	 * closed_at is true only the end tells. */
	if (channel->flights.count &&
	    status < (closed_at ? PLUG_STATUS_ENDED : PLUG_STATUS_MOVED)) {
		uint64_t now = plugc_now_ns();

		channel->seen.status = status;

		if (!channel->ending_until_ns)
			channel->ending_until_ns = plugc_after_ms(now, PLUGC_ENDED_MS);
		if (now < channel->ending_until_ns)
			return false;
	}
	if (closed_at && status == PLUG_STATUS_ENDED && !take_closed_at(channel, closed_at))
		return true;
	snprintf(text, sizeof(text),
		 "%s went away before it answered; the call may have been executed: see `plugctl "
		 "crashes %s`, then call again",
		 route->name, route->name);
	end_all(channel, (struct ending){channel, PLUG_EGONE, text, .replay = true,
					 .died = status == PLUG_STATUS_DEAD ||
						 (status == PLUG_STATUS_MOVED && !closed_at)});
	return true;
}

/* What the plugin and plugd say while the plugin is there. */
static void
settle_living(struct plugc_channel *channel)
{
	uint64_t closed_at = read_closed_at(channel);
	uint32_t status = read_status(channel);

	channel->seen = (struct plugc_seen){status, closed_at != 0};
	if (channel->taking && (closed_at || status != PLUG_STATUS_LIVE)) {
		channel->route->counts.moves++;
		stop_taking(channel);
		move_unposted(channel);
	}
	if (status >= PLUG_STATUS_ENDED)
		channel->gone = true; /* the ring comes first */
	else if (closed_at && status == PLUG_STATUS_MOVED && !channel->closed_at)
		take_closed_at(channel, closed_at);
}

void
plugc_channel_settle(struct plugc_channel *channel)
{
	bool gone = channel->gone;

	if (channel->finished)
		return;
	channel->refs++; /* a lie ends it, and there may be nobody inside */
	if (!gone)
		settle_living(channel);
	if (!channel->gone)
		finish_when_empty(channel);
	else if (gone || channel->flights.count == 0) /* without a call nobody looks again */
		resolve_end(channel);
	plugc_channel_unref(channel);
}

/* ---- sleeping and waking ---- */

/* All calls are answered, so that the plugin has nothing to post, and it knows of enough room for
 * the next answer. */
static bool
nothing_to_tell(const struct plugc_channel *channel)
{
	const struct plugs_taker *taker = &channel->taker;

	return channel->flights.count == 0 && taker->position - taker->told < taker->ring_bytes / 4;
}

void
plugc_channel_rest(struct plugc_channel *channel)
{
	struct plug_client *client = channel->route->client;
	bool full;

	if (channel->finished || channel->armed)
		return;
	if (!TAILQ_EMPTY(&channel->out))
		plugc_flight_flush(channel);
	if (!nothing_to_tell(channel) && plugs_tell_taken(&channel->taker))
		channel->wake_due = true;
	if (!channel->async && !plugc_loop_is_there(client))
		return;
	full = !TAILQ_EMPTY(&channel->out);
	channel->armed = true;
	plugs_sleep_begin(&channel->own, PLUG_SLEEP_RECORDS | (full ? PLUG_SLEEP_ROOM : 0));
	if (plugc_channel_look(channel, channel->seen) || (full && plugc_flight_flush(channel)))
		plugc_loop_kick(client);
}

void
plugc_channel_rise(struct plugc_channel *channel)
{
	if (channel->armed)
		plugs_sleep_end(&channel->own);
	channel->armed = false;
}

void
plugc_channel_arena(struct plugc_channel *channel, const struct plug_wake_arena *arena, int fd)
{
	plugs_exchange_on_arena(arena, fd, channel->exchange);
}

void
plugc_channel_wake(struct plugc_channel *channel)
{
	if (!channel->wake_due)
		return;
	channel->wake_due = false;
	channel->route->counts.wakes_sent++;
	plugc_route_unlock(channel->route);
	plugs_wake(channel->wake_fd);
	plugc_route_lock(channel->route);
}
