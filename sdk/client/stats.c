#include <string.h>

#include "plane.h"

static void
add(struct plug_client_stats *stats, const struct plugc_counts *counts)
{
	stats->calls_data += counts->calls;
	stats->channels_opened += counts->opened;
	stats->channels_closed += counts->closed;
	stats->channels_refused += counts->refused;
	stats->violations += counts->violations;
	stats->moves += counts->moves;
	stats->resends += counts->resends;
	stats->copies += counts->copies;
	stats->bytes_copied += counts->bytes_copied;
	stats->wakes_sent += counts->wakes_sent;
	stats->wakes_received += counts->wakes_received;
	stats->spin_hits += counts->spin_hits;
	stats->spin_misses += counts->spin_misses;
}

static void
add_route(struct plugc_route *route, void *arg)
{
	struct plug_client_stats *stats = arg;
	struct plugc_channel *channel;

	plugc_route_lock(route);
	add(stats, &route->counts);
	LIST_FOREACH (channel, &route->channels, link) {
		stats->channels_open++;
		stats->spin_hits += channel->spin.found;
		stats->spin_misses += channel->spin.slept;
	}
	plugc_route_unlock(route);
}

plug_err
plug_client_stats(const struct plug_client *client, struct plug_client_stats *ret)
{
	struct plug_client *handle = (struct plug_client *)client;
	struct plug_client_stats stats = {.size = ret->size};

	if (ret->size < sizeof(ret->size) || ret->size > 4096)
		return plugc_fail(handle, PLUG_EINVAL,
				  "stats->size is %zu, expected sizeof(struct plug_client_stats), "
				  "%zu",
				  ret->size, sizeof(stats));
	pthread_mutex_lock(&handle->lock);
	stats.calls_control = client->calls_control;
	pthread_mutex_unlock(&handle->lock);
	plugc_routes_each(handle, add_route, &stats);
	memcpy(ret, &stats, ret->size < sizeof(stats) ? ret->size : sizeof(stats));
	return PLUG_OK;
}
