/*
 * Asking plugd for channels.
 *
 * A route asks when calls come often, or when its channel has ended, and goes on over plugd until
 * the grant is there.  The request is a plugc_call of the control plane without a caller: it ends
 * with the grant, with the connection, or when the next call finds it overdue.  route->asking is
 * true from before the region is made until then.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "plane.h"

#define SOCKET_S       1                       /* SO_RCVTIMEO of the wake socket */
#define CALL_BYTES_MAX (1024ull * 1024 * 1024) /* no limit of plugd's is believed beyond this */
#define METHODS_MAX    1024

/* ---- asking ---- */

/* At once, then after 2, 4, 8 … milliseconds. */
static void
ask_again(struct plugc_route *route, uint64_t now_ns)
{
	uint64_t ms = 0;

	if (now_ns > plugc_after_ms(route->again_ns, PLUGC_PAUSE_MS))
		route->agains = 0; /* nobody needed one meanwhile */
	if (route->agains)
		ms = route->agains < 6 ? 1u << route->agains : PLUGC_AGAIN_MS;
	if (route->agains < 6)
		route->agains++;
	route->again_ns = plugc_after_ms(now_ns, ms);
	plugc_tensors_go_on(route);
}

static void
stop_asking(struct plugc_route *route, uint64_t pause_ms, bool again)
{
	uint64_t now = plugc_now_ns();

	plugc_route_lock(route);
	route->asking = false;
	route->pause_ns = plugc_after_ms(now, pause_ms);
	if (again) {
		ask_again(route, now);
	} else {
		route->again_ns = 0;
		plugc_tensors_unpark(route, false);
	}
	plugc_route_unlock(route);
}

static plug_err
make_region(struct plug_client *client, struct plugc_route *route)
{
	if (!route->region_bytes)
		route->region_bytes = client->region_bytes;
	return plugs_region_make(PLUG_SIDE_CALLER, 0, route->region_bytes, &route->region,
				 &route->region_fd);
}

/* Needs client->lock. */
static void
start_request(struct plug_client *client, struct plugc_route *route)
{
	struct plugc_call *call = &route->opening;

	plugc_call_init(call, true);
	call->route = route;
	call->asked_ms = PLUGC_OPEN_MS;
	call->out.plugin = route->name;
	if (client->closing || (client->state != PLUGC_READY && client->state != PLUGC_GREETING))
		plugc_open_failed(client, route, PLUG_EUNREACHABLE);
	else
		plugc_start(client, call);
}

static void
send_request(struct plug_client *client, struct plugc_route *route)
{
	plug_err err = make_region(client, route);

	pthread_mutex_lock(&client->lock);
	if (err == PLUG_OK)
		start_request(client, route);
	else
		plugc_open_failed(client, route, err);
	pthread_mutex_unlock(&client->lock);
}

/* The grant does not come: plugd is hung. */
static void
give_up(struct plug_client *client, struct plugc_route *route)
{
	pthread_mutex_lock(&client->lock);
	if (route->opening.tabled)
		plugc_call_end(client, &route->opening, PLUG_ETIMEOUT, "no grant came");
	pthread_mutex_unlock(&client->lock);
}

/* `needed`: not only because calls come often.  False: it would be in vain for long. */
static bool
consider(struct plug_client *client, struct plugc_route *route, bool needed)
{
	uint64_t now = plugc_now_ns();
	bool hot, ask, overdue, paused, soon;

	plugc_route_lock(route);
	hot = needed || route->eager ||
	      (route->last_ns && now - route->last_ns < PLUGC_HOT_MS * 1000000ull);
	route->last_ns = now;
	overdue = route->asking && now > route->asked_until_ns;
	paused = now < route->pause_ns;
	if (needed && paused) /* there is no other way: a short pause is not kept */
		paused = route->pause_ns - now > PLUGC_PAUSE_MS * 1000000ull;
	soon = needed && now < route->again_ns;
	ask = hot && !route->channel && !route->asking && !paused && !soon;
	if (ask) {
		route->asking = true;
		if (!route->again_ns) {
			route->refusal[0] = '\0';
			route->denied = false;
		}
		route->eager = false;
		route->asked_until_ns = plugc_after_ms(now, PLUGC_OPEN_MS);
	}
	plugc_route_unlock(route);
	if (overdue)
		give_up(client, route);
	if (ask)
		send_request(client, route);
	return soon || !paused;
}

void
plugc_open_consider(struct plug_client *client, struct plugc_route *route)
{
	consider(client, route, false);
}

bool
plugc_open_ask(struct plug_client *client, struct plugc_route *route)
{
	bool hopeful = consider(client, route, true);

	plugc_route_lock(route);
	if (route->channel)
		hopeful = true;
	else if (route->asking)
		hopeful = plugc_now_ns() <= route->asked_until_ns;
	else /* the refusal may have come already */
		hopeful = hopeful && route->again_ns;
	plugc_route_unlock(route);
	return hopeful;
}

bool
plugc_open_came(struct plug_client *client, struct plugc_route *route)
{
	bool asking, came;

	plugc_route_lock(route);
	asking = route->asking;
	plugc_route_unlock(route);
	if (!asking)
		return false;
	plugc_read_now(client);
	plugc_route_lock(route);
	came = route->channel != NULL;
	plugc_route_unlock(route);
	return came;
}

void
plugc_open_outcome(struct plugc_route *route, plug_err outcome)
{
	if (outcome != PLUG_EGONE && outcome != PLUG_EUNAVAILABLE)
		return;
	plugc_route_lock(route);
	route->pause_ns = 0;
	plugc_route_unlock(route);
}

/* The request is over. */
static void
close_request(struct plug_client *client, struct plugc_route *route)
{
	struct plugc_call *call = &route->opening;

	call->done = true;
	plugc_out_remove(client, &call->out);
	if (call->tabled)
		plugc_table_remove(&client->calls, &call->entry);
	call->tabled = false;
	if (route->region_fd >= 0)
		close(route->region_fd);
	route->region_fd = -1;
	plugs_region_fini(&route->region);
}

static void
end_request(struct plug_client *client, struct plugc_route *route, plug_err why, const char *text,
	    bool again)
{
	close_request(client, route);
	plugc_route_lock(route);
	route->counts.refused++;
	snprintf(route->refusal, sizeof(route->refusal), "%s", text);
	route->denied = why == PLUG_EDENIED;
	plugc_route_unlock(route);
	stop_asking(route,
		    why == PLUG_ESTATE || why == PLUG_EDENIED ? PLUGC_PAUSE_MAX_MS : PLUGC_PAUSE_MS,
		    again);
	plugc_tensors_tell(client, route);
}

void
plugc_open_failed(struct plug_client *client, struct plugc_route *route, plug_err why)
{
	end_request(client, route, why, plug_err_text(why), false);
}

void
plugc_open_sent(struct plugc_route *route)
{
	close(route->region_fd);
	route->region_fd = -1;
}

/* ---- the grant ---- */

static plug_err
copy_methods(struct plugc_channel *channel, const Plug__ChannelGrant *grant)
{
	size_t count = grant->n_methods < METHODS_MAX ? grant->n_methods : METHODS_MAX;

	channel->methods = calloc(count ? count : 1, sizeof(*channel->methods));
	if (!channel->methods)
		return PLUG_ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const Plug__Method *from = grant->methods[i];
		struct plugc_method *method = &channel->methods[i];

		method->name = strdup(plug_str(from->name));
		if (!method->name)
			return PLUG_ENOMEM;
		method->length = strlen(method->name);
		method->timeout_ms = from->timeout_ms;
		method->stream = from->stream;
		method->idempotent = from->idempotent;
		channel->method_count++;
	}
	return PLUG_OK;
}

static void
copy_limits(struct plugc_channel *channel, const Plug__Limits *limits)
{
	uint64_t call = limits ? limits->call_bytes : 0, window = limits ? limits->window_bytes : 0;

	if (!call)
		call = PLUG_CALL_BYTES;
	channel->call_bytes = call < CALL_BYTES_MAX ? call : CALL_BYTES_MAX;
	channel->window_bytes = window ? window : PLUG_WINDOW_BYTES;
	if (channel->window_bytes > CALL_BYTES_MAX)
		channel->window_bytes = CALL_BYTES_MAX;
}

static plug_err
map_page(struct plugc_channel *channel, int fd)
{
	void *page;

	if (plugs_size_sealed(fd, PLUG_STATUS_BYTES))
		return PLUG_EPROTO;
	page = mmap(NULL, PLUG_STATUS_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return PLUG_ENOMEM;
	channel->page = page;
	return channel->page->magic == PLUG_STATUS_MAGIC ? PLUG_OK : PLUG_EPROTO;
}

/* One recv() is to wait for a wake byte, and to look at deadlines now and then. */
static plug_err
take_socket(struct plugc_channel *channel, int fd)
{
	struct timeval wait = {.tv_sec = SOCKET_S};

	channel->wake_fd = fd;
	channel->exchange = plugs_exchange_new(PLUG_SIDE_CALLER, fd);
	if (!channel->exchange)
		return PLUG_ENOMEM;
	plugs_exchange_on_due(channel->exchange, plugc_tensors_due, channel);
	if (fcntl(fd, F_SETFL, 0) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0)
		return PLUG_EPROTO;
	return PLUG_OK;
}

/* *ret_guilty: it is the plugin's fault. */
static plug_err
build(struct plug_client *client, struct plugc_channel *channel, const Plug__ChannelGrant *grant,
      bool *ret_guilty)
{
	struct plugc_route *route = channel->route;
	const char *why;
	plug_err err;

	channel->own = route->region;
	route->region = (struct plugs_region){.head = NULL};
	channel->number = grant->channel;
	channel->process.generation = grant->generation;
	channel->holds = grant->holds;
	snprintf(channel->process.instance, sizeof(channel->process.instance), "%s",
		 plug_str(grant->instance));
	copy_limits(channel, grant->limits);
	err = copy_methods(channel, grant);
	if (err == PLUG_OK)
		err = take_socket(channel, client->in_fds[1]);
	client->in_fds[1] = channel->wake_fd >= 0 ? -1 : client->in_fds[1];
	if (err == PLUG_OK)
		err = map_page(channel, client->in_fds[2]);
	if (err != PLUG_OK)
		return err;
	err = plugs_region_map(client->in_fds[0], PLUG_SIDE_PLUGIN, grant->region_bytes,
			       &channel->peer, &why);
	*ret_guilty = err == PLUG_EPROTO;
	if (err != PLUG_OK)
		return err;
	plugs_poster_init(&channel->poster, &channel->own, &channel->peer);
	plugs_taker_init(&channel->taker, &channel->own, &channel->peer);
	return PLUG_OK;
}

static void
install(struct plugc_route *route, struct plugc_channel *channel)
{
	plugc_route_lock(route);
	route->counts.opened++;
	route->asking = false;
	route->again_ns = 0;
	route->refusal[0] = '\0';
	route->denied = false;
	channel->taking = true;
	atomic_fetch_add(&route->client->channel_count, 1);
	LIST_INSERT_HEAD(&route->channels, channel, link);
	route->channel = channel;
	plugc_loop_add(route->client, channel->wake_fd, channel->serial);
	plugc_channel_rest(channel);
	plugc_tensors_unpark(route, true);
	plugc_route_tidy(route);
	plugc_route_unlock(route);
	plugc_tensors_tell(route->client, route);
}

static bool
is_barred(const struct plugc_route *route, const struct plugc_process *process)
{
	return route->barred.generation == process->generation &&
	       strcmp(route->barred.instance, process->instance) == 0;
}

/* A channel of a process that broke the rules before, or does with its region. */
static void
bar(struct plugc_route *route, const struct plugc_channel *channel, bool violated)
{
	plugc_route_lock(route);
	route->barred = channel->process;
	route->counts.violations += violated;
	plugc_route_unlock(route);
	stop_asking(route, PLUGC_PAUSE_MAX_MS, false);
}

static void
take_grant(struct plug_client *client, struct plugc_route *route, const Plug__ChannelGrant *grant)
{
	struct plugc_channel *channel = plugc_channel_new(route);
	bool guilty = false;
	plug_err err;

	if (!channel) {
		plugc_open_failed(client, route, PLUG_ENOMEM);
		return;
	}
	err = build(client, channel, grant, &guilty);
	if (err == PLUG_OK && !is_barred(route, &channel->process)) {
		close_request(client, route);
		install(route, channel);
		return;
	}
	plugc_open_failed(client, route, err);
	if (err == PLUG_OK || guilty)
		bar(route, channel, guilty);
	plugc_channel_free(channel);
}

/* plugd takes smaller regions only: ask again for one, at once.  False: that is not it. */
static bool
ask_for_less(struct plug_client *client, struct plugc_route *route, const Plug__ChannelGrant *grant)
{
	uint64_t allowed = grant->region_bytes & ~4095ull;

	if (grant->outcome != PLUG_ETOOLARGE || allowed < PLUG_REGION_BYTES_MIN ||
	    allowed >= route->region_bytes)
		return false;
	close_request(client, route);
	route->region_bytes = allowed;
	if (make_region(client, route) != PLUG_OK)
		return false;
	start_request(client, route);
	return true;
}

static void
refused(struct plug_client *client, struct plugc_route *route, const Plug__ChannelGrant *grant)
{
	plug_err why = (plug_err)grant->outcome;
	const char *text = plug_str(grant->message);

	if (ask_for_less(client, route, grant))
		return;
	plugc_route_lock(route);
	route->patience_ms = grant->timeout_ms;
	plugc_route_unlock(route);
	end_request(client, route, why, *text ? text : plug_err_text(why), grant->again);
}

void
plugc_open_granted(struct plug_client *client, struct plugc_route *route, Plug__Envelope *env)
{
	const Plug__ChannelGrant *grant = env->channel_grant;

	if (grant->outcome != PLUG_OK)
		refused(client, route, grant);
	else if (client->in_fds_lost)
		plugc_open_failed(client, route, PLUG_ESYS);
	else if (client->in_fds[PLUGC_FDS_MAX - 1] < 0)
		plugc_lose(client, PLUG_EPROTO,
			   "plugd granted a channel without its three descriptors; the connection "
			   "is closed");
	else
		take_grant(client, route, grant);
	plug_envelope_free(env);
}
