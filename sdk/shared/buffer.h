/*
 * Buffers: what the references of tensors count.  One is either memory of an own arena, which its
 * last reference gives back, or a loan of the other side of a channel, which its last reference
 * returns there (or which ends by itself, when it came with a request).  Safe in any thread.
 */
#ifndef PLUGS_BUFFER_H
#define PLUGS_BUFFER_H

#include "arena.h"

struct plugs_exchange;

struct plug_buffer {
	_Atomic uint32_t refs;
	struct plug_arena *arena; /* holds a reference; NULL: a loan that could not be used */
	uint64_t offset, bytes, generation;
	struct plugs_block *block; /* of an own arena; NULL: a loan */

	/* A loan: from which channel, under which number, and whether it is to be returned. */
	struct plugs_exchange *lender; /* holds a reference; NULL: own memory */
	uint32_t number;
	bool returns;
	struct plug_buffer *next; /* of those to be returned */
};

/* With one reference.  Takes over the caller's to the arena (may be NULL); NULL when memory is out,
 * and then it takes over nothing. */
struct plug_buffer *plugs_buffer_loan(struct plugs_exchange *lender, struct plug_arena *arena,
				      uint32_t number, bool returns);

/* A new buffer of an own arena with one reference.  Errors as plug_tensor_alloc(). */
plug_err plugs_buffer_make(struct plug_arena *arena, uint64_t bytes, struct plug_buffer **ret);

void plugs_buffer_ref(struct plug_buffer *buffer);
void plugs_buffer_unref(struct plug_buffer *buffer); /* NULL is allowed */

/* Frees what is to be returned no more. */
void plugs_buffer_free(struct plug_buffer *buffer);

static inline uint8_t *
plugs_buffer_data(const struct plug_buffer *buffer)
{
	return atomic_load_explicit(&buffer->arena->base, memory_order_relaxed) + buffer->offset;
}

#endif
