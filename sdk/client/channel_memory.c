/* The memory of channels, and when it is given back. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plane.h"

struct plugc_channel *
plugc_channel_new(struct plugc_route *route)
{
	struct plugc_channel *channel = calloc(1, sizeof(*channel));

	if (!channel)
		return NULL;
	channel->tensors = malloc(PLUGS_TENSORS_MAX * sizeof(*channel->tensors));
	if (!channel->tensors || plugc_table_init(&channel->flights) != PLUG_OK) {
		free(channel->tensors);
		free(channel);
		return NULL;
	}
	channel->route = route;
	channel->refs = 1;
	channel->serial = atomic_fetch_add(&route->client->last_serial, 1) + 1;
	channel->wake_fd = -1;
	channel->seen.status = PLUG_STATUS_LIVE;
	plugs_spin_init(&channel->spin, route->client->spin_ns);
	TAILQ_INIT(&channel->out);
	TAILQ_INIT(&channel->spare);
	TAILQ_INIT(&channel->waiters);
	return channel;
}

static void
free_methods(struct plugc_channel *channel)
{
	for (size_t i = 0; i < channel->method_count; i++)
		free(channel->methods[i].name);
	free(channel->methods);
}

/* Not here: giving its memory back takes longer than a call, and calls may have to go elsewhere. */
void
plugc_channel_unref(struct plugc_channel *channel)
{
	if (--channel->refs)
		return;
	LIST_INSERT_HEAD(&channel->route->left, channel, link);
	atomic_store_explicit(&channel->route->leaves, true, memory_order_relaxed);
}

/* What others may want back: the memory of tensors, a descriptor. */
static void
return_what_is_lent(struct plugc_channel *channel)
{
	plugs_exchange_close(channel->exchange);
	channel->exchange = NULL;
	if (channel->wake_fd >= 0)
		close(channel->wake_fd);
	channel->wake_fd = -1;
}

void
plugc_channel_free(struct plugc_channel *channel)
{
	struct plugc_flight *flight;

	while ((flight = TAILQ_FIRST(&channel->spare))) {
		TAILQ_REMOVE(&channel->spare, flight, link);
		free(flight);
	}
	return_what_is_lent(channel);
	if (channel->page)
		munmap(channel->page, PLUG_STATUS_BYTES);
	plugs_region_fini(&channel->own);
	plugs_region_fini(&channel->peer);
	plugc_table_fini(&channel->flights);
	free_methods(channel);
	free(channel->tensors);
	free(channel);
}

void
plugc_route_tidy(struct plugc_route *route)
{
	struct plugc_channel *channel;

	while ((channel = LIST_FIRST(&route->left))) {
		LIST_REMOVE(channel, link);
		plugc_channel_free(channel);
	}
	atomic_store_explicit(&route->leaves, false, memory_order_relaxed);
}

void
plugc_route_lighten(struct plugc_route *route)
{
	struct plugc_channel *channel;

	if (!plugc_route_has_left(route))
		return;
	plugc_route_lock(route);
	LIST_FOREACH (channel, &route->left, link)
		return_what_is_lent(channel);
	plugc_route_unlock(route);
}

bool
plugc_route_has_left(struct plugc_route *route)
{
	return atomic_load_explicit(&route->leaves, memory_order_relaxed);
}

void
plugc_route_tidy_later(struct plugc_route *route)
{
	if (!plugc_route_has_left(route))
		return;
	plugc_route_lock(route);
	plugc_route_tidy(route);
	plugc_route_unlock(route);
}
