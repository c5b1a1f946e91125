/* Starting and cancelling calls of the caller's event loop. */
#include <stdlib.h>
#include <string.h>

#include "plane.h"

/* A call and the copies of its request in one block. */
static struct plugc_call *
call_new(const struct plugc_out *out)
{
	size_t plugin = strlen(out->plugin) + 1, method = strlen(out->method) + 1;
	size_t type = strlen(out->content_type) + 1;
	size_t tensors = out->tensor_count * sizeof(*out->tensors);
	struct plugc_call *call =
		malloc(sizeof(*call) + tensors + plugin + method + type + out->size);
	char *at = (char *)(call + 1) + tensors;

	if (!call)
		return NULL;
	plugc_call_init(call, false);
	plugc_tensors_keep(&call->out, out, (struct plug_tensor *)(call + 1));
	call->out.plugin = memcpy(at, out->plugin, plugin);
	call->out.method = memcpy(at + plugin, out->method, method);
	call->out.content_type = memcpy(at + plugin + method, out->content_type, type);
	call->out.payload = (uint8_t *)at + plugin + method + type;
	if (out->size)
		memcpy(at + plugin + method + type, out->payload, out->size);
	call->out.method_length = out->method_length;
	call->out.type_length = out->type_length;
	call->out.size = out->size;
	call->out.copied = true;
	return call;
}

static plug_err
refuse_overloaded(struct plug_client *client, size_t bytes, const char *who)
{
	return plugc_fail(client, PLUG_EOVERLOADED,
			  "%zu bytes wait to be sent to %s, which reads slower than this program "
			  "writes; dispatch before sending more",
			  bytes, who);
}

/* Over plugd.  `moved`: it was on a channel before, and is not refused for want of room. */
static plug_err
send_control(struct plug_client *client, struct plugc_call *call, bool moved)
{
	plug_err err;

	if (call->out.size > client->call_bytes)
		return plugc_fail(client, PLUG_ETOOLARGE,
				  "the payload is %zu bytes, plugd takes at most %llu in a call",
				  call->out.size, (unsigned long long)client->call_bytes);
	if (client->out_bytes > PLUGC_QUEUE_BYTES && !moved)
		return refuse_overloaded(client, client->out_bytes, "plugd");
	if (client->state == PLUGC_DOWN && (err = plugc_connect(client, false)) != PLUG_OK)
		return err == PLUG_EOVERLOADED ? err : PLUG_EUNREACHABLE;
	call->ready = &client->ready;
	client->calls_control++;
	plugc_start(client, call);
	if (call->deadline_ns < client->next_deadline_ns)
		client->next_deadline_ns = call->deadline_ns;
	plugc_loop_update(client);
	return PLUG_OK;
}

/* *ret_taken: over the route's channel, if it has one. */
static plug_err
send_plane(struct plug_client *client, struct plugc_route *route, struct plugc_call *call,
	   bool moved, bool *ret_taken)
{
	struct plugc_channel *channel;

	*ret_taken = false;
	channel = plugc_route_channel(route);
	if (!channel)
		return PLUG_OK;
	if (call->out.size > channel->call_bytes)
		return plugc_fail(client, PLUG_ETOOLARGE,
				  "the payload is %zu bytes, %s takes at most %llu in a call",
				  call->out.size, route->name,
				  (unsigned long long)channel->call_bytes);
	if (channel->out_bytes > PLUGC_QUEUE_BYTES && !moved)
		return refuse_overloaded(client, channel->out_bytes, route->name);
	*ret_taken = true;
	call->ready = &route->ready;
	channel->refs++;
	plugc_flight_start(channel, call);
	plugc_flight_stamp(call);
	if (call->deadline_ns < route->next_deadline_ns)
		route->next_deadline_ns = call->deadline_ns;
	if (!channel->reading && !plugc_dispatching(client) && !atomic_load(&client->awake))
		plugc_channel_rest(channel);
	plugc_channel_wake(channel);
	plugc_channel_unref(channel);
	return PLUG_OK;
}

static plug_err
start(struct plug_client *client, struct plugc_route *route, struct plugc_call *call, bool moved)
{
	bool taken = false;
	plug_err err = PLUG_OK;

	if (route && !plugc_wary_marks(&route->wary, call)) {
		plugc_route_lock(route);
		err = send_plane(client, route, call, moved, &taken);
		plugc_route_unlock(route);
	}
	if (err != PLUG_OK || taken)
		return err;
	if (call->plane_only)
		return plugc_tensors_park(client, route, call);
	pthread_mutex_lock(&client->lock);
	err = send_control(client, call, moved);
	pthread_mutex_unlock(&client->lock);
	if (err == PLUG_OK && route)
		plugc_open_consider(client, route);
	if (route)
		plugc_route_tidy_later(route);
	return err;
}

static plug_err
prepare(struct plug_client *client, const struct plug_request *request, plug_on_done on_done,
	struct plugc_call **ret)
{
	struct plugc_call given = {.blocking = false};
	plug_err err;

	if (!on_done)
		return plugc_fail(client, PLUG_EINVAL, "on_done is NULL");
	err = plugc_out_prepare(client, &given, request);
	if (err != PLUG_OK)
		return err;
	if (client->closing)
		return plugc_fail(client, PLUG_ESTATE, "the connection to plugd is being closed");
	*ret = call_new(&given.out);
	if (!*ret)
		return plugc_fail(client, PLUG_ENOMEM, "no memory for a call");
	(*ret)->asked_ms = request->timeout_ms;
	(*ret)->plane_only = given.plane_only;
	return PLUG_OK;
}

plug_err
plug_client_send(struct plug_client *client, const struct plug_request *request,
		 plug_on_piece on_piece, plug_on_done on_done, void *user, uint64_t *ret_id)
{
	struct plugc_call *call;
	uint64_t id;
	plug_err err = prepare(client, request, on_done, &call);

	if (err != PLUG_OK)
		return err;
	id = call->entry.id = atomic_fetch_add(&client->last_id, 1) + 1;
	call->on_piece = on_piece;
	call->on_done = on_done;
	call->user = user;
	err = start(client, plugc_route_get(client, request->plugin), call, false);
	if (err != PLUG_OK) {
		plugc_tensors_let_go(&call->out);
		free(call);
	} else if (ret_id)
		*ret_id = id;
	return err;
}

plug_err
plugc_send_moved(struct plug_client *client, struct plugc_route *route, struct plugc_call *call)
{
	call->elsewhere = false;
	return start(client, route, call, true);
}

/* ---- cancel ---- */

static void
expire_within_grace(struct plugc_call *call, uint64_t *next_deadline_ns)
{
	uint64_t by = plugc_after_ms(plugc_now_ns(), PLUGC_GRACE_MS);

	call->expire_as = PLUG_ECANCELLED;
	if (by < call->deadline_ns)
		call->deadline_ns = by;
	if (call->deadline_ns < *next_deadline_ns)
		*next_deadline_ns = call->deadline_ns;
}

static plug_err
cancel_control(struct plug_client *client, uint64_t id)
{
	struct plugc_call *call = (struct plugc_call *)plugc_table_find(&client->calls, id);

	if (!call || call->done || call->blocking)
		return PLUG_ENOTFOUND;
	if (!call->sent && !call->out.started) {
		plugc_call_end(client, call, PLUG_ECANCELLED, "cancelled before it was sent");
	} else if (call->expire_as != PLUG_ECANCELLED) {
		plugc_out_remove(client, &call->out);
		call->sent = true;
		expire_within_grace(call, &client->next_deadline_ns);
		plugc_out_cancel(client, id, PLUG_ECANCELLED);
	}
	plugc_loop_update(client);
	return PLUG_OK;
}

struct cancel {
	struct plug_client *client;
	uint64_t id;
	plug_err err;
};

struct search {
	uint64_t id;
	struct plugc_call *found;
};

static void
match(struct plugc_call *call, struct search *search)
{
	if (call && call->entry.id == search->id && !call->blocking && !call->done)
		search->found = call;
}

static void
match_flight(struct plugc_entry *entry, void *arg)
{
	match(((struct plugc_flight *)entry)->call, arg);
}

/* By looking at all of them: it is rare. */
static struct plugc_call *
find_on_route(struct plugc_route *route, uint64_t id)
{
	struct search search = {.id = id};
	struct plugc_channel *channel;
	struct plugc_flight *flight;
	struct plugc_call *call;

	LIST_FOREACH (channel, &route->channels, link) {
		plugc_table_each(&channel->flights, match_flight, &search);
		TAILQ_FOREACH(flight, &channel->out, link)
		match(flight->call, &search);
	}
	TAILQ_FOREACH(call, &route->moving, link)
	match(call, &search);
	TAILQ_FOREACH(call, &route->parked, link)
	match(call, &search);
	return search.found;
}

static void
cancel_plane(struct plugc_route *route, struct plugc_call *call)
{
	struct plugc_channel *channel = call->flight ? call->flight->channel : NULL;

	if (call->elsewhere)
		TAILQ_REMOVE(&route->moving, call, link);
	if (call->parked)
		TAILQ_REMOVE(&route->parked, call, link);
	call->parked = false;
	if (!channel || !call->flight->started) {
		plugc_call_end(route->client, call, PLUG_ECANCELLED,
			       "cancelled before it was sent");
	} else if (call->expire_as != PLUG_ECANCELLED) {
		expire_within_grace(call, &route->next_deadline_ns);
		channel->refs++;
		plugc_flight_cancel(call->flight, PLUG_ECANCELLED);
		plugc_flight_push(channel);
		plugc_channel_wake(channel);
		plugc_channel_unref(channel);
	}
}

static void
cancel_on_route(struct plugc_route *route, void *arg)
{
	struct cancel *cancel = arg;
	struct plugc_call *call;

	if (cancel->err == PLUG_OK)
		return;
	plugc_route_lock(route);
	call = find_on_route(route, cancel->id);
	if (call) {
		cancel->err = PLUG_OK;
		cancel_plane(route, call);
	}
	plugc_route_unlock(route);
}

plug_err
plug_client_cancel(struct plug_client *client, uint64_t id)
{
	struct cancel cancel = {client, id, PLUG_ENOTFOUND};

	pthread_mutex_lock(&client->lock);
	cancel.err = cancel_control(client, id);
	pthread_mutex_unlock(&client->lock);
	plugc_routes_each(client, cancel_on_route, &cancel);
	return cancel.err;
}
