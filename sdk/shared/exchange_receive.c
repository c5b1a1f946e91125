/* What comes: nothing of it is believed.  And what is to be returned. */
#include <stdlib.h>
#include <string.h>

#include "exchange_private.h"
#include "tensor.h"

/* ---- one tensor ---- */

/* The numbers that have a smaller type here, copied when they fit. */
static plug_err
copy_numbers(const struct plugs_tensor *from, struct plug_tensor *ret)
{
	if (from->code > UINT8_MAX || from->bits > UINT8_MAX || from->lanes > UINT16_MAX)
		return plugs_tensor_fail(
			PLUG_EINVAL, "elements of code %u, %u bits and %u lanes cannot be carried",
			from->code, from->bits, from->lanes);
	if (from->dims > PLUG_TENSOR_DIMS ||
	    (from->strides_count && from->strides_count != from->dims))
		return plugs_tensor_fail(
			PLUG_EINVAL,
			"%u dimensions and %u strides, expected at most %d, and as "
			"many or no strides",
			from->dims, from->strides_count, PLUG_TENSOR_DIMS);
	if (from->name.size >= PLUG_TENSOR_NAME)
		return plugs_tensor_fail(PLUG_EINVAL, "its name has %zu bytes, expected at most %d",
					 from->name.size, PLUG_TENSOR_NAME - 1);
	*ret = (struct plug_tensor){
		.data = (void *)&plugs_nothing,
		.device = {PLUG_DEVICE_CPU, 0},
		.ndim = (int32_t)from->dims,
		.dtype = {(uint8_t)from->code, (uint8_t)from->bits, (uint16_t)from->lanes},
		.byte_offset = from->byte_offset,
	};
	for (uint32_t i = 0; i < from->dims; i++) {
		if (from->shape[i] > INT64_MAX)
			return plugs_tensor_fail(PLUG_EINVAL, "dimension %u has size %llu", i,
						 (unsigned long long)from->shape[i]);
		ret->shape[i] = (int64_t)from->shape[i];
	}
	if (from->name.size)
		memcpy(ret->name, from->name.data, from->name.size);
	for (size_t i = 0; i < from->name.size; i++) {
		if ((unsigned char)ret->name[i] >= ' ' && ret->name[i] != 127)
			continue;
		ret->name[0] = '\0';
		return plugs_tensor_fail(PLUG_EINVAL, "its name has a control character");
	}
	return PLUG_OK;
}

/* Type, shape and strides. */
static plug_err
copy_layout(const struct plugs_tensor *from, struct plug_tensor *ret, uint64_t *ret_elements)
{
	uint64_t bytes;
	plug_err err = copy_numbers(from, ret);

	if (err == PLUG_OK)
		err = plugs_layout_size(ret->dtype, ret->ndim, ret->shape, ret_elements, &bytes);
	if (err != PLUG_OK)
		return err;
	plugs_layout_compact(ret->ndim, ret->shape, ret->strides);
	for (uint32_t i = 0; i < from->strides_count; i++) {
		/* Of a dimension of one element or none the stride is never used, so it may not
		 * be anything. */
		if (ret->shape[i] > 1)
			ret->strides[i] = from->strides[i];
	}
	return PLUG_OK;
}

/* Something that we lent and that is sent back. */
static plug_err
take_own(struct plugs_exchange *exchange, const struct plugs_tensor *from, struct plug_buffer **ret)
{
	struct plug_buffer *buffer =
		plugs_exchange_find_lent(exchange, from->arena, from->generation);

	if (!buffer)
		return plugs_tensor_fail(
			PLUG_EINVAL,
			"generation %llu of arena %u is said to be ours, but is not "
			"lent",
			(unsigned long long)from->generation, from->arena);
	if (buffer->offset == from->offset && from->bytes <= buffer->bytes) {
		*ret = buffer;
		return PLUG_OK;
	}
	plugs_tensor_fail(PLUG_EINVAL,
			  "%llu bytes at %llu, but the buffer that was lent has %llu at %llu",
			  (unsigned long long)from->bytes, (unsigned long long)from->offset,
			  (unsigned long long)buffer->bytes, (unsigned long long)buffer->offset);
	plugs_buffer_unref(buffer);
	return PLUG_EINVAL;
}

/* The arena of this number, which stays where it is while this thread receives. */
static plug_err
find_arena(const struct plugs_exchange *exchange, uint32_t number, bool drained,
	   struct plug_arena **ret)
{
	const struct plugs_seen *seen = &exchange->seen[plugs_arena_place(number)];
	bool known = seen->number == number;
	const char *why;
	plug_err err;

	if (!(known && seen->arena) && !drained)
		return PLUG_EAGAIN; /* also where one was wrong: a better one may follow */
	if (!(known && seen->arena))
		return plugs_tensor_fail(PLUG_EINVAL, "arena %u cannot be used: %s", number,
					 known ? seen->why : "it was never shown");
	err = plugs_arena_map(seen->arena, &why);
	if (err != PLUG_OK)
		return plugs_tensor_fail(err, "arena %u cannot be used: %s", number, why);
	*ret = seen->arena;
	return PLUG_OK;
}

static plug_err
check_place(const struct plug_arena *arena, const struct plugs_tensor *from)
{
	if (from->offset % PLUG_ARENA_GRAIN != 0 || from->offset < arena->data ||
	    from->offset > arena->bytes || from->bytes > arena->bytes - from->offset)
		return plugs_tensor_fail(
			PLUG_EINVAL,
			"%llu bytes at %llu are not a buffer of arena %u, which has "
			"%llu bytes from %llu on",
			(unsigned long long)from->bytes, (unsigned long long)from->offset,
			from->arena, (unsigned long long)(arena->bytes - arena->data),
			(unsigned long long)arena->data);
	if (!plugs_arena_current(arena, from->generation))
		return plugs_tensor_fail(PLUG_EINVAL,
					 "generation %llu of arena %u is gone: its memory was "
					 "released",
					 (unsigned long long)from->generation, from->arena);
	return PLUG_OK;
}

static plug_err
take_foreign(struct plugs_exchange *exchange, const struct plugs_tensor *from, bool drained,
	     struct plug_buffer **ret)
{
	struct plug_arena *arena = NULL;
	struct plug_buffer *buffer = NULL;
	plug_err err = find_arena(exchange, from->arena, drained, &arena);

	if (err != PLUG_OK)
		return err;
	err = check_place(arena, from);
	if (err != PLUG_OK)
		return err;
	buffer =
		plugs_buffer_loan(exchange, arena, from->arena, exchange->side == PLUG_SIDE_CALLER);
	if (!buffer)
		return plugs_tensor_fail(PLUG_ENOMEM, "no memory for a tensor");
	plugs_arena_ref(arena);
	buffer->offset = from->offset;
	buffer->bytes = from->bytes;
	buffer->generation = from->generation;
	*ret = buffer;
	return PLUG_OK;
}

/* On success with a reference to its buffer, whether its layout is right or not: *ret_wrong. */
static plug_err
take_one(struct plugs_exchange *exchange, const struct plugs_tensor *from, bool drained,
	 struct plug_tensor *ret)
{
	uint64_t elements;
	plug_err err = copy_layout(from, ret, &elements);

	if (err != PLUG_OK)
		return err;
	if (from->arena == 0) {
		ret->byte_offset = 0;
		if (elements)
			err = plugs_tensor_fail(PLUG_EINVAL, "%llu elements without an arena",
						(unsigned long long)elements);
		return err;
	}
	if (from->yours)
		err = take_own(exchange, from, &ret->buffer);
	else
		err = take_foreign(exchange, from, drained, &ret->buffer);
	if (err != PLUG_OK)
		return err;
	ret->bytes = from->bytes;
	ret->data = plugs_buffer_data(ret->buffer);
	if (!ret->buffer->block)
		ret->flags = PLUG_TENSOR_READ_ONLY;
	return plugs_layout_inside(ret, from->offset, from->bytes);
}

/* ---- all of a message ---- */

/* Undo: what a plugin lent goes back once, whether a buffer was made for it or not. */
static void
undo(struct plugs_exchange *exchange, const struct plugs_tensor *tensors, size_t count,
     struct plug_tensor *made, bool returns)
{
	for (size_t i = 0; i < count; i++) {
		struct plug_buffer *buffer = made[i].buffer;

		if (buffer && !tensors[i].yours && !returns)
			buffer->returns = false; /* it comes again */
		plugs_buffer_unref(buffer);
		if (!buffer && returns)
			plugs_exchange_discard(exchange, &tensors[i], 1);
	}
}

plug_err
plugs_exchange_receive(struct plugs_exchange *exchange, const struct plugs_tensor *tensors,
		       size_t count, bool drained, struct plug_tensor *ret)
{
	plug_err err = PLUG_OK;
	size_t at;

	for (at = 0; at < count; at++) { /* the rest is set when it is taken */
		ret[at].buffer = NULL;
		ret[at].name[0] = '\0';
	}
	for (at = 0; at < count; at++) {
		err = take_one(exchange, &tensors[at], drained, &ret[at]);
		if (err != PLUG_OK)
			break;
	}
	if (err == PLUG_OK) {
		plugs_count(&plugs_counts.received, count);
		return PLUG_OK;
	}
	undo(exchange, tensors, count, ret,
	     err != PLUG_EAGAIN && exchange->side == PLUG_SIDE_CALLER);
	if (err == PLUG_EAGAIN)
		return err;
	if (err == PLUG_EINVAL)
		plugs_count(&plugs_counts.refused, 1);
	return plugs_tensor_fail(err, "tensor %zu%s%s%s: %s", at, *ret[at].name ? " \"" : "",
				 ret[at].name, *ret[at].name ? "\"" : "", plug_tensor_error_text());
}

/* ---- returning ---- */

void
plugs_exchange_on_due(struct plugs_exchange *exchange, void (*on_due)(void *user), void *user)
{
	pthread_mutex_lock(&exchange->due_lock);
	exchange->on_due = on_due;
	exchange->due_user = user;
	pthread_mutex_unlock(&exchange->due_lock);
}

/* Of several threads at once one is enough. */
static void
run_due(struct plugs_exchange *exchange)
{
	if (pthread_mutex_trylock(&exchange->due_lock) != 0)
		return;
	if (exchange->on_due)
		exchange->on_due(exchange->due_user);
	pthread_mutex_unlock(&exchange->due_lock);
}

/* These two with the lock held: what others look at without it only tells them to take it. */
static uint32_t
returns_count(const struct plugs_exchange *exchange)
{
	return atomic_load_explicit(&exchange->returns_count, memory_order_relaxed);
}

static void
note_returns(struct plugs_exchange *exchange, uint32_t count, bool due)
{
	atomic_store_explicit(&exchange->returns_count, count, memory_order_relaxed);
	atomic_store_explicit(&exchange->returns_due, due, memory_order_relaxed);
}

void
plugs_exchange_give_back(struct plugs_exchange *exchange, struct plug_buffer *buffer)
{
	bool ended;

	buffer->next = NULL;
	pthread_mutex_lock(&exchange->lock);
	ended = exchange->wake_fd < 0;
	if (!ended) {
		uint32_t count = returns_count(exchange) + 1;

		*exchange->returns_tail = buffer;
		exchange->returns_tail = &buffer->next;
		exchange->returns_bytes += buffer->bytes;
		note_returns(exchange, count,
			     count >= PLUGS_RETURNS_DUE ||
				     exchange->returns_bytes >= PLUGS_RETURNS_BYTES);
	}
	pthread_mutex_unlock(&exchange->lock);
	if (ended)
		plugs_buffer_free(buffer);
	else if (plugs_exchange_returns_due(exchange))
		run_due(exchange);
}

void
plugs_exchange_discard(struct plugs_exchange *exchange, const struct plugs_tensor *tensors,
		       size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct plug_buffer *buffer;

		if (tensors[i].yours || tensors[i].arena == 0)
			continue;
		/* Without memory for it the plugin has it back when the channel ends. */
		buffer = plugs_buffer_loan(exchange, NULL, tensors[i].arena, true);
		if (!buffer)
			continue;
		buffer->offset = tensors[i].offset;
		buffer->generation = tensors[i].generation;
		plugs_buffer_unref(buffer);
	}
}

size_t
plugs_exchange_take_returns(struct plugs_exchange *exchange, struct plugs_buffer *ret, size_t max)
{
	struct plug_buffer *taken, *buffer, **end;
	size_t count = 0;

	pthread_mutex_lock(&exchange->lock);
	taken = exchange->returns;
	end = &taken;
	while (count < max && *end) {
		exchange->returns_bytes -= (*end)->bytes;
		ret[count++] = (struct plugs_buffer){
			.arena = (*end)->number,
			.offset = (*end)->offset,
			.generation = (*end)->generation,
		};
		end = &(*end)->next;
	}
	exchange->returns = *end;
	*end = NULL;
	if (!exchange->returns)
		exchange->returns_tail = &exchange->returns;
	note_returns(exchange, returns_count(exchange) - (uint32_t)count, false);
	pthread_mutex_unlock(&exchange->lock);
	while ((buffer = taken)) {
		taken = buffer->next;
		plugs_buffer_free(buffer);
	}
	return count;
}
