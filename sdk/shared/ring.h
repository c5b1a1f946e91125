/*
 * One direction of a channel: the owner posts records, the other side takes them.
 *
 * A poster and a taker each belong to one thread at a time; who they belong to is the caller's
 * business.  Nothing here blocks, allocates or logs.  What every record needs is inline.  The taker
 * believes nothing: positions live in private memory, every shared word is loaded once, and a
 * record's bytes may change while they are looked at, so that they are copied before they are
 * checked.
 */
#ifndef PLUGS_RING_H
#define PLUGS_RING_H

#include <plug/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "region.h"

/* Posts into the own region. */
struct plugs_poster {
	uint8_t *ring;
	uint64_t ring_bytes;
	uint64_t record_max; /* longest body */
	uint64_t position;   /* of the next header */
	uint64_t place;      /* position % ring_bytes */
	uint64_t taken;      /* by the other side, as last looked at */
	uint64_t woken_for;  /* position behind the record that it was last woken for */
	const uint64_t *peer_taken;
	const uint32_t *peer_sleeping;
};

/* Takes from the other side's region. */
struct plugs_taker {
	const uint8_t *ring;
	uint64_t ring_bytes;
	uint64_t record_max;
	uint64_t position, place;
	uint64_t *taken; /* in the own head */
	uint64_t told;   /* position that *taken says */
	const uint32_t *peer_sleeping;
};

void plugs_poster_init(struct plugs_poster *poster, const struct plugs_region *own,
		       const struct plugs_region *peer);
void plugs_taker_init(struct plugs_taker *taker, const struct plugs_region *own,
		      const struct plugs_region *peer);

/* ---- internal: what the inline functions below need ---- */

/* Look again at what the other side has taken.  False: it lies. */
bool plugs_refresh(struct plugs_poster *poster);

/* Bytes from one header to the next. */
static inline uint64_t
plugs_step(size_t size)
{
	return PLUG_RECORD_HEADER + (((uint64_t)size + 7u) & ~(uint64_t)7u);
}

static inline uint64_t
plugs_header(uint64_t position, size_t size)
{
	return (uint64_t)(uint32_t)(position / 8 + 1) << 32 | (uint32_t)size;
}

static inline uint64_t
plugs_free(const struct plugs_poster *poster)
{
	return poster->ring_bytes - (poster->position - poster->taken);
}

/* ---- posting ---- */

/*
 * Room for a body of at most `size` bytes, contiguous, to be filled and then posted with
 * plugs_post().  The other side does not see it before.
 *
 * PLUG_OK           *ret_body is valid until the post
 * PLUG_EOVERLOADED  the ring is full: the other side has to take first
 * PLUG_ETOOLARGE    larger than record_max
 * PLUG_EPROTO       the other side claims to have taken what was never posted
 */
static inline plug_err
plugs_reserve(struct plugs_poster *poster, size_t size, uint8_t **ret_body)
{
	uint64_t need = plugs_step(size) + PLUG_RECORD_HEADER;

	if (size > poster->record_max)
		return PLUG_ETOOLARGE;
	if (plugs_free(poster) < need) {
		if (!plugs_refresh(poster))
			return PLUG_EPROTO;
		if (plugs_free(poster) < need)
			return PLUG_EOVERLOADED;
	}
	*ret_body = poster->ring + poster->place + PLUG_RECORD_HEADER;
	return PLUG_OK;
}

/* Post the body of `size` bytes (1 up to what was reserved).  True: the other side sleeps and must
 * be woken (plugs_wake). */
static inline bool
plugs_post(struct plugs_poster *poster, size_t size)
{
	uint64_t step = plugs_step(size);
	uint64_t *at = (uint64_t *)(poster->ring + poster->place);
	uint64_t *next = (uint64_t *)(poster->ring + poster->place + step);

	__atomic_store_n(next, 0, __ATOMIC_RELAXED);
	__atomic_exchange_n(at, plugs_header(poster->position, size), __ATOMIC_SEQ_CST);
	poster->position += step;
	poster->place += step;
	if (poster->place >= poster->ring_bytes)
		poster->place -= poster->ring_bytes;
	if (!(__atomic_load_n(poster->peer_sleeping, __ATOMIC_SEQ_CST) & PLUG_SLEEP_RECORDS))
		return false;
	if (__atomic_load_n(poster->peer_taken, __ATOMIC_SEQ_CST) < poster->woken_for)
		return false;
	poster->woken_for = poster->position;
	return true;
}

/* How many bytes of body fit now: 0, or at least the smallest record. */
size_t plugs_room(struct plugs_poster *poster);

/* ---- taking ---- */

/*
 * The next record, still in shared memory.
 *
 * PLUG_OK     *ret_body, *ret_size: copy it, then plugs_taken()
 * PLUG_EAGAIN there is none
 * PLUG_EPROTO the header is no header of this place: the other side broke the rules
 */
static inline plug_err
plugs_peek(struct plugs_taker *taker, const uint8_t **ret_body, size_t *ret_size)
{
	const uint64_t *at = (const uint64_t *)(taker->ring + taker->place);
	uint64_t header = __atomic_load_n(at, __ATOMIC_SEQ_CST);
	uint64_t size = (uint32_t)header;

	if (header == 0)
		return PLUG_EAGAIN;
	if (size == 0 || size > taker->record_max || header != plugs_header(taker->position, size))
		return PLUG_EPROTO;
	*ret_body = taker->ring + taker->place + PLUG_RECORD_HEADER;
	*ret_size = size;
	return PLUG_OK;
}

/* The record last peeked at was copied: its place may be used again. */
static inline void
plugs_taken(struct plugs_taker *taker, size_t size)
{
	uint64_t step = plugs_step(size);

	taker->position += step;
	taker->place += step;
	if (taker->place >= taker->ring_bytes)
		taker->place -= taker->ring_bytes;
	__atomic_store_n(taker->taken, taker->position, __ATOMIC_RELEASE);
}

/* Publish in the own head what was taken, at the latest when there is nothing more to take, and
 * before sleeping.  True: the other side sleeps for room and must be woken. */
bool plugs_tell_taken(struct plugs_taker *taker);

/* ---- sleeping ---- */

/* Say in the own head that this side is about to wait on the socket; after it the caller looks at
 * the ring (or the room) once more, and only then waits. */
void plugs_sleep_begin(struct plugs_region *own, uint32_t bits);
void plugs_sleep_end(struct plugs_region *own);

/* Send one wake byte, never blocking; false when the other end is gone. */
bool plugs_wake(int wake_fd);

/*
 * Take one message from the wake socket; `flags` are recvmsg()'s, so that it waits as long as the
 * socket does (SO_RCVTIMEO), or not at all with MSG_DONTWAIT.  Arena messages are handed to
 * on_arena with their descriptor, which it owns.
 *
 * on_arena may be NULL: then an arena message is none of ours.  Its fd is -1 with PLUG_WAKE_FORGET,
 * and when this process had no descriptor left for it; the message is told of all the same, so that
 * nobody is accused.
 *
 * PLUG_OK
 * PLUG_EAGAIN there is none (yet), or a signal came
 * PLUG_EGONE  the other side closed its end
 * PLUG_EPROTO a message that is none of ours
 */
plug_err plugs_receive(int wake_fd, int flags,
		       void (*on_arena)(const struct plug_wake_arena *msg, int fd, void *user),
		       void *user);

/* The same for what lies there now, up to `limit` messages.  PLUG_OK: nothing more for now. */
plug_err plugs_drain(int wake_fd, unsigned limit,
		     void (*on_arena)(const struct plug_wake_arena *msg, int fd, void *user),
		     void *user, unsigned *ret_count);

#endif
