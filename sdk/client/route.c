/* Routes are found by the name that a call gives, without a lock: buckets only grow, and a route
 * that can be seen in one is complete. */
#include "plane.h"

#include <stdlib.h>
#include <string.h>

/* FNV-1a. */
static unsigned
hash(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return (h ^ h >> 16) % PLUGC_ROUTE_BUCKETS;
}

static struct plugc_route *
find(struct plug_client *client, unsigned bucket, const char *plugin)
{
	struct plugc_route *route;

	route = atomic_load_explicit(&client->routes[bucket], memory_order_acquire);
	while (route && strcmp(route->name, plugin) != 0)
		route = route->next;
	return route;
}

static struct plugc_route *
route_new(struct plug_client *client, const char *plugin)
{
	size_t length = strlen(plugin) + 1;
	struct plugc_route *route = calloc(1, sizeof(*route) + length);

	if (!route)
		return NULL;
	route->client = client;
	pthread_mutex_init(&route->lock, NULL);
	plugc_wary_init(&route->wary);
	LIST_INIT(&route->channels);
	LIST_INIT(&route->left);
	TAILQ_INIT(&route->ready);
	TAILQ_INIT(&route->moving);
	TAILQ_INIT(&route->parked);
	route->next_deadline_ns = PLUGC_NEVER;
	route->region_fd = -1;
	memcpy(route->name, plugin, length);
	return route;
}

static struct plugc_route *
add(struct plug_client *client, unsigned bucket, const char *plugin)
{
	struct plugc_route *route;

	pthread_mutex_lock(&client->lock);
	route = find(client, bucket, plugin);
	if (!route && client->route_count < PLUGC_ROUTES_MAX)
		route = route_new(client, plugin);
	if (route && !route->listed) {
		route->listed = true;
		route->next = atomic_load(&client->routes[bucket]);
		route->next_made = atomic_load(&client->last_route);
		atomic_store_explicit(&client->routes[bucket], route, memory_order_release);
		atomic_store_explicit(&client->last_route, route, memory_order_release);
		client->route_count++;
	}
	pthread_mutex_unlock(&client->lock);
	return route;
}

struct plugc_route *
plugc_route_get(struct plug_client *client, const char *plugin)
{
	unsigned bucket;
	struct plugc_route *route;

	if (client->plane_off)
		return NULL;
	route = atomic_load_explicit(&client->recent_route, memory_order_acquire);
	if (route && strcmp(route->name, plugin) == 0)
		return route;
	bucket = hash(plugin);
	route = find(client, bucket, plugin);
	if (!route)
		route = add(client, bucket, plugin);
	atomic_store_explicit(&client->recent_route, route, memory_order_release);
	return route;
}

void
plugc_route_lock(struct plugc_route *route)
{
	if (pthread_mutex_trylock(&route->lock) == 0)
		return;
	atomic_fetch_add(&route->contenders, 1);
	pthread_mutex_lock(&route->lock);
	atomic_fetch_sub(&route->contenders, 1);
}

void
plugc_route_unlock(struct plugc_route *route)
{
	pthread_mutex_unlock(&route->lock);
}

void
plugc_routes_each(struct plug_client *client, void (*fn)(struct plugc_route *, void *), void *arg)
{
	struct plugc_route *route;

	route = atomic_load_explicit(&client->last_route, memory_order_acquire);
	for (; route; route = route->next_made)
		fn(route, arg);
}

void
plugc_route_close(struct plugc_route *route, void *unused)
{
	static const char text[] = "the connection to plugd was closed here";
	struct plugc_channel *channel;
	struct plugc_call *call;

	(void)unused;
	plugc_route_lock(route);
	while ((channel = LIST_FIRST(&route->channels)))
		plugc_channel_end(channel, PLUG_ECANCELLED, text);
	plugc_tensors_unpark(route, true);
	while ((call = TAILQ_FIRST(&route->moving))) {
		TAILQ_REMOVE(&route->moving, call, link);
		plugc_call_end(route->client, call, PLUG_ECANCELLED, text);
	}
	plugc_run_ready(route->client, &route->lock, &route->ready);
	plugc_route_unlock(route);
}

void
plugc_routes_fini(struct plug_client *client)
{
	struct plugc_route *route = atomic_exchange(&client->last_route, NULL), *next;

	for (; route; route = next) {
		next = route->next_made;
		plugc_route_tidy(route);
		pthread_mutex_destroy(&route->lock);
		plugc_wary_fini(&route->wary);
		free(route);
	}
}
