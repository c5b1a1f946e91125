/*
 * What is free and what is in use of an arena, in private memory: two-level segregated fit.  Taking
 * and giving back look at a bounded number of blocks, whatever the arena's size and state.  Sizes
 * and places are in grains (PLUG_ARENA_GRAIN).  Not thread-safe.
 */
#ifndef PLUGS_ARENA_SPACE_H
#define PLUGS_ARENA_SPACE_H

#include <plug/error.h>
#include <stdbool.h>
#include <stdint.h>

#define PLUGS_SPACE_SUBS      32 /* subclasses of a power of two */
#define PLUGS_SPACE_SUBS_LOG2 5
#define PLUGS_SPACE_CLASSES   40 /* up to 2^44 grains */
#define PLUGS_SPACE_LOOKS     6  /* blocks looked at by one operation, at most */

struct plugs_block {
	uint64_t at, size;
	struct plugs_block *before, *behind; /* in the arena */
	struct plugs_block *prev, *next;     /* of the free ones of a class; next also of spares */
	bool free;
};

struct plugs_space {
	uint64_t size, used;
	uint32_t taken; /* blocks */
	uint32_t taken_max;
	uint32_t looks; /* of the last operation */
	struct plugs_block *blocks;
	uint32_t blocks_touched; /* those behind were never used */
	struct plugs_block *spares;
	uint64_t classes; /* bit set: a subclass has a free block */
	uint32_t subs[PLUGS_SPACE_CLASSES];
	struct plugs_block *heads[PLUGS_SPACE_CLASSES][PLUGS_SPACE_SUBS];
};

/* `size` grains, all free; at most taken_max blocks are taken at a time.  PLUG_ENOMEM. */
plug_err plugs_space_init(struct plugs_space *space, uint64_t size, uint32_t taken_max);
void plugs_space_fini(struct plugs_space *space);

/* A block of exactly `size` (1 or more), whose place is a multiple of `align` (a power of two).
 * NULL: there is none, or taken_max are taken.  A block that is large enough without being aligned
 * may be missed only if none is larger by align - 1. */
struct plugs_block *plugs_space_take(struct plugs_space *space, uint64_t size, uint64_t align);

void plugs_space_give(struct plugs_space *space, struct plugs_block *block);

/* A size that can be taken with align 1: not always the largest, at least 15/16 of it. */
uint64_t plugs_space_largest(const struct plugs_space *space);

#endif
