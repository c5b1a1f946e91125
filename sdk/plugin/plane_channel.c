#include "plane_channel.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "dying.h"
#include "exchange.h"
#include "state.h"

#define LIAR "it claims to have taken what was never posted"

struct spilled {
	struct spilled *next;
	size_t size;
	uint8_t body[];
};

/* ---- making ---- */

static plug_err
map_regions(struct channel *channel, uint64_t region_bytes, int peer_fd, int *ret_own_fd,
	    const char **ret_why)
{
	plug_err err =
		plugs_region_map(peer_fd, PLUG_SIDE_CALLER, region_bytes, &channel->peer, ret_why);

	if (err != PLUG_OK)
		return err;
	*ret_why = "the plugin has no memory or descriptor left for its region";
	return plugs_region_make(PLUG_SIDE_PLUGIN, channel->number, region_bytes, &channel->own,
				 ret_own_fd);
}

plug_err
plugp_channel_new(struct plug_plugin *plugin, uint64_t number, uint64_t region_bytes, int peer_fd,
		  int wake_fd, struct channel **ret, int *ret_own_fd, const char **ret_why)
{
	struct channel *channel = calloc(1, sizeof(*channel));
	plug_err err = PLUG_ENOMEM;

	*ret_why = "no memory for a channel";
	if (channel) {
		channel->plugin = plugin;
		channel->number = number;
		channel->wake_fd = wake_fd;
		channel->next_id = 1;
		channel->spill_tail = &channel->spill;
		pthread_mutex_init(&channel->post_lock, NULL);
		plugs_pool_init(&channel->pool, plugin->plane.tensor_bytes);
		channel->exchange = plugs_exchange_new(PLUG_SIDE_PLUGIN, wake_fd);
		if (channel->exchange)
			err = map_regions(channel, region_bytes, peer_fd, ret_own_fd, ret_why);
	} else {
		close(wake_fd);
	}
	close(peer_fd);
	if (err != PLUG_OK) {
		plugp_channel_free(channel);
		return err;
	}
	plugs_poster_init(&channel->poster, &channel->own, &channel->peer);
	plugs_taker_init(&channel->taker, &channel->own, &channel->peer);
	plugs_sleep_begin(&channel->own, PLUG_SLEEP_RECORDS);
	plugp_dying_watch(wake_fd);
	*ret = channel;
	return PLUG_OK;
}

void
plugp_channel_release(struct channel *channel)
{
	struct spilled *one;

	while ((one = channel->spill) != NULL) {
		channel->spill = one->next;
		free(one);
	}
	plugs_exchange_close(channel->exchange);
	channel->exchange = NULL;
	plugs_pool_fini(&channel->pool);
	plugs_region_fini(&channel->own);
	plugs_region_fini(&channel->peer);
	if (channel->wake_fd >= 0) {
		plugp_dying_forget(channel->wake_fd);
		close(channel->wake_fd);
	}
	channel->wake_fd = -1;
}

void
plugp_channel_leave(struct channel *channel)
{
	plugs_exchange_leave(channel->exchange);
	channel->exchange = NULL;
}

void
plugp_channel_free(struct channel *channel)
{
	if (!channel)
		return;
	plugp_channel_release(channel);
	pthread_mutex_destroy(&channel->post_lock);
	free(channel);
}

/* ---- posting ---- */

static void
mark_broken(struct channel *channel, const char *what)
{
	const char *none = NULL;

	if (atomic_compare_exchange_strong(&channel->broken, &none, what))
		plugp_plane_notify(&channel->plugin->plane, PLANE_BROKEN);
}

/* An answer that cannot be given breaks the promise of exactly one. */
static plug_err
out_of_memory(struct channel *channel)
{
	mark_broken(channel, CHANNEL_NO_MEMORY);
	return PLUG_ENOMEM;
}

/* Called with the post_lock held. */
static plug_err
spill(struct channel *channel, const struct plugs_message *msg)
{
	size_t bound = plugs_message_bound(msg);
	struct spilled *one;

	if (msg->payload.size && plugp_channel_is_full(channel))
		return PLUG_EOVERLOADED;
	one = malloc(sizeof(*one) + bound);
	if (!one)
		return out_of_memory(channel);
	one->size = plugs_message_pack(msg, one->body);
	one->next = NULL;
	if (!channel->spill)
		channel->spill_moved_ns = clock_ns();
	*channel->spill_tail = one;
	channel->spill_tail = &one->next;
	atomic_fetch_add(&channel->spill_bytes, sizeof(*one) + one->size);
	plugp_plane_notify(&channel->plugin->plane, PLANE_SPILL);
	return PLUG_OK;
}

/* Called with the post_lock held.  True in *ret_wake: the caller sleeps. */
static plug_err
post(struct channel *channel, const struct plugs_message *msg, bool *ret_wake)
{
	uint8_t *body;
	plug_err err;

	if (channel->shut)
		return PLUG_ECANCELLED;
	if (channel->spill)
		return spill(channel, msg);
	err = plugs_reserve(&channel->poster, plugs_message_bound(msg), &body);
	if (err == PLUG_EOVERLOADED)
		return spill(channel, msg);
	if (err == PLUG_OK) {
		*ret_wake = plugs_post(&channel->poster, plugs_message_pack(msg, body));
		return PLUG_OK;
	}
	if (err == PLUG_EPROTO)
		mark_broken(channel, LIAR);
	return err == PLUG_EPROTO ? PLUG_ECANCELLED : err;
}

plug_err
plugp_channel_send(struct channel *channel, const struct plugs_message *msg)
{
	bool wake = false;
	plug_err err;

	pthread_mutex_lock(&channel->post_lock);
	err = post(channel, msg, &wake);
	pthread_mutex_unlock(&channel->post_lock);
	if (wake)
		plugs_wake(channel->wake_fd);
	return err;
}

size_t
plugp_channel_piece(const struct channel *channel, const struct plugs_message *msg)
{
	size_t room = channel->poster.record_max - plugs_message_bound(msg);

	return room < PLUG_CHUNK_BYTES ? room : PLUG_CHUNK_BYTES;
}

/* Called with the post_lock held.  False: no room. */
static bool
post_spilled(struct channel *channel, bool *wake)
{
	struct spilled *one = channel->spill;
	uint8_t *body;
	plug_err err = plugs_reserve(&channel->poster, one->size, &body);

	if (err == PLUG_EPROTO)
		mark_broken(channel, LIAR);
	if (err != PLUG_OK)
		return false;
	memcpy(body, one->body, one->size);
	*wake |= plugs_post(&channel->poster, one->size);
	channel->spill = one->next;
	if (!channel->spill)
		channel->spill_tail = &channel->spill;
	atomic_fetch_sub(&channel->spill_bytes, sizeof(*one) + one->size);
	free(one);
	return true;
}

bool
plugp_channel_pump(struct channel *channel)
{
	bool was_full, moved = false, wake = false;

	pthread_mutex_lock(&channel->post_lock);
	was_full = plugp_channel_is_full(channel); /* not before: others fill it */
	while (channel->spill && !channel->shut && post_spilled(channel, &wake))
		moved = true;
	if (moved)
		channel->spill_moved_ns = clock_coarse_ns();
	pthread_mutex_unlock(&channel->post_lock);
	if (wake)
		plugs_wake(channel->wake_fd);
	if (was_full && !plugp_channel_is_full(channel))
		plugp_work_stir(channel->plugin, channel);
	return moved;
}

void
plugp_channel_drain(struct channel *channel)
{
	unsigned count;
	plug_err err = plugs_drain(channel->wake_fd, CHANNEL_WAKES, plugs_exchange_on_arena,
				   channel->exchange, &count);

	channel->woken = false;
	if (err == PLUG_EPROTO)
		mark_broken(channel, "it sent a wake message that is none");
	else if (count == CHANNEL_WAKES)
		mark_broken(channel, "it sends wake messages without end");
	/* A caller that found the socket full waits for room, too, and posts nothing before. */
	if (count &&
	    __atomic_load_n(channel->taker.peer_sleeping, __ATOMIC_SEQ_CST) & PLUG_SLEEP_ROOM)
		plugs_wake(channel->wake_fd);
}

/* ---- the end ---- */

void
plugp_channel_check(struct channel *channel, uint64_t now_ns)
{
	bool stuck;

	pthread_mutex_lock(&channel->post_lock);
	stuck = channel->spill && now_ns > channel->spill_moved_ns + CHANNEL_SPILL_NS;
	pthread_mutex_unlock(&channel->post_lock);
	if (stuck)
		mark_broken(channel, "it does not read its replies");
}

bool
plugp_channel_is_awaited(struct channel *channel)
{
	bool untaken;

	pthread_mutex_lock(&channel->post_lock);
	untaken = channel->spill || __atomic_load_n(channel->poster.peer_taken, __ATOMIC_ACQUIRE) !=
					    channel->poster.position;
	pthread_mutex_unlock(&channel->post_lock);
	return untaken || atomic_load(&channel->moved_calls);
}

void
plugp_channel_unlisted(struct channel *channel, size_t held_bytes)
{
	atomic_fetch_sub(&channel->held_bytes, held_bytes);
	if (--channel->listed == 0 && channel->closed)
		plugp_tick_wake(&channel->plugin->tick);
}

void
plugp_channel_shut(struct channel *channel)
{
	pthread_mutex_lock(&channel->post_lock);
	channel->shut = true;
	pthread_mutex_unlock(&channel->post_lock);
	shutdown(channel->wake_fd, SHUT_RDWR);
}
