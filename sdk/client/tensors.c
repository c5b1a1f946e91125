/*
 * Calls with tensors: they need a channel, and wait for one.
 *
 * What a call lends is pinned by its flight, which lives until the plugin's last word on it, or
 * until the channel ends.  What a reply lends belongs to the reply; when it is given up, word of it
 * goes with the next call, or at once when much has come together.
 */
#include <stdlib.h>
#include <string.h>

#include "plane.h"

/* ---- waiting for a channel ---- */

static void
end_unavailable(struct plug_client *client, struct plugc_route *route, struct plugc_call *call)
{
	if (!route)
		plugc_call_end(client, call, PLUG_EUNAVAILABLE,
			       "tensors need a channel to %s, and the data plane is off here: see "
			       "$PLUG_DATA_PLANE and plug_client_config.data_plane",
			       call->out.plugin);
	else
		plugc_call_end(client, call, route->denied ? PLUG_EDENIED : PLUG_EUNAVAILABLE,
			       "tensors need a channel to %s, and there is none now: %s",
			       route->name,
			       *route->refusal ? route->refusal : "it was refused a moment ago");
}

static void
end_refused(struct plug_client *client, struct plugc_route *route, struct plugc_call *call)
{
	if (route)
		plugc_route_lock(route);
	end_unavailable(client, route, call);
	if (route)
		plugc_route_unlock(route);
}

static void
end_late(struct plugc_route *route, struct plugc_call *call)
{
	plugc_call_end(route->client, call, PLUG_ETIMEOUT,
		       "no channel to %s was granted within %llu ms%s%s", route->name,
		       (unsigned long long)call->timeout_ms,
		       *route->refusal ? "; it was refused the last time because: " : "",
		       route->refusal);
}

/* A call that leaves its deadline to plugd has one also while there is no channel, which would tell
 * that of the method. */
static void
be_patient(struct plugc_route *route, struct plugc_call *call)
{
	if (call->call_deadline_ns != PLUGC_NEVER || !route->again_ns)
		return;
	call->patient = true;
	call->timeout_ms = route->patience_ms;
	plugc_flight_stamp(call);
}

static void
forget_patience(struct plugc_call *call)
{
	if (!call->patient)
		return;
	call->patient = false;
	call->timeout_ms = 0;
	call->call_deadline_ns = call->deadline_ns = PLUGC_NEVER;
}

/* Needs client->lock. */
static void
wait_a_step(struct plug_client *client, struct plugc_call *call)
{
	plug_err err = plugc_wait_once(client, call, call->deadline_ns);

	if (err != PLUG_OK && client->state == PLUGC_DOWN)
		plugc_call_end(client, call, err, "%s", plugc_failed());
	plugc_call_expire(client, call, plugc_now_ns());
}

/* Needs client->lock. */
static void
wait_until_ready(struct plug_client *client, struct plugc_call *call)
{
	while (client->state != PLUGC_READY && !call->done)
		wait_a_step(client, call);
}

/* Needs client->lock.  Plugd answers the greeting while the region is made. */
static void
wait_until_greeting(struct plug_client *client, struct plugc_call *call)
{
	while (client->state != PLUGC_READY && client->state != PLUGC_GREETING && !call->done)
		wait_a_step(client, call);
}

/* Its deadline, unless a channel that it was on has given it one. */
static void
begin(struct plugc_call *call)
{
	if (call->call_deadline_ns == PLUGC_NEVER)
		call->timeout_ms = call->asked_ms;
	plugc_flight_stamp(call);
}

static uint64_t
opened(struct plugc_route *route)
{
	uint64_t count;

	plugc_route_lock(route);
	count = route->counts.opened;
	plugc_route_unlock(route);
	return count;
}

/* Until when to wait before asking again or giving up; 0: no longer, there was an answer. */
static uint64_t
next_look(struct plugc_route *route, struct plugc_call *call, uint64_t before)
{
	uint64_t until = 0;

	plugc_route_lock(route);
	if (route->channel || route->counts.opened != before)
		until = 0; /* it may be gone already, which is found out elsewhere */
	else if (route->asking)
		until = route->asked_until_ns + 1;
	else
		until = route->again_ns;
	be_patient(route, call);
	if (until && plugc_now_ns() >= call->call_deadline_ns)
		end_late(route, call);
	plugc_route_unlock(route);
	return until;
}

/* Needs client->lock, which it releases meanwhile. */
static bool
ask(struct plug_client *client, struct plugc_route *route)
{
	bool hopeful;

	pthread_mutex_unlock(&client->lock);
	hopeful = plugc_open_ask(client, route);
	pthread_mutex_lock(&client->lock);
	return hopeful;
}

/* Needs client->lock.  True: there is a channel, or was a moment ago. */
static bool
wait_for_grant(struct plug_client *client, struct plugc_route *route, struct plugc_call *call)
{
	uint64_t before = opened(route), until;
	bool hopeful = ask(client, route);

	while (hopeful && (until = next_look(route, call, before)) && !call->done) {
		if (until <= plugc_now_ns()) {
			hopeful = ask(client, route);
			continue;
		}
		if (client->state != PLUGC_READY)
			wait_until_ready(client, call);
		else
			plugc_wait_once(client, call,
					until < call->call_deadline_ns ? until
								       : call->call_deadline_ns);
	}
	plugc_route_lock(route);
	hopeful = route->channel || route->counts.opened != before;
	plugc_route_unlock(route);
	return hopeful;
}

bool
plugc_tensors_wait(struct plug_client *client, struct plugc_route *route, struct plugc_call *call)
{
	bool there = false;

	begin(call);
	call->awaits = route;
	pthread_mutex_lock(&client->lock);
	if (route)
		wait_until_greeting(client, call);
	if (route && !call->done)
		there = wait_for_grant(client, route, call);
	if (route && !there && client->state != PLUGC_READY) { /* it was lost before plugd heard */
		wait_until_ready(client, call);
		if (!call->done)
			there = wait_for_grant(client, route, call);
	}
	call->awaits = NULL;
	if (!there)
		end_refused(client, route, call);
	else if (!call->done)
		forget_patience(call);
	plugc_promote(client);
	pthread_mutex_unlock(&client->lock);
	return call->done;
}

void
plugc_tensors_tell(struct plug_client *client, struct plugc_route *route)
{
	struct plugc_call *call;

	TAILQ_FOREACH(call, &client->waiters, link)
	{
		if (call->awaits == route)
			pthread_cond_signal(&call->wake);
	}
}

/* ---- the same in the event loop ---- */

static void
bound(struct plugc_route *route, const struct plugc_call *call)
{
	if (call->call_deadline_ns < route->next_deadline_ns)
		route->next_deadline_ns = call->call_deadline_ns;
}

plug_err
plugc_tensors_park(struct plug_client *client, struct plugc_route *route, struct plugc_call *call)
{
	plug_err err = PLUG_OK;
	bool hopeful;

	if (!route)
		return plugc_fail(
			client, PLUG_EUNAVAILABLE,
			"tensors need a channel to %s, and the data plane is off here: see "
			"$PLUG_DATA_PLANE and plug_client_config.data_plane",
			call->out.plugin);
	pthread_mutex_lock(&client->lock);
	if (client->state == PLUGC_DOWN)
		err = plugc_connect(client, false);
	pthread_mutex_unlock(&client->lock);
	if (err != PLUG_OK)
		return err == PLUG_EOVERLOADED ? err : PLUG_EUNREACHABLE;

	plugc_route_lock(route);
	begin(call);
	call->ready = &route->ready;
	call->parked = true;
	TAILQ_INSERT_TAIL(&route->parked, call, link);
	bound(route, call);
	plugc_route_unlock(route);

	hopeful = plugc_open_ask(client, route);
	plugc_route_lock(route);
	if (!hopeful || route->channel)
		plugc_tensors_unpark(route, hopeful);
	plugc_route_unlock(route);
	return PLUG_OK;
}

void
plugc_tensors_ask(struct plugc_route *route)
{
	bool hopeful;

	if (TAILQ_EMPTY(&route->parked) || route->asking || !route->again_ns ||
	    plugc_now_ns() < route->again_ns)
		return;
	plugc_route_unlock(route);
	hopeful = plugc_open_ask(route->client, route);
	plugc_route_lock(route);
	if (!hopeful)
		plugc_tensors_unpark(route, false);
}

void
plugc_tensors_go_on(struct plugc_route *route)
{
	struct plugc_call *call;

	TAILQ_FOREACH(call, &route->parked, link)
	{
		be_patient(route, call);
		bound(route, call);
	}
	if (!TAILQ_EMPTY(&route->parked) && !plugc_dispatching(route->client))
		plugc_loop_kick(route->client); /* it sleeps until another time */
}

static void
unpark(struct plugc_route *route, struct plugc_call *call)
{
	TAILQ_REMOVE(&route->parked, call, link);
	call->parked = false;
}

void
plugc_tensors_expire(struct plugc_route *route, struct plugc_call *call, uint64_t now_ns)
{
	if (now_ns < call->call_deadline_ns)
		return;
	unpark(route, call);
	end_late(route, call);
}

void
plugc_tensors_unpark(struct plugc_route *route, bool granted)
{
	struct plugc_call *call;

	while ((call = TAILQ_FIRST(&route->parked))) {
		unpark(route, call);
		if (granted) {
			forget_patience(call);
			call->elsewhere = true;
			TAILQ_INSERT_TAIL(&route->moving, call, link);
			plugc_loop_kick(route->client);
		} else {
			end_unavailable(route->client, route, call);
		}
	}
}

/* ---- requests ---- */

void
plugc_tensors_keep(struct plugc_out *out, const struct plugc_out *from, struct plug_tensor *to)
{
	out->tensors = to;
	out->tensor_count = from->tensor_count;
	for (size_t i = 0; i < from->tensor_count; i++) {
		to[i] = from->tensors[i];
		plug_tensor_ref(&to[i]);
	}
}

void
plugc_tensors_let_go(struct plugc_out *out)
{
	for (size_t i = 0; out->copied && i < out->tensor_count; i++)
		plug_tensor_unref(&out->tensors[i]);
	out->tensor_count = 0;
}

plug_err
plugc_tensors_lend(struct plugc_flight *flight, struct plugs_tensor *wire,
		   struct plugs_message *message)
{
	const struct plugc_out *out = &flight->call->out;
	plug_err err = plugs_exchange_send(flight->channel->exchange, out->tensors,
					   out->tensor_count, wire, &flight->pins);

	/* A socket that is full, or one that is gone, which whoever reads will notice. */
	if (err == PLUG_EAGAIN || err == PLUG_EGONE)
		return PLUG_EOVERLOADED;
	if (err != PLUG_OK) {
		flight->refusal = err;
		return PLUG_EINVAL;
	}
	message->tensors = wire;
	message->tensor_count = (uint32_t)out->tensor_count;
	return PLUG_OK;
}

/* ---- replies ---- */

void
plugc_tensors_drain(struct plugc_channel *channel)
{
	unsigned count = 0;
	plug_err err = plugs_drain(channel->wake_fd, PLUG_ARENAS_MAX + PLUGC_DISPATCH_MAX,
				   plugs_exchange_on_arena, channel->exchange, &count);

	channel->route->counts.wakes_received += count;
	if (err == PLUG_EGONE)
		channel->gone = true;
}

static plug_err
receive(struct plugc_channel *channel, const struct plugs_message *from, struct plug_tensor *ret)
{
	plug_err err = plugs_exchange_receive(channel->exchange, from->tensors, from->tensor_count,
					      false, ret);

	if (err != PLUG_EAGAIN)
		return err;
	plugc_tensors_drain(channel); /* the arena was sent before the record */
	return plugs_exchange_receive(channel->exchange, from->tensors, from->tensor_count, true,
				      ret);
}

plug_err
plugc_tensors_take(struct plugc_channel *channel, const struct plugs_message *from,
		   struct plugc_message *message)
{
	bool wanted = message && from->code == PLUG_OK && !from->partial;
	size_t count = from->tensor_count;
	struct plug_tensor *tensors = wanted ? malloc(count * sizeof(*tensors)) : NULL;
	plug_err err;

	if (!tensors) {
		plugs_exchange_discard(channel->exchange, from->tensors, count);
		return wanted ? PLUG_ENOMEM : PLUG_OK;
	}
	err = receive(channel, from, tensors);
	if (err != PLUG_OK) {
		free(tensors);
		return err;
	}
	message->tensors = tensors;
	message->pub.tensors = tensors;
	message->pub.tensor_count = count;
	return PLUG_OK;
}

void
plugc_tensors_return(struct plugc_channel *channel)
{
	struct plugs_buffer buffers[PLUGS_BUFFERS_MAX];
	struct plugs_message message = {
		.kind = PLUGS_RELEASE,
		.buffers = buffers,
		.buffer_count = PLUGS_BUFFERS_MAX,
	};
	uint8_t *body;

	while (plugs_exchange_has_returns(channel->exchange) &&
	       plugs_reserve(&channel->poster, plugs_message_bound(&message), &body) == PLUG_OK) {
		size_t count =
			plugs_exchange_take_returns(channel->exchange, buffers, PLUGS_BUFFERS_MAX);

		message.buffer_count = (uint32_t)count;
		if (count && plugs_post(&channel->poster, plugs_message_pack(&message, body)))
			channel->wake_due = true;
		message.buffer_count = PLUGS_BUFFERS_MAX;
	}
}

void
plugc_tensors_due(void *user)
{
	struct plugc_channel *channel = user;
	struct plugc_route *route = channel->route;

	/* Whoever has the lock may be this thread, or one that posts the next call. */
	if (pthread_mutex_trylock(&route->lock) != 0)
		return;
	if (!channel->finished && !channel->gone) {
		plugc_tensors_return(channel);
		if (channel->wake_due) {
			channel->wake_due = false;
			route->counts.wakes_sent++;
			plugs_wake(channel->wake_fd);
		}
	}
	pthread_mutex_unlock(&route->lock);
}
