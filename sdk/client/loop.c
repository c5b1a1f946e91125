/* One descriptor for the caller's event loop, whatever the handle waits on: an epoll of the socket
 * to plugd, of the wake sockets, and of an eventfd for what threads of this process found for the
 * loop.  Made when it is first asked for. */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "plane.h"

#define KICK UINT64_MAX /* what names the eventfd */

bool
plugc_loop_is_there(const struct plug_client *client)
{
	return atomic_load_explicit(&client->epoll_fd, memory_order_relaxed) >= 0;
}

void
plugc_loop_kick(struct plug_client *client)
{
	uint64_t one = 1;
	int fd = atomic_load(&client->kick_fd);

	if (fd < 0 || atomic_load_explicit(&client->kicked, memory_order_relaxed) ||
	    atomic_exchange(&client->kicked, true))
		return;
	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

/* What others had put in a list before they found `kicked` set is seen by who dispatches now. */
static void
take_kick(struct plug_client *client)
{
	uint64_t kicks;

	while (read(atomic_load(&client->kick_fd), &kicks, sizeof(kicks)) < 0 && errno == EINTR)
		;
	atomic_exchange(&client->kicked, false);
}

void
plugc_loop_calm(struct plug_client *client)
{
	if (!atomic_load_explicit(&client->awake, memory_order_relaxed) &&
	    atomic_load_explicit(&client->kicked, memory_order_relaxed))
		take_kick(client);
}

void
plugc_loop_remove(struct plug_client *client, int fd)
{
	int epoll = atomic_load(&client->epoll_fd);

	if (epoll >= 0)
		epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
}

void
plugc_loop_add(struct plug_client *client, int fd, uint64_t serial)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = serial};
	int epoll = atomic_load(&client->epoll_fd);

	if (epoll >= 0)
		epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void
add_channels(struct plugc_route *route, void *arg)
{
	struct plugc_channel *channel;

	(void)arg;
	plugc_route_lock(route);
	LIST_FOREACH (channel, &route->channels, link)
		plugc_loop_add(route->client, channel->wake_fd, channel->serial);
	plugc_route_unlock(route);
}

int
plugc_loop_make(struct plug_client *client)
{
	int epoll = atomic_load(&client->epoll_fd), kick;

	if (epoll >= 0)
		return epoll;
	epoll = epoll_create1(EPOLL_CLOEXEC);
	kick = epoll < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (kick < 0) {
		if (epoll >= 0)
			close(epoll);
		return -1;
	}
	atomic_store(&client->kick_fd, kick);
	atomic_store(&client->epoll_fd, epoll);
	plugc_loop_add(client, kick, KICK);
	if (client->fd >= 0)
		plugc_loop_add(client, client->fd, 0);
	client->polls_out = false;
	plugc_routes_each(client, add_channels, NULL);
	plugc_loop_kick(client); /* what was found before could not be told */
	return epoll;
}

void
plugc_loop_fini(struct plug_client *client)
{
	int epoll = atomic_exchange(&client->epoll_fd, -1);
	int kick = atomic_exchange(&client->kick_fd, -1);

	if (epoll >= 0)
		close(epoll);
	if (kick >= 0)
		close(kick);
}

void
plugc_loop_update(struct plug_client *client)
{
	bool out = client->state == PLUGC_READY && !TAILQ_EMPTY(&client->out);
	struct epoll_event event = {.events = out ? EPOLLIN | EPOLLOUT : EPOLLIN};
	int epoll = atomic_load(&client->epoll_fd);

	if (epoll < 0 || client->fd < 0 || out == client->polls_out)
		return;
	if (epoll_ctl(epoll, EPOLL_CTL_MOD, client->fd, &event) == 0)
		client->polls_out = out;
}

struct readable {
	uint64_t serial; /* KICK: any */
	bool found;
};

static void
mark(struct plugc_route *route, void *arg)
{
	struct readable *readable = arg;
	struct plugc_channel *channel;

	plugc_route_lock(route);
	LIST_FOREACH (channel, &route->channels, link)
		if (readable->serial == KICK || channel->serial == readable->serial)
			channel->readable = readable->found = true;
	plugc_route_unlock(route);
}

bool
plugc_loop_look(struct plug_client *client)
{
	struct epoll_event events[PLUGC_EVENTS_MAX];
	int epoll = atomic_load(&client->epoll_fd);
	int count = epoll < 0 ? -1 : epoll_wait(epoll, events, PLUGC_EVENTS_MAX, 0);
	struct readable readable = {.serial = KICK};
	bool socket = count < 0, kicked = false;

	if (count < 0)
		plugc_routes_each(client, mark, &readable);
	for (int i = 0; i < count; i++) {
		readable.serial = events[i].data.u64;
		if (readable.serial == 0)
			socket = true;
		else if (readable.serial != KICK)
			plugc_routes_each(client, mark, &readable);
		else
			kicked = !atomic_load_explicit(&client->awake, memory_order_relaxed);
	}
	if (kicked) /* by a thread that had not written yet when the dispatch began */
		take_kick(client);
	if (readable.found || kicked)
		atomic_store_explicit(&client->wakes, true, memory_order_relaxed);
	return socket;
}

/* ---- the loop's view ---- */

int
plug_client_fd(const struct plug_client *client)
{
	struct plug_client *handle = (struct plug_client *)client;
	int fd = -1;

	atomic_store_explicit(&handle->polled, true, memory_order_relaxed);
	pthread_mutex_lock(&handle->lock);
	if (client->fd >= 0 || atomic_load(&client->channel_count)) {
		fd = plugc_loop_make(handle);
		plugc_loop_update(handle);
	}
	pthread_mutex_unlock(&handle->lock);
	return fd;
}

short
plug_client_events(const struct plug_client *client)
{
	return plug_client_fd(client) >= 0 ? POLLIN : 0;
}

static void
soonest(struct plugc_route *route, void *arg)
{
	uint64_t *next = arg, now = plugc_now_ns();
	struct plugc_channel *channel;
	bool waiting;

	plugc_route_lock(route);
	waiting = !TAILQ_EMPTY(&route->parked);
	LIST_FOREACH (channel, &route->channels, link) {
		uint64_t look = channel->gone    ? plugc_after_ms(now, 1)
				: channel->async ? plugc_after_ms(now, PLUGC_STATUS_MS)
						 : PLUGC_NEVER;

		waiting |= channel->async != 0;
		if (look < *next)
			*next = look;
	}
	if (!TAILQ_EMPTY(&route->parked) && !route->asking && route->again_ns &&
	    route->again_ns < *next)
		*next = route->again_ns;
	if (waiting && route->next_deadline_ns < *next)
		*next = route->next_deadline_ns;
	if (!TAILQ_EMPTY(&route->ready) || !TAILQ_EMPTY(&route->moving))
		*next = 0;
	plugc_route_unlock(route);
}

int
plug_client_timeout_ms(const struct plug_client *client)
{
	struct plug_client *handle = (struct plug_client *)client;
	uint64_t next;
	bool unsent;

	atomic_store_explicit(&handle->polled, true, memory_order_relaxed);
	pthread_mutex_lock(&handle->lock);
	next = client->next_deadline_ns;
	unsent = client->state == PLUGC_DOWN && !TAILQ_EMPTY(&client->out);
	if (client->more_input || client->broken || unsent || !TAILQ_EMPTY(&client->ready) ||
	    atomic_load(&client->awake))
		next = 0;
	if (client->state == PLUGC_GREETING && client->greeting_deadline_ns < next)
		next = client->greeting_deadline_ns;
	pthread_mutex_unlock(&handle->lock);
	plugc_routes_each(handle, soonest, &next);
	return plugc_poll_ms(plugc_now_ns(), next);
}
