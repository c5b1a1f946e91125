/* Tensors as such: their checks, their buffers, their names and the counts. */
#include "tensor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "exchange.h"

#define TEXT_BYTES 512
#define BYTES_MAX  (1ull << 47) /* of a buffer: sums of a few of them do not overflow */

const max_align_t plugs_nothing;

struct plugs_process plug_tensor_process = {
	.arenas_lock = PTHREAD_MUTEX_INITIALIZER,
	.exchanges_lock = PTHREAD_MUTEX_INITIALIZER,
};

static _Thread_local char text[TEXT_BYTES];

plug_err
plugs_tensor_fail(plug_err err, const char *format, ...)
{
	char made[TEXT_BYTES]; /* the arguments may be the last text */
	va_list args;

	va_start(args, format);
	vsnprintf(made, sizeof(made), format, args);
	va_end(args);
	memcpy(text, made, sizeof(text));
	return err;
}

const char *
plug_tensor_error_text(void)
{
	return text;
}

/* ---- layout ---- */

plug_err
plugs_layout_size(struct plug_dtype dtype, int ndim, const int64_t *shape, uint64_t *ret_elements,
		  uint64_t *ret_bytes)
{
	size_t element = plug_dtype_bytes(dtype);
	int64_t product = 1, bytes; /* as if no dimension were 0, so that strides fit as well */
	bool empty = false;
	char name[PLUG_DTYPE_NAME];

	if (!element)
		return plugs_tensor_fail(
			PLUG_EINVAL,
			"elements of type %s cannot be carried: expected a type of "
			"plug/tensor.h whose bits times lanes are whole bytes",
			plug_dtype_name(dtype, name));
	if (ndim < 0 || ndim > PLUG_TENSOR_DIMS)
		return plugs_tensor_fail(PLUG_EINVAL, "%d dimensions, expected 0 to %d", ndim,
					 PLUG_TENSOR_DIMS);
	for (int i = 0; i < ndim; i++) {
		if (shape[i] < 0)
			return plugs_tensor_fail(PLUG_EINVAL,
						 "dimension %d has size %lld, expected 0 or more",
						 i, (long long)shape[i]);
		empty |= shape[i] == 0;
		if (__builtin_mul_overflow(product, shape[i] ? shape[i] : 1, &product))
			return plugs_tensor_fail(
				PLUG_EINVAL, "the number of elements overflows at dimension %d", i);
	}
	if (__builtin_mul_overflow(product, (int64_t)element, &bytes))
		return plugs_tensor_fail(PLUG_EINVAL, "%lld elements of %zu bytes overflow",
					 (long long)product, element);
	*ret_elements = empty ? 0 : (uint64_t)product;
	*ret_bytes = empty ? 0 : (uint64_t)bytes;
	return PLUG_OK;
}

void
plugs_layout_compact(int ndim, const int64_t *shape, int64_t *ret_strides)
{
	int64_t stride = 1;

	for (int i = ndim - 1; i >= 0; i--) {
		ret_strides[i] = stride;
		stride *= shape[i] ? shape[i] : 1;
	}
}

/* How many elements lie before the first and behind it, at most.  False: that overflows. */
static bool
extent(const struct plug_tensor *tensor, int64_t *ret_before, int64_t *ret_behind)
{
	int64_t before = 0, behind = 0;

	for (int i = 0; i < tensor->ndim; i++) {
		int64_t reach;
		int64_t *side = tensor->strides[i] < 0 ? &before : &behind;

		if (__builtin_mul_overflow(tensor->shape[i] - 1, tensor->strides[i], &reach) ||
		    __builtin_add_overflow(*side, reach, side))
			return false;
	}
	*ret_before = before;
	*ret_behind = behind;
	return true;
}

static bool
empty(const struct plug_tensor *tensor)
{
	for (int i = 0; i < tensor->ndim; i++) {
		if (tensor->shape[i] == 0)
			return true;
	}
	return false;
}

plug_err
plugs_layout_inside(const struct plug_tensor *tensor, uint64_t address, uint64_t bytes)
{
	int64_t element = (int64_t)plug_dtype_bytes(tensor->dtype);
	size_t align = plugs_dtype_align(tensor->dtype);
	int64_t before, behind, first, end;

	if (tensor->byte_offset > bytes)
		return plugs_tensor_fail(
			PLUG_EINVAL, "its first element is at byte %llu of a buffer of %llu",
			(unsigned long long)tensor->byte_offset, (unsigned long long)bytes);
	if (empty(tensor))
		return PLUG_OK;
	if (!extent(tensor, &before, &behind) || __builtin_mul_overflow(before, element, &first) ||
	    __builtin_add_overflow(first, (int64_t)tensor->byte_offset, &first) ||
	    __builtin_add_overflow(behind, 1, &behind) ||
	    __builtin_mul_overflow(behind, element, &end) ||
	    __builtin_add_overflow(end, (int64_t)tensor->byte_offset, &end))
		return plugs_tensor_fail(PLUG_EINVAL, "its strides overflow");
	if (first < 0 || (uint64_t)end > bytes)
		return plugs_tensor_fail(PLUG_EINVAL,
					 "its elements reach from byte %lld to %lld of a buffer of "
					 "%llu bytes",
					 (long long)first, (long long)end,
					 (unsigned long long)bytes);
	if ((address + tensor->byte_offset) % align != 0)
		return plugs_tensor_fail(
			PLUG_EINVAL,
			"its first element is at byte %llu, expected a multiple of "
			"%zu",
			(unsigned long long)(address + tensor->byte_offset), align);
	return PLUG_OK;
}

plug_err
plug_tensor_check(const struct plug_tensor *tensor)
{
	const struct plug_buffer *buffer = tensor->buffer;
	uint64_t elements, bytes;
	plug_err err;

	err = plugs_layout_size(tensor->dtype, tensor->ndim, tensor->shape, &elements, &bytes);
	if (err != PLUG_OK)
		return err;
	if (tensor->bytes > BYTES_MAX)
		return plugs_tensor_fail(PLUG_EINVAL,
					 "a buffer of %llu bytes, expected %llu at most",
					 (unsigned long long)tensor->bytes, BYTES_MAX);
	if ((buffer &&
	     (tensor->data != plugs_buffer_data(buffer) || tensor->bytes > buffer->bytes)))
		return plugs_tensor_fail(PLUG_EINVAL,
					 "its data and bytes are not those of its buffer");
	return plugs_layout_inside(tensor, (uintptr_t)tensor->data, tensor->bytes);
}

uint64_t
plug_tensor_elements(const struct plug_tensor *tensor)
{
	uint64_t elements = 1;

	for (int i = 0; i < tensor->ndim; i++)
		elements *= (uint64_t)tensor->shape[i];
	return elements;
}

uint64_t
plug_tensor_bytes(const struct plug_tensor *tensor)
{
	return plug_tensor_elements(tensor) * plug_dtype_bytes(tensor->dtype);
}

bool
plug_tensor_contiguous(const struct plug_tensor *tensor)
{
	int64_t expected = 1;

	if (empty(tensor))
		return true;
	for (int i = tensor->ndim - 1; i >= 0; i--) {
		if (tensor->shape[i] != 1 && tensor->strides[i] != expected)
			return false;
		expected *= tensor->shape[i];
	}
	return true;
}

bool
plug_tensor_current(const struct plug_tensor *tensor)
{
	return !tensor->buffer || tensor->buffer->block ||
	       plugs_arena_current(tensor->buffer->arena, tensor->buffer->generation);
}

bool
plug_tensor_is(const struct plug_tensor *tensor, struct plug_dtype dtype, int ndim,
	       const int64_t *shape)
{
	if (!plug_dtype_equal(tensor->dtype, dtype) || tensor->ndim != ndim)
		return false;
	for (int i = 0; i < ndim; i++) {
		if (shape[i] != -1 && shape[i] != tensor->shape[i])
			return false;
	}
	return true;
}

const char *
plug_tensor_describe(const struct plug_tensor *tensor, char *buf, size_t size)
{
	char name[PLUG_DTYPE_NAME];
	int used = snprintf(buf, size, "%s[", plug_dtype_name(tensor->dtype, name));

	for (int i = 0; i < tensor->ndim && used >= 0 && (size_t)used < size; i++)
		used += snprintf(buf + used, size - (size_t)used, "%s%lld", i ? ", " : "",
				 (long long)tensor->shape[i]);
	if (used >= 0 && (size_t)used < size)
		snprintf(buf + used, size - (size_t)used, "]");
	return buf;
}

/* ---- making them ---- */

/* Over `data`, row-major; shape was checked. */
static void
fill(struct plug_tensor *tensor, void *data, uint64_t bytes, struct plug_dtype dtype, int ndim,
     const int64_t *shape)
{
	*tensor = (struct plug_tensor){
		.data = data ? data : (void *)&plugs_nothing,
		.device = {PLUG_DEVICE_CPU, 0},
		.ndim = ndim,
		.dtype = dtype,
		.bytes = bytes,
	};
	if (ndim)
		memcpy(tensor->shape, shape, (size_t)ndim * sizeof(*shape));
	plugs_layout_compact(ndim, tensor->shape, tensor->strides);
}

plug_err
plugs_tensor_alloc(struct plug_arena *arena, uint64_t extra, struct plug_dtype dtype, int ndim,
		   const int64_t *shape, struct plug_tensor *ret)
{
	struct plug_buffer *buffer = NULL;
	uint64_t elements, bytes;
	plug_err err = plugs_layout_size(dtype, ndim, shape, &elements, &bytes);

	if (err != PLUG_OK)
		return err;
	bytes += extra;
	if (bytes && !arena)
		return plugs_tensor_fail(PLUG_EINVAL, "there is no arena to take the memory from");
	if (bytes)
		err = plugs_buffer_make(arena, bytes, &buffer);
	if (err != PLUG_OK)
		return err;
	fill(ret, buffer ? plugs_buffer_data(buffer) : NULL, bytes, dtype, ndim, shape);
	ret->buffer = buffer;
	return PLUG_OK;
}

plug_err
plug_tensor_alloc(struct plug_arena *arena, struct plug_dtype dtype, int ndim, const int64_t *shape,
		  struct plug_tensor *ret)
{
	return plugs_tensor_alloc(arena, 0, dtype, ndim, shape, ret);
}

plug_err
plug_tensor_wrap(void *data, uint64_t bytes, struct plug_dtype dtype, int ndim,
		 const int64_t *shape, const int64_t *strides, struct plug_tensor *ret)
{
	struct plug_tensor tensor;
	uint64_t elements, needed;
	plug_err err = plugs_layout_size(dtype, ndim, shape, &elements, &needed);

	if (err != PLUG_OK)
		return err;
	fill(&tensor, data, bytes, dtype, ndim, shape);
	if (strides && ndim)
		memcpy(tensor.strides, strides, (size_t)ndim * sizeof(*strides));
	err = plug_tensor_check(&tensor);
	if (err == PLUG_OK)
		*ret = tensor;
	return err;
}

void
plug_tensor_ref(const struct plug_tensor *tensor)
{
	if (tensor && tensor->buffer)
		plugs_buffer_ref(tensor->buffer);
}

void
plug_tensor_unref(const struct plug_tensor *tensor)
{
	if (tensor)
		plugs_buffer_unref(tensor->buffer);
}

void
plug_tensor_set_name(struct plug_tensor *tensor, const char *name)
{
	size_t length = name ? strnlen(name, PLUG_TENSOR_NAME) : 0;

	if (length == PLUG_TENSOR_NAME) {
		length--;
		while (length && ((unsigned char)name[length] & 0xc0) == 0x80)
			length--;
	}
	if (length)
		memcpy(tensor->name, name, length);
	memset(tensor->name + length, 0, PLUG_TENSOR_NAME - length);
}

/* ---- arenas, from outside ---- */

plug_err
plug_arena_open(const struct plug_arena_config *config, struct plug_arena **ret)
{
	if (!config || config->size < sizeof(*config))
		return plugs_tensor_fail(PLUG_EINVAL,
					 "config->size is not sizeof(struct plug_arena_config)");
	return plugs_arena_make(config->name ? config->name : "tensors", config->bytes, ret);
}

void
plug_arena_close(struct plug_arena *arena)
{
	if (!arena)
		return;
	atomic_store(&arena->sources, 0);
	plugs_exchange_forget_arena(arena);
	plugs_arena_unref(arena);
}

void
plug_arena_stats(const struct plug_arena *arena, struct plug_arena_stats *ret)
{
	struct plug_arena *locked = (struct plug_arena *)arena;

	pthread_mutex_lock(&locked->lock);
	*ret = (struct plug_arena_stats){
		.bytes = arena->space.size * PLUG_ARENA_GRAIN,
		.used = arena->space.used * PLUG_ARENA_GRAIN,
		.largest = plugs_space_largest(&arena->space) * PLUG_ARENA_GRAIN,
		.buffers = arena->space.taken,
	};
	pthread_mutex_unlock(&locked->lock);
}

/* ---- counts ---- */

void
plug_tensor_stats(struct plug_tensor_stats *ret, size_t size)
{
	struct plug_tensor_stats stats = {
		.copies = plugs_counts.copies,
		.bytes_copied = plugs_counts.bytes_copied,
		.sent = plugs_counts.sent,
		.received = plugs_counts.received,
		.refused = plugs_counts.refused,
		.strays = plugs_counts.strays,
		.own_arenas = plugs_counts.own_arenas,
		.own_bytes = plugs_counts.own_bytes,
		.seen_arenas = plugs_counts.seen_arenas,
		.seen_bytes = plugs_counts.seen_bytes,
		.buffers = plugs_counts.buffers,
	};

	memset(ret, 0, size);
	memcpy(ret, &stats, size < sizeof(stats) ? size : sizeof(stats));
}
