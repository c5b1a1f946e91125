/*
 * Invariants
 *
 * - An arena in `shown` was sent with its number.  A place is used for another only when in_use is
 *   0: then the other side has done with every record that named it.  What is shown there next has
 *   the next number of that place: a record that names it may be read before the wake socket is,
 *   while the place still holds the one before.
 * - Buffers are never dropped with a lock held: the last reference may take another exchange's.
 */
#include "exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "exchange_private.h"
#include "tensor.h"

static struct plugs_process *const process = &plug_tensor_process;

/* ---- life ---- */

struct plugs_exchange *
plugs_exchange_new(enum plug_region_side side, int wake_fd)
{
	struct plugs_exchange *exchange = calloc(1, sizeof(*exchange));

	if (!exchange)
		return NULL;
	exchange->refs = 1;
	exchange->side = side;
	exchange->wake_fd = wake_fd;
	exchange->returns_tail = &exchange->returns;
	pthread_mutex_init(&exchange->lock, NULL);
	pthread_mutex_init(&exchange->due_lock, NULL);
	pthread_mutex_lock(&process->exchanges_lock);
	LIST_INSERT_HEAD(&process->exchanges, exchange, link);
	pthread_mutex_unlock(&process->exchanges_lock);
	return exchange;
}

void
plugs_exchange_ref(struct plugs_exchange *exchange)
{
	atomic_fetch_add_explicit(&exchange->refs, 1, memory_order_relaxed);
}

void
plugs_exchange_unref(struct plugs_exchange *exchange)
{
	if (atomic_fetch_sub_explicit(&exchange->refs, 1, memory_order_acq_rel) != 1)
		return;
	plugs_exchange_drop_lent(exchange);
	for (size_t i = 0; i < PLUGS_LENT_BUCKETS; i++) {
		struct plugs_lent *lent;

		while ((lent = exchange->lent[i])) {
			exchange->lent[i] = lent->next;
			free(lent);
		}
	}
	pthread_mutex_destroy(&exchange->lock);
	pthread_mutex_destroy(&exchange->due_lock);
	free(exchange);
}

/* Nothing new comes from an arena by this way. */
static void
drop_source(struct plug_arena *arena)
{
	if (plugs_arena_source_gone(arena))
		plugs_exchange_forget_arena(arena);
	plugs_arena_unref(arena);
}

void
plugs_exchange_close(struct plugs_exchange *exchange)
{
	struct plugs_shown shown[PLUG_ARENAS_MAX];
	struct plug_buffer *returns, *next;

	if (!exchange)
		return;
	plugs_exchange_on_due(exchange, NULL, NULL);
	pthread_mutex_lock(&process->exchanges_lock);
	LIST_REMOVE(exchange, link);
	pthread_mutex_unlock(&process->exchanges_lock);

	pthread_mutex_lock(&exchange->lock);
	exchange->wake_fd = -1;
	memcpy(shown, exchange->shown, sizeof(shown));
	memset(exchange->shown, 0, sizeof(shown));
	returns = exchange->returns;
	exchange->returns = NULL;
	exchange->returns_tail = &exchange->returns;
	atomic_store(&exchange->returns_count, 0);
	atomic_store(&exchange->returns_due, false);
	pthread_mutex_unlock(&exchange->lock);

	for (; returns; returns = next) {
		next = returns->next;
		plugs_buffer_free(returns);
	}
	if (exchange->side == PLUG_SIDE_PLUGIN)
		plugs_exchange_drop_lent(exchange);
	for (size_t i = 0; i < PLUG_ARENAS_MAX; i++) {
		plugs_arena_unref(shown[i].arena);
		if (exchange->seen[i].arena)
			drop_source(exchange->seen[i].arena);
		exchange->seen[i] = (struct plugs_seen){.arena = NULL};
	}
	plugs_exchange_unref(exchange);
}

void
plugs_exchange_leave(struct plugs_exchange *exchange)
{
	if (!exchange)
		return;
	pthread_mutex_lock(&exchange->lock);
	exchange->wake_fd = -1;
	pthread_mutex_unlock(&exchange->lock);
}

/* ---- arenas shown ---- */

/* 0, or the error of a message to the other side; fd -1: without one. */
static plug_err
tell(const struct plugs_exchange *exchange, const struct plug_wake_arena *message, int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} ancillary = {.bytes = {0}};
	struct iovec iov = {(void *)message, sizeof(*message)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		msg.msg_control = &ancillary;
		msg.msg_controllen = sizeof(ancillary);
		ancillary.header.cmsg_level = SOL_SOCKET;
		ancillary.header.cmsg_type = SCM_RIGHTS;
		ancillary.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&ancillary.header), &fd, sizeof(fd));
	}
	while (sendmsg(exchange->wake_fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		if (errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS)
			return PLUG_EAGAIN;
		if (errno != EINTR)
			return errno == EPIPE || errno == ECONNRESET ? PLUG_EGONE : PLUG_ESYS;
	}
	return PLUG_OK;
}

/* Take an arena that is not lent off the channel; when the socket is full it stays for now.
 * Returns the arena, whose reference is the caller's to drop without locks, or NULL. */
static struct plug_arena *
forget(struct plugs_exchange *exchange, struct plugs_shown *shown)
{
	struct plug_wake_arena message = {
		.kind = PLUG_WAKE_FORGET,
		.arena = shown->number,
	};
	struct plug_arena *arena = shown->arena;

	if (exchange->wake_fd < 0 || tell(exchange, &message, -1) == PLUG_EAGAIN)
		return NULL;
	*shown = (struct plugs_shown){.number = shown->number};
	return arena;
}

struct plug_arena *
plugs_exchange_unused(struct plugs_exchange *exchange, struct plugs_shown *shown)
{
	shown->in_use--;
	if (shown->in_use || !shown->arena || !plugs_arena_closed(shown->arena))
		return NULL;
	return forget(exchange, shown);
}

void
plugs_exchange_forget_arena(struct plug_arena *arena)
{
	struct plugs_exchange *exchange;
	unsigned dropped = 0;

	pthread_mutex_lock(&process->exchanges_lock);
	LIST_FOREACH (exchange, &process->exchanges, link) {
		pthread_mutex_lock(&exchange->lock);
		for (size_t i = 0; i < PLUG_ARENAS_MAX; i++) {
			struct plugs_shown *shown = &exchange->shown[i];

			if (shown->arena == arena && !shown->in_use)
				dropped += forget(exchange, shown) != NULL;
		}
		pthread_mutex_unlock(&exchange->lock);
	}
	pthread_mutex_unlock(&process->exchanges_lock);
	while (dropped--)
		plugs_arena_unref(arena);
}

/* A place for an arena that has none: one that is free, else that of a closed arena, else the one
 * that was not used for longest. */
static struct plugs_shown *
free_place(struct plugs_exchange *exchange)
{
	struct plugs_shown *best = NULL;

	for (size_t i = 0; i < PLUG_ARENAS_MAX; i++) {
		struct plugs_shown *shown = &exchange->shown[i];

		if (!shown->arena)
			return shown;
		if (shown->in_use)
			continue;
		if (!best || plugs_arena_closed(shown->arena) ||
		    (!plugs_arena_closed(best->arena) && shown->used < best->used))
			best = shown;
	}
	return best;
}

/* Never one that the place had before, but after 2^32 of them; 0 names nothing. */
static uint32_t
next_number(const struct plugs_exchange *exchange, const struct plugs_shown *shown)
{
	uint32_t number = shown->number + PLUG_ARENAS_MAX;

	if (shown->number == 0)
		return (uint32_t)(shown - exchange->shown) + 1;
	return number ? number : PLUG_ARENAS_MAX;
}

static struct plugs_shown *
find_shown(struct plugs_exchange *exchange, const struct plug_arena *arena)
{
	for (size_t i = 0; i < PLUG_ARENAS_MAX; i++) {
		if (exchange->shown[i].arena == arena)
			return &exchange->shown[i];
	}
	return NULL;
}

plug_err
plugs_exchange_show(struct plugs_exchange *exchange, struct plug_arena *arena,
		    struct plugs_shown **ret, struct plug_arena **ret_dropped)
{
	struct plugs_shown *shown = find_shown(exchange, arena);
	struct plug_wake_arena message = {.kind = PLUG_WAKE_ARENA, .bytes = arena->bytes};
	plug_err err;

	*ret_dropped = NULL;
	if (!shown) {
		shown = free_place(exchange);
		if (!shown)
			return plugs_tensor_fail(PLUG_EOVERLOADED,
						 "tensors of %d other arenas are in use on this "
						 "channel; wait for calls to end, or release some",
						 PLUG_ARENAS_MAX);
		message.arena = next_number(exchange, shown);
		err = tell(exchange, &message, arena->fd);
		if (err == PLUG_ESYS)
			plugs_tensor_fail(err, "the arena cannot be shown to the other side: %s",
					  strerror(errno));
		if (err != PLUG_OK)
			return err;
		*ret_dropped = shown->arena;
		*shown = (struct plugs_shown){.arena = arena, .number = message.arena};
		plugs_arena_ref(arena);
	}
	shown->used = ++exchange->sends;
	*ret = shown;
	return PLUG_OK;
}

/* ---- arenas seen ---- */

void
plugs_exchange_on_arena(const struct plug_wake_arena *message, int fd, void *user)
{
	struct plugs_exchange *exchange = user;
	struct plugs_seen *place = &exchange->seen[plugs_arena_place(message->arena)];
	struct plugs_seen now = {.number = message->arena, .why = "it was taken back"};
	struct plug_arena *before = place->arena;

	if (message->arena == 0) {
		if (fd >= 0)
			close(fd);
		return;
	}
	if (fd >= 0)
		plugs_arena_seen(fd, message->bytes, &now.arena, &now.why);
	else if (message->kind == PLUG_WAKE_ARENA)
		now.why = "this process had no descriptor left for it";
	*place = now;
	if (before)
		drop_source(before);
}
