/*
 * Invariants
 *
 * - Blocks cover the space without gaps, in the order of before and behind; two neighbours are
 * never both free, so there are at most taken + 1 free ones.
 * - A free block is in the list of the class that its size falls into; the bits say which lists are
 *   not empty.  Every block of a class above that of a size is larger than it.
 */
#include "arena_space.h"

#include <stdlib.h>

struct class
{
	unsigned major, sub;
};

/* The class of blocks of this size. */
static struct class class_of(uint64_t size)
{
	unsigned log2;

	if (size < PLUGS_SPACE_SUBS)
		return (struct class){0, (unsigned)size};
	log2 = 63u - (unsigned)__builtin_clzll(size);
	return (struct class){
		.major = log2 - PLUGS_SPACE_SUBS_LOG2 + 1,
		.sub = (unsigned)(size >> (log2 - PLUGS_SPACE_SUBS_LOG2)) - PLUGS_SPACE_SUBS,
	};
}

/* The lowest class whose blocks are all at least this large. */
static struct class class_above(uint64_t size)
{
	if (size >= PLUGS_SPACE_SUBS) {
		unsigned log2 = 63u - (unsigned)__builtin_clzll(size);

		size += (1ull << (log2 - PLUGS_SPACE_SUBS_LOG2)) - 1;
	}
	return class_of(size);
}

/* ---- blocks ---- */

plug_err
plugs_space_init(struct plugs_space *space, uint64_t size, uint32_t taken_max)
{
	struct plugs_block *whole;

	*space = (struct plugs_space){.size = size, .taken_max = taken_max};
	/* Taken and free ones, and two that a block being taken leaves on its sides. */
	space->blocks = calloc(2 * (size_t)taken_max + 3, sizeof(*space->blocks));
	if (!space->blocks)
		return PLUG_ENOMEM;
	whole = &space->blocks[space->blocks_touched++];
	whole->size = size;
	space->taken = 1; /* given back at once */
	space->used = size;
	plugs_space_give(space, whole);
	return PLUG_OK;
}

void
plugs_space_fini(struct plugs_space *space)
{
	free(space->blocks);
	*space = (struct plugs_space){.size = 0};
}

static struct plugs_block *
new_block(struct plugs_space *space)
{
	struct plugs_block *block = space->spares;

	if (!block)
		return &space->blocks[space->blocks_touched++];
	space->spares = block->next;
	return block;
}

static void
drop_block(struct plugs_space *space, struct plugs_block *block)
{
	block->next = space->spares;
	space->spares = block;
}

static void
list(struct plugs_space *space, struct plugs_block *block)
{
	struct class class = class_of(block->size);
	struct plugs_block **head = &space->heads[class.major][class.sub];

	block->free = true;
	block->prev = NULL;
	block->next = *head;
	if (*head)
		(*head)->prev = block;
	*head = block;
	space->subs[class.major] |= 1u << class.sub;
	space->classes |= 1ull << class.major;
}

static void
unlist(struct plugs_space *space, struct plugs_block *block)
{
	struct class class = class_of(block->size);
	struct plugs_block **head = &space->heads[class.major][class.sub];

	space->looks++;
	block->free = false;
	if (block->next)
		block->next->prev = block->prev;
	if (block->prev)
		block->prev->next = block->next;
	else
		*head = block->next;
	if (*head)
		return;
	space->subs[class.major] &= ~(1u << class.sub);
	if (!space->subs[class.major])
		space->classes &= ~(1ull << class.major);
}

/* ---- taking ---- */

static uint64_t
gap(const struct plugs_block *block, uint64_t align)
{
	return -block->at & (align - 1);
}

static struct plugs_block *
fits(struct plugs_space *space, struct plugs_block *block, uint64_t size, uint64_t align)
{
	if (!block)
		return NULL;
	space->looks++;
	return block->size >= size && block->size - size >= gap(block, align) ? block : NULL;
}

/* The first block of the lowest class that is not empty from `from` on. */
static struct plugs_block *
first_from(const struct plugs_space *space, struct class from)
{
	uint32_t subs;
	uint64_t classes;

	if (from.major >= PLUGS_SPACE_CLASSES)
		return NULL;
	subs = space->subs[from.major] & ~0u << from.sub;
	if (!subs) {
		classes = space->classes & ~0ull << from.major & ~(1ull << from.major);
		if (!classes)
			return NULL;
		from.major = (unsigned)__builtin_ctzll(classes);
		subs = space->subs[from.major];
	}
	return space->heads[from.major][__builtin_ctz(subs)];
}

static struct plugs_block *
find(struct plugs_space *space, uint64_t size, uint64_t align)
{
	struct class own = class_of(size);
	struct plugs_block *block;

	/* The list of its own class may have one that fits exactly: buffers of one size are what
	 * there is most of. */
	block = fits(space, space->heads[own.major][own.sub], size, align);
	if (!block)
		block = fits(space, first_from(space, class_above(size)), size, align);
	if (!block && align > 1)
		block = fits(space, first_from(space, class_above(size + align - 1)), size, align);
	return block;
}

/* Cut `size` off the front of a block that is in no list; returns what is behind, in none either.
 */
static struct plugs_block *
split(struct plugs_space *space, struct plugs_block *block, uint64_t size)
{
	struct plugs_block *rest = new_block(space);

	*rest = (struct plugs_block){
		.at = block->at + size,
		.size = block->size - size,
		.before = block,
		.behind = block->behind,
	};
	if (rest->behind)
		rest->behind->before = rest;
	block->behind = rest;
	block->size = size;
	return rest;
}

struct plugs_block *
plugs_space_take(struct plugs_space *space, uint64_t size, uint64_t align)
{
	struct plugs_block *block;
	uint64_t front;

	space->looks = 0;
	if (space->taken == space->taken_max || size > space->size)
		return NULL;
	block = find(space, size, align);
	if (!block)
		return NULL;
	unlist(space, block);
	front = gap(block, align);
	if (front) {
		struct plugs_block *aligned = split(space, block, front);

		list(space, block);
		block = aligned;
	}
	if (block->size > size)
		list(space, split(space, block, size));
	space->taken++;
	space->used += size;
	return block;
}

/* ---- giving back ---- */

/* `block` and the one behind it become one. */
static void
join(struct plugs_space *space, struct plugs_block *block)
{
	struct plugs_block *behind = block->behind;

	block->size += behind->size;
	block->behind = behind->behind;
	if (block->behind)
		block->behind->before = block;
	drop_block(space, behind);
}

void
plugs_space_give(struct plugs_space *space, struct plugs_block *block)
{
	space->looks = 0;
	space->taken--;
	space->used -= block->size;
	if (block->behind && block->behind->free) {
		unlist(space, block->behind);
		join(space, block);
	}
	if (block->before && block->before->free) {
		block = block->before;
		unlist(space, block);
		join(space, block);
	}
	list(space, block);
}

uint64_t
plugs_space_largest(const struct plugs_space *space)
{
	unsigned major;

	if (!space->classes)
		return 0;
	major = 63u - (unsigned)__builtin_clzll(space->classes);
	return space->heads[major][31u - (unsigned)__builtin_clz(space->subs[major])]->size;
}
