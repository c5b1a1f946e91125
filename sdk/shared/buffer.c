#include "buffer.h"

#include <stdlib.h>

#include "exchange.h"

struct plug_buffer *
plugs_buffer_loan(struct plugs_exchange *lender, struct plug_arena *arena, uint32_t number,
		  bool returns)
{
	struct plug_buffer *buffer = malloc(sizeof(*buffer));

	if (!buffer)
		return NULL;
	*buffer = (struct plug_buffer){
		.refs = 1,
		.arena = arena,
		.lender = lender,
		.number = number,
		.returns = returns,
	};
	plugs_exchange_ref(lender);
	return buffer;
}

plug_err
plugs_buffer_make(struct plug_arena *arena, uint64_t bytes, struct plug_buffer **ret)
{
	struct plug_buffer *buffer = malloc(sizeof(*buffer));
	plug_err err;

	if (!buffer)
		return PLUG_ENOMEM;
	*buffer = (struct plug_buffer){.refs = 1, .arena = arena, .bytes = bytes};
	err = plugs_arena_take(arena, bytes, &buffer->block, &buffer->generation);
	if (err != PLUG_OK) {
		free(buffer);
		return err;
	}
	plugs_arena_ref(arena);
	buffer->offset = arena->data + buffer->block->at * PLUG_ARENA_GRAIN;
	*ret = buffer;
	return PLUG_OK;
}

void
plugs_buffer_ref(struct plug_buffer *buffer)
{
	atomic_fetch_add_explicit(&buffer->refs, 1, memory_order_relaxed);
}

void
plugs_buffer_free(struct plug_buffer *buffer)
{
	plugs_arena_unref(buffer->arena);
	if (buffer->lender)
		plugs_exchange_unref(buffer->lender);
	free(buffer);
}

void
plugs_buffer_unref(struct plug_buffer *buffer)
{
	if (!buffer || atomic_fetch_sub_explicit(&buffer->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (buffer->block)
		plugs_arena_give(buffer->arena, buffer->block, buffer->generation);
	if (buffer->returns)
		plugs_exchange_give_back(buffer->lender, buffer);
	else
		plugs_buffer_free(buffer);
}
