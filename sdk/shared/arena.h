/*
 * Arenas from inside: the ones that this process writes, and those of others that it has been
 * shown. Both are one struct, found by the memfd's inode, so that an arena that comes on several
 * channels, or comes home, is mapped once.  docs/tensors.md has the picture; proto/arena_layout.h
 * the layout.
 *
 * References are held by buffers, by the channels that show an arena or were shown it, and by
 * whoever opened it; with the last one it is unmapped and its descriptor closed.  All functions are
 * safe in any thread.
 */
#ifndef PLUGS_ARENA_H
#define PLUGS_ARENA_H

#include <plug/tensor.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "arena_layout.h"
#include "arena_space.h"

struct plug_arena {
	_Atomic uint32_t refs;
	bool own;
	_Atomic uint32_t
		sources; /* own: 1 until it is closed; others: channels that show it to us */
	int fd;
	uint64_t bytes; /* of the memfd */
	dev_t device;
	ino_t inode;
	LIST_ENTRY(plug_arena) bucket;

	pthread_mutex_t lock;  /* of mapping a foreign one, and of what follows `data` */
	uint8_t *_Atomic base; /* NULL: not mapped yet */
	uint64_t *generations;
	uint32_t slots;
	uint64_t data;

	/* Own ones */
	struct plugs_space space;
	uint64_t given; /* buffers, ever */
	uint16_t *slots_free;
	uint32_t slots_free_count, slots_touched;
};

void plugs_arena_ref(struct plug_arena *arena);
void plugs_arena_unref(struct plug_arena *arena); /* NULL is allowed */

/* As plug_arena_open(); errors set the text. */
plug_err plugs_arena_make(const char *name, uint64_t bytes, struct plug_arena **ret);

/*
 * An arena that came from the other side of a channel.  Takes `fd`, whatever happens.  Not mapped
 * yet.  *ret has one reference and one more source.  On failure *ret_why is static text.
 *
 * PLUG_EINVAL  not sealed, not as long as announced, or its memory is not taken
 * PLUG_ENOMEM  no memory, or too few descriptors are left
 */
plug_err plugs_arena_seen(int fd, uint64_t bytes, struct plug_arena **ret, const char **ret_why);

/* One source less of a foreign one: true when that was the last, and nothing new comes from it. */
bool plugs_arena_source_gone(struct plug_arena *arena);

static inline bool
plugs_arena_closed(const struct plug_arena *arena)
{
	return atomic_load_explicit(&arena->sources, memory_order_relaxed) == 0;
}

/* Map it for reading and check its head; nothing when that is done.  PLUG_EINVAL, PLUG_ENOMEM. */
plug_err plugs_arena_map(struct plug_arena *arena, const char **ret_why);

/* Does the owner say that this buffer is in use?  Of an arena that is mapped. */
bool plugs_arena_current(const struct plug_arena *arena, uint64_t generation);

/* ---- buffers of an own arena ---- */

/* `bytes` is at least 1.  Errors as plug_tensor_alloc(), with their text. */
plug_err plugs_arena_take(struct plug_arena *arena, uint64_t bytes, struct plugs_block **ret_block,
			  uint64_t *ret_generation);
void plugs_arena_give(struct plug_arena *arena, struct plugs_block *block, uint64_t generation);

#endif
