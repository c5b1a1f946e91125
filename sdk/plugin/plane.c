/*
 * Invariants
 *
 * - A channel is hot and in `hot`, or it says PLUG_SLEEP_RECORDS in its head; it says so before its
 *   ring is looked at for the last time, so a caller either finds it asleep or is found.
 * - The holder says `asleep` before it looks at `news` for the last time; whoever has news sets
 * them before it looks at `asleep`.
 * - The wake socket is watched for edges.  What lies in it is taken out before the channel falls
 *   asleep the next time, not before the answer: so it is empty, or an edge is still to be told,
 *   whenever the holder sleeps, and a caller that finds it full has been heard.
 */
#include "plane.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "state.h"

#define EVENTS       16
#define SPIN_CHECK   512 /* looks between two checks of those asleep; about 15 µs */
#define BUSY_CHECK   64  /* rounds that brought something between two checks */
#define QUIET_CHECKS 2   /* that a channel outlasts without a record */

plug_err
plugp_plane_init(struct plug_plugin *plugin)
{
	struct plane *plane = &plugin->plane;
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};

	pthread_mutex_init(&plane->spare_lock, NULL);
	plane->epoll_fd = plane->nudge_fd = -1;
	if (!plugp_broker_is_there(&plugin->broker))
		return PLUG_OK;
	plane->nudge_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	plane->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (plane->nudge_fd < 0 || plane->epoll_fd < 0 ||
	    epoll_ctl(plane->epoll_fd, EPOLL_CTL_ADD, plane->nudge_fd, &event) < 0)
		return PLUG_ESYS;
	plugs_spin_init(&plane->spin, plugs_spin_budget_ns(PLUGS_SPIN_US));
	plane->tensor_bytes = plugp_tensors_quota(&plugin->config);
	return PLUG_OK;
}

static void
close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void
plugp_plane_fini(struct plug_plugin *plugin)
{
	struct plane *plane = &plugin->plane;
	struct channel *channel;

	while ((channel = plane->channels) != NULL) {
		plane->channels = channel->next;
		/* Who has taken an answer may not have looked at it yet. */
		plugp_channel_leave(channel);
		plugp_channel_free(channel);
	}
	plugp_spares_fini(plane);
	close_fd(plane->epoll_fd);
	close_fd(plane->nudge_fd);
	plane->epoll_fd = plane->nudge_fd = -1;
}

void
plugp_plane_notify(struct plane *plane, uint32_t news)
{
	uint64_t one = 1;

	atomic_fetch_or(&plane->news, news);
	if (atomic_load(&plane->asleep) && write(plane->nudge_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it is awake already */
}

/* ---- hot and cold ---- */

static void
heat(struct plane *plane, struct channel *channel)
{
	if (channel->hot)
		return;
	plugs_sleep_end(&channel->own);
	channel->hot = true;
	channel->quiet = 0;
	plane->hot[plane->hot_count++] = channel;
}

static void
leave_hot(struct plane *plane, struct channel *channel)
{
	unsigned at = 0;

	if (!channel->hot)
		return;
	while (plane->hot[at] != channel)
		at++;
	memmove(&plane->hot[at], &plane->hot[at + 1],
		(--plane->hot_count - at) * sizeof(plane->hot[0]));
	channel->hot = false;
}

static void
fall_asleep(struct channel *channel)
{
	uint32_t bits = PLUG_SLEEP_RECORDS;

	if (channel->woken)
		plugp_channel_drain(channel);
	if (plugs_tell_taken(&channel->taker))
		plugs_wake(channel->wake_fd);
	if (atomic_load(&channel->spill_bytes))
		bits |= PLUG_SLEEP_ROOM;
	plugs_sleep_begin(&channel->own, bits);
}

/* Is there something to do on a channel that has just said it sleeps? */
static bool
has_something(struct channel *channel)
{
	const uint8_t *body;
	size_t size;

	if (atomic_load(&channel->spill_bytes) && plugp_channel_pump(channel))
		return true;
	return !plugp_channel_is_full(channel) &&
	       plugs_peek(&channel->taker, &body, &size) != PLUG_EAGAIN;
}

static void
cool(struct plane *plane, struct channel *channel)
{
	fall_asleep(channel);
	if (has_something(channel))
		plugs_sleep_end(&channel->own);
	else
		leave_hot(plane, channel);
}

/* ---- what epoll says ---- */

static void
take_event(struct plug_plugin *plugin, const struct epoll_event *event)
{
	struct channel *channel = event->data.ptr;
	uint64_t count;

	if (!channel) {
		if (read(plugin->plane.nudge_fd, &count, sizeof(count)) < 0)
			return; /* read before */
	} else if (event->events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)) {
		plugp_plane_close(plugin, channel, NULL);
	} else {
		channel->woken = true;
		heat(&plugin->plane, channel);
	}
}

static void
take_events(struct plug_plugin *plugin, int timeout_ms)
{
	struct epoll_event events[EVENTS];
	int count = epoll_wait(plugin->plane.epoll_fd, events, EVENTS, timeout_ms);

	for (int i = 0; i < count; i++)
		take_event(plugin, &events[i]);
}

/* ---- news ---- */

/* The next channel of all after `last` (NULL: the first) for which `test` is true, or NULL.  The
 * holder may keep it: only it closes channels. */
static struct channel *
next_channel(struct plug_plugin *plugin, struct channel *last, bool (*test)(struct channel *))
{
	struct channel *channel;

	pthread_mutex_lock(&plugin->work.lock);
	channel = last ? last->next : plugin->plane.channels;
	while (channel && (channel->closed || !test(channel)))
		channel = channel->next;
	pthread_mutex_unlock(&plugin->work.lock);
	return channel;
}

static bool
is_broken(struct channel *channel)
{
	return atomic_load(&channel->broken) != NULL;
}

static bool
is_spilling(struct channel *channel)
{
	return atomic_load(&channel->spill_bytes) != 0;
}

static bool
is_taking(struct channel *channel)
{
	return channel->closed_at == 0;
}

void
plugp_plane_close_at(struct channel *channel)
{
	channel->closed_at = channel->next_id;
	__atomic_store_n(&channel->own.head->closed_at, channel->closed_at, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(channel->taker.peer_sleeping, __ATOMIC_SEQ_CST) & PLUG_SLEEP_RECORDS)
		plugs_wake(channel->wake_fd);
}

static void
say_all_closed(struct plug_plugin *plugin)
{
	page_set(&plugin->page.vitals->channels_closed, 1);
	pthread_mutex_lock(&plugin->work.lock);
	plugin->plane.all_closed = true;
	pthread_cond_broadcast(&plugin->work.settled);
	pthread_mutex_unlock(&plugin->work.lock);
}

/* False: the role was lost, or the threads end. */
static bool
attend(struct worker *worker)
{
	struct plug_plugin *plugin = worker->plugin;
	struct plane *plane = &plugin->plane;
	uint32_t news = atomic_exchange(&plane->news, 0);
	struct channel *channel = NULL;

	while ((news & PLANE_BROKEN) && (channel = next_channel(plugin, NULL, is_broken)) != NULL)
		plugp_plane_close(plugin, channel, atomic_load(&channel->broken));
	while ((news & PLANE_DRAIN) && (channel = next_channel(plugin, channel, is_taking)) != NULL)
		plugp_plane_close_at(channel);
	if (news & PLANE_DRAIN)
		say_all_closed(plugin);
	while ((news & PLANE_SPILL) &&
	       (channel = next_channel(plugin, channel, is_spilling)) != NULL)
		heat(plane, channel);
	return !(news & PLANE_QUEUE) || plugp_work_run(worker, DUTY_PLANE, NULL);
}

/* ---- looking ---- */

/* Say what need not be said between two records. */
static void
settle(struct plug_plugin *plugin)
{
	struct plane *plane = &plugin->plane;

	for (unsigned i = 0; i < plane->hot_count; i++) {
		if (plugs_tell_taken(&plane->hot[i]->taker))
			plugs_wake(plane->hot[i]->wake_fd);
	}
	if (plane->ok)
		page_add(&plugin->page.vitals->channel_ok, plane->ok);
	plane->ok = 0;
}

/* From time to time while others keep the holder busy. */
static void
check_others(struct plug_plugin *plugin)
{
	struct plane *plane = &plugin->plane;

	settle(plugin);
	for (unsigned i = plane->hot_count; i-- > 0;) {
		if (++plane->hot[i]->quiet > QUIET_CHECKS)
			cool(plane, plane->hot[i]);
	}
	take_events(plugin, 0);
}

static void
sleep_until_news(struct plug_plugin *plugin)
{
	struct plane *plane = &plugin->plane;
	struct role *role = &plugin->work.roles[DUTY_PLANE];
	bool something = false;

	if (role->slot >= 0)
		plugp_work_drop_slot(plugin, role);
	for (unsigned i = 0; i < plane->hot_count; i++)
		fall_asleep(plane->hot[i]);
	atomic_store(&plane->asleep, true);
	for (unsigned i = 0; i < plane->hot_count && !something; i++)
		something = has_something(plane->hot[i]);
	something |= atomic_load(&plane->news) != 0;
	for (unsigned i = 0; i < plane->hot_count; i++) {
		plane->hot[i]->hot = something;
		if (something)
			plugs_sleep_end(&plane->hot[i]->own);
	}
	if (!something) {
		plane->hot_count = 0;
		take_events(plugin, -1);
		plugs_spin_woke(&plane->spin);
	}
	atomic_store(&plane->asleep, false);
}

static void
wait_for_records(struct plug_plugin *plugin)
{
	struct plane *plane = &plugin->plane;

	plane->waited = true;
	if (plane->spin.looks == 0)
		settle(plugin);
	if (!plugs_spin_look(&plane->spin))
		sleep_until_news(plugin);
	else if (plane->spin.looks % SPIN_CHECK == 0)
		take_events(plugin, 0);
}

/* A few records of one channel. */
static enum plane_take
turn(struct worker *worker, struct channel *channel)
{
	enum plane_take last = TAKE_NONE, first = TAKE_NONE;

	if (atomic_load_explicit(&channel->spill_bytes, memory_order_relaxed))
		plugp_channel_pump(channel);
	for (unsigned n = 0; n < PLANE_TURN; n++) {
		last = plugp_plane_take(worker, channel);
		if (last != TAKE_ONE)
			break;
		first = TAKE_ONE;
	}
	return last == TAKE_NONE ? first : last;
}

/* One round over the hot channels.  False: the role was lost, or the threads end. */
static bool
look(struct worker *worker)
{
	struct plug_plugin *plugin = worker->plugin;
	struct plane *plane = &plugin->plane;
	bool found = false;

	if (atomic_load_explicit(&plane->news, memory_order_relaxed) && !attend(worker))
		return false;
	for (unsigned i = 0; i < plane->hot_count;) {
		struct channel *channel = plane->hot[i];
		enum plane_take took = turn(worker, channel);

		if (took == TAKE_LOST)
			return false;
		found |= took != TAKE_NONE;
		i += took != TAKE_CLOSED;
	}
	if (!found) {
		wait_for_records(plugin);
		return true;
	}
	plugs_spin_found(&plane->spin);
	if (++plane->rounds % BUSY_CHECK == 0)
		check_others(plugin);
	return true;
}

void
plugp_plane_lead(struct worker *worker)
{
	plugs_spin_forget(&worker->plugin->plane.spin);
	while (look(worker))
		;
}

/* ---- channels come and go ---- */

plug_err
plugp_plane_add(struct plug_plugin *plugin, struct channel *channel)
{
	struct plane *plane = &plugin->plane;
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = channel};
	plug_err err = plugp_work_start_plane(plugin);

	if (err != PLUG_OK)
		return err;
	pthread_mutex_lock(&plugin->work.lock);
	if (plane->draining)
		err = PLUG_EUNAVAILABLE;
	else if (plane->open == PLANE_CHANNELS)
		err = PLUG_EOVERLOADED;
	else if (epoll_ctl(plane->epoll_fd, EPOLL_CTL_ADD, channel->wake_fd, &event) < 0)
		err = PLUG_ESYS;
	if (err == PLUG_OK) {
		channel->next = plane->channels;
		plane->channels = channel;
		plane->open++;
		page_set(&plugin->page.vitals->channels, plane->open);
	}
	pthread_mutex_unlock(&plugin->work.lock);
	return err;
}

void
plugp_plane_close(struct plug_plugin *plugin, struct channel *channel, const char *violation)
{
	struct plane *plane = &plugin->plane;
	bool its_fault = violation && strcmp(violation, CHANNEL_NO_MEMORY) != 0;

	if (its_fault)
		page_add(&plugin->page.vitals->violations, 1);
	if (violation)
		plug_log(plugin, PLUG_LOG_WARNING,
			 "channel %llu is closed: %s (pid %lld, \"%s\"): %s; its calls here are "
			 "cancelled",
			 (unsigned long long)channel->number,
			 its_fault ? "the caller broke its rules" : "it cannot go on",
			 (long long)channel->pid, channel->name, violation);
	leave_hot(plane, channel);
	epoll_ctl(plane->epoll_fd, EPOLL_CTL_DEL, channel->wake_fd, NULL);
	plugp_channel_shut(channel);
	plugp_calls_orphan(plugin, channel);
	pthread_mutex_lock(&plugin->work.lock);
	channel->violated = its_fault;
	snprintf(channel->reason, sizeof(channel->reason), "%s",
		 violation ? violation : "the caller left");
	channel->closed = true; /* from now on the tick may free it */
	plane->open--;
	page_set(&plugin->page.vitals->channels, plane->open);
	pthread_cond_broadcast(&plugin->work.settled);
	pthread_mutex_unlock(&plugin->work.lock);
	plugp_tick_wake(&plugin->tick);
}

struct channel *
plugp_plane_reap(struct plug_plugin *plugin)
{
	struct channel **at = &plugin->plane.channels, *channel;
	uint64_t now = clock_ns();

	pthread_mutex_lock(&plugin->work.lock);
	while ((channel = *at) != NULL && (!channel->closed || channel->listed)) {
		if (!channel->closed)
			plugp_channel_check(channel, now);
		at = &channel->next;
	}
	if (channel)
		*at = channel->next;
	pthread_mutex_unlock(&plugin->work.lock);
	return channel;
}

void
plugp_plane_drain(struct plug_plugin *plugin)
{
	pthread_mutex_lock(&plugin->work.lock);
	plugin->plane.draining = true;
	pthread_mutex_unlock(&plugin->work.lock);
	plugp_plane_notify(&plugin->plane, PLANE_DRAIN);
}

/* Called with work.lock held. */
static bool
is_awaited(struct plug_plugin *plugin)
{
	struct channel *channel = plugin->plane.channels;

	if (plugin->plane.open && !plugin->plane.all_closed)
		return true; /* what is posted now would seem to have been taken */
	while (channel && (channel->closed || !plugp_channel_is_awaited(channel)))
		channel = channel->next;
	return channel != NULL;
}

void
plugp_plane_linger(struct plug_plugin *plugin)
{
	uint64_t until = clock_ns() + PLANE_LINGER_NS;
	struct work *work = &plugin->work;

	pthread_mutex_lock(&work->lock);
	while (is_awaited(plugin) && clock_ns() < until)
		clock_cond_wait(&work->settled, &work->lock, until);
	pthread_mutex_unlock(&work->lock);
}
