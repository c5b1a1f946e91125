/*
 * Invariants
 *
 * - Before a header is stored at `position`, the word where the next one will be is 0, so whoever
 *   looks there finds nothing until it is posted.  A record therefore needs its own bytes and one
 *   header more, and the word at `position` is 0 between two posts.
 * - A post and the look at `sleeping`, a store of `sleeping` and the look at the ring, are each in
 *   one total order (seq_cst): either the poster sees the sleeper or the sleeper the post.  The
 * same holds for `taken` and PLUG_SLEEP_ROOM.
 * - Who is woken for a record takes it before it sleeps again.  While that record is not taken the
 *   byte is still on its way, and another one is not needed.
 */
#include "ring.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static uint64_t
record_max(uint64_t ring_bytes)
{
	uint64_t third = (ring_bytes / 3) & ~(uint64_t)7u;

	return third < PLUG_RECORD_BYTES_MAX ? third : PLUG_RECORD_BYTES_MAX;
}

void
plugs_poster_init(struct plugs_poster *poster, const struct plugs_region *own,
		  const struct plugs_region *peer)
{
	*poster = (struct plugs_poster){
		.ring = own->ring,
		.ring_bytes = own->ring_bytes,
		.record_max = record_max(own->ring_bytes),
		.peer_taken = &peer->head->taken,
		.peer_sleeping = &peer->head->sleeping,
	};
}

void
plugs_taker_init(struct plugs_taker *taker, const struct plugs_region *own,
		 const struct plugs_region *peer)
{
	*taker = (struct plugs_taker){
		.ring = peer->ring,
		.ring_bytes = peer->ring_bytes,
		.record_max = record_max(peer->ring_bytes),
		.taken = &own->head->taken,
		.peer_sleeping = &peer->head->sleeping,
	};
}

/* ---- posting ---- */

bool
plugs_refresh(struct plugs_poster *poster)
{
	uint64_t taken = __atomic_load_n(poster->peer_taken, __ATOMIC_SEQ_CST);

	if (taken < poster->taken || taken > poster->position || taken % 8 != 0)
		return false;
	poster->taken = taken;
	return true;
}

size_t
plugs_room(struct plugs_poster *poster)
{
	uint64_t free_bytes;

	if (!plugs_refresh(poster))
		return 0;
	free_bytes = plugs_free(poster);
	if (free_bytes < 3 * PLUG_RECORD_HEADER)
		return 0;
	free_bytes -= 2 * PLUG_RECORD_HEADER;
	return free_bytes < poster->record_max ? free_bytes : poster->record_max;
}

/* ---- taking ---- */

bool
plugs_tell_taken(struct plugs_taker *taker)
{
	if (taker->told == taker->position)
		return false;
	taker->told = taker->position;
	__atomic_exchange_n(taker->taken, taker->position, __ATOMIC_SEQ_CST);
	return __atomic_load_n(taker->peer_sleeping, __ATOMIC_SEQ_CST) & PLUG_SLEEP_ROOM;
}

/* ---- sleeping ---- */

void
plugs_sleep_begin(struct plugs_region *own, uint32_t bits)
{
	__atomic_exchange_n(&own->head->sleeping, bits, __ATOMIC_SEQ_CST);
}

void
plugs_sleep_end(struct plugs_region *own)
{
	__atomic_store_n(&own->head->sleeping, 0, __ATOMIC_RELAXED);
}

bool
plugs_wake(int wake_fd)
{
	uint8_t byte = PLUG_WAKE_BYTE;

	while (send(wake_fd, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		if (errno != EINTR) /* a full socket means that it has been woken already */
			return errno == EAGAIN || errno == ENOBUFS;
	}
	return true;
}

/* ---- the wake socket ---- */

union ancillary {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(4 * sizeof(int))];
};

/* The first descriptor of the message; the others are closed.  -1: none. */
static int
one_descriptor(struct msghdr *msg)
{
	int kept = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t bytes = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
			if (kept < 0)
				kept = fd;
			else
				close(fd);
		}
	}
	return kept;
}

/* A message of `size` bytes.  Takes fd, which is -1 and `lost` true when there was one for which
 * this process had no place. */
static bool
take_message(const void *bytes, size_t size, int fd, bool lost,
	     void (*on_arena)(const struct plug_wake_arena *msg, int fd, void *user), void *user)
{
	struct plug_wake_arena arena;

	if (size == 1 && fd < 0)
		return *(const uint8_t *)bytes == PLUG_WAKE_BYTE;
	if (size == sizeof(arena) && on_arena) {
		memcpy(&arena, bytes, sizeof(arena));
		if (arena.kind == PLUG_WAKE_ARENA ? fd >= 0 || lost
						  : arena.kind == PLUG_WAKE_FORGET && fd < 0) {
			on_arena(&arena, fd, user);
			return true;
		}
	}
	if (fd >= 0)
		close(fd);
	return false;
}

static ssize_t
receive(int wake_fd, int flags, void *bytes, size_t capacity, int *ret_fd, bool *ret_lost)
{
	union ancillary ancillary;
	struct iovec iov = {bytes, capacity};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &ancillary,
			     .msg_controllen = sizeof(ancillary)};
	ssize_t size;

	size = recvmsg(wake_fd, &msg, flags | MSG_CMSG_CLOEXEC);
	if (size >= 0) {
		*ret_fd = one_descriptor(&msg);
		*ret_lost = msg.msg_flags & MSG_CTRUNC;
	}
	return size;
}

plug_err
plugs_receive(int wake_fd, int flags,
	      void (*on_arena)(const struct plug_wake_arena *msg, int fd, void *user), void *user)
{
	uint8_t bytes[sizeof(struct plug_wake_arena) + 1];
	bool lost = false;
	int fd = -1;
	ssize_t size = receive(wake_fd, flags, bytes, sizeof(bytes), &fd, &lost);

	if (size < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? PLUG_EAGAIN
										 : PLUG_EGONE;
	if (size == 0) { /* the end, or an empty message, which looks like it */
		if (fd >= 0)
			close(fd);
		return PLUG_EGONE;
	}
	return take_message(bytes, (size_t)size, fd, lost, on_arena, user) ? PLUG_OK : PLUG_EPROTO;
}

plug_err
plugs_drain(int wake_fd, unsigned limit,
	    void (*on_arena)(const struct plug_wake_arena *msg, int fd, void *user), void *user,
	    unsigned *ret_count)
{
	unsigned count = 0;
	plug_err err = PLUG_OK;

	while (count < limit &&
	       (err = plugs_receive(wake_fd, MSG_DONTWAIT, on_arena, user)) == PLUG_OK)
		count++;
	if (ret_count)
		*ret_count = count;
	return err == PLUG_EAGAIN ? PLUG_OK : err;
}
