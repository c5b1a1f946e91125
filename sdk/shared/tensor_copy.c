/*
 * Copies, each of which is counted: that there are none where none are needed is something a test
 * can see.
 */
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "tensor_convert.h"

/* Both sides of a copy, with dimensions that are one row in both joined into one. */
struct walk {
	int ndim;
	int64_t size[PLUG_TENSOR_DIMS], src[PLUG_TENSOR_DIMS], dst[PLUG_TENSOR_DIMS]; /* bytes */
};

static struct walk
walk_of(const struct plug_tensor *src, const struct plug_tensor *dst)
{
	int64_t from = (int64_t)plug_dtype_bytes(src->dtype);
	int64_t to = (int64_t)plug_dtype_bytes(dst->dtype);
	struct walk walk = {0};

	for (int i = 0; i < src->ndim; i++) {
		int64_t size = src->shape[i];
		int last = walk.ndim - 1;

		if (size == 1)
			continue;
		if (last >= 0 && walk.src[last] == size * src->strides[i] * from &&
		    walk.dst[last] == size * dst->strides[i] * to)
			walk.size[last] *= size;
		else
			walk.size[++last] = size;
		walk.src[last] = src->strides[i] * from;
		walk.dst[last] = dst->strides[i] * to;
		walk.ndim = last + 1;
	}
	if (walk.ndim == 0)
		walk = (struct walk){.ndim = 1, .size = {1}};
	return walk;
}

static void
copy_row(const struct plugs_row *row, size_t element)
{
	if (row->src_step == (int64_t)element && row->dst_step == (int64_t)element) {
		memmove(row->dst, row->src, row->count * element);
		return;
	}
	for (uint64_t n = 0; n < row->count; n++)
		memcpy(row->dst + (int64_t)n * row->dst_step, row->src + (int64_t)n * row->src_step,
		       element);
}

/* To the next row; false after the last. */
static bool
next_row(const struct walk *walk, int64_t *index, struct plugs_row *row)
{
	for (int i = walk->ndim - 2; i >= 0; i--) {
		row->src += walk->src[i];
		row->dst += walk->dst[i];
		if (++index[i] < walk->size[i])
			return true;
		row->src -= walk->src[i] * index[i];
		row->dst -= walk->dst[i] * index[i];
		index[i] = 0;
	}
	return false;
}

/* Shapes are the same, and there is a first element. */
static plug_err
copy_elements(const struct plug_tensor *src, struct plug_tensor *dst, uint32_t flags)
{
	bool same = plug_dtype_equal(src->dtype, dst->dtype);
	struct walk walk = walk_of(src, dst);
	int64_t index[PLUG_TENSOR_DIMS] = {0};
	struct plugs_row row = {
		.src = plug_tensor_data(src),
		.dst = plug_tensor_data(dst),
		.src_step = walk.src[walk.ndim - 1],
		.dst_step = walk.dst[walk.ndim - 1],
		.count = (uint64_t)walk.size[walk.ndim - 1],
	};
	uint64_t at = 0;
	plug_err err = PLUG_OK;

	do {
		if (same)
			copy_row(&row, plug_dtype_bytes(src->dtype));
		else
			err = plugs_convert_row(src->dtype, dst->dtype, flags, &row, at);
		at += row.count;
	} while (err == PLUG_OK && next_row(&walk, index, &row));
	plugs_count(&plugs_counts.copies, 1);
	plugs_count(&plugs_counts.bytes_copied, plug_tensor_bytes(dst));
	return err;
}

static plug_err
check_pair(const struct plug_tensor *src, const struct plug_tensor *dst)
{
	char a[128], b[128];

	if (!plug_tensor_is(dst, dst->dtype, src->ndim, src->shape))
		return plugs_tensor_fail(PLUG_EINVAL, "%s does not have the shape of %s",
					 plug_tensor_describe(dst, b, sizeof(b)),
					 plug_tensor_describe(src, a, sizeof(a)));
	if (dst->flags & PLUG_TENSOR_READ_ONLY)
		return plugs_tensor_fail(PLUG_EINVAL, "the destination is another process's and "
						      "can only be read");
	if (!plug_dtype_equal(src->dtype, dst->dtype))
		return plugs_convert_check(src->dtype, dst->dtype);
	if (src->dtype.code == PLUG_CODE_STRING)
		return plugs_tensor_fail(PLUG_EINVAL, "strings are copied into a new buffer only: "
						      "plug_tensor_copy()");
	return PLUG_OK;
}

plug_err
plug_tensor_copy_to(const struct plug_tensor *tensor, struct plug_tensor *dst, uint32_t flags)
{
	plug_err err = plug_tensor_check(tensor);

	if (err == PLUG_OK)
		err = plug_tensor_check(dst);
	if (err == PLUG_OK)
		err = check_pair(tensor, dst);
	if (err != PLUG_OK || plug_tensor_elements(tensor) == 0)
		return err;
	return copy_elements(tensor, dst, flags);
}

/* ---- into a new buffer ---- */

/* Every element's place and length, read once, row-major, and the sum of the lengths. */
static plug_err
collect(const struct plug_tensor *tensor, const char **ret_strings, size_t *ret_lengths)
{
	uint64_t count = plug_tensor_elements(tensor);
	int64_t index[PLUG_TENSOR_DIMS] = {0};

	for (uint64_t n = 0; n < count; n++) {
		plug_err err = plug_tensor_string(tensor, index, &ret_strings[n], &ret_lengths[n]);

		if (err != PLUG_OK)
			return err;
		for (int i = tensor->ndim - 1; i >= 0 && ++index[i] == tensor->shape[i]; i--)
			index[i] = 0;
	}
	return PLUG_OK;
}

static plug_err
copy_strings(const struct plug_tensor *tensor, struct plug_arena *arena, struct plug_tensor *ret)
{
	uint64_t count = plug_tensor_elements(tensor);
	struct plug_tensor flat, copy;
	const char **strings = NULL;
	size_t *lengths = NULL;
	plug_err err = PLUG_ENOMEM;

	/* A broadcast tensor can have more elements than its buffer has bytes. */
	if (count > UINT32_MAX / sizeof(struct plug_string))
		return plugs_tensor_fail(PLUG_ETOOLARGE,
					 "%llu strings do not fit into the 4 GiB "
					 "of a string tensor",
					 (unsigned long long)count);
	strings = malloc((size_t)count * sizeof(*strings) + 1);
	lengths = malloc((size_t)count * sizeof(*lengths) + 1);
	if (strings && lengths)
		err = collect(tensor, strings, lengths);
	else
		plugs_tensor_fail(err, "no memory for %llu strings", (unsigned long long)count);
	if (err == PLUG_OK)
		err = plug_tensor_strings(arena, strings, lengths, (size_t)count, &flat);
	free(strings);
	free(lengths);
	if (err != PLUG_OK)
		return err;
	err = plug_tensor_reshape(&flat, tensor->ndim, tensor->shape, &copy);
	if (err == PLUG_OK)
		*ret = copy;
	else
		plug_tensor_unref(&flat);
	return err;
}

static plug_err
copy_as(const struct plug_tensor *tensor, struct plug_arena *arena, struct plug_dtype dtype,
	uint32_t flags, struct plug_tensor *ret)
{
	struct plug_tensor copy;
	plug_err err = plug_tensor_check(tensor);

	if (err == PLUG_OK && !plug_dtype_equal(tensor->dtype, dtype))
		err = plugs_convert_check(tensor->dtype, dtype);
	if (err != PLUG_OK)
		return err;
	if (dtype.code == PLUG_CODE_STRING)
		return copy_strings(tensor, arena, ret);
	err = plug_tensor_alloc(arena, dtype, tensor->ndim, tensor->shape, &copy);
	if (err == PLUG_OK && copy.buffer) {
		err = copy_elements(tensor, &copy, flags);
		if (err != PLUG_OK)
			plug_tensor_unref(&copy);
	}
	if (err == PLUG_OK)
		*ret = copy;
	return err;
}

/* The name goes with it; ret may be the tensor. */
static plug_err
keep_name(const struct plug_tensor *tensor, struct plug_arena *arena, struct plug_dtype dtype,
	  uint32_t flags, struct plug_tensor *ret)
{
	struct plug_tensor copy;
	plug_err err = copy_as(tensor, arena, dtype, flags, &copy);

	if (err != PLUG_OK)
		return err;
	memcpy(copy.name, tensor->name, sizeof(copy.name));
	*ret = copy;
	return PLUG_OK;
}

plug_err
plug_tensor_copy(const struct plug_tensor *tensor, struct plug_arena *arena,
		 struct plug_tensor *ret)
{
	return keep_name(tensor, arena, tensor->dtype, 0, ret);
}

plug_err
plug_tensor_convert(const struct plug_tensor *tensor, struct plug_arena *arena,
		    struct plug_dtype dtype, uint32_t flags, struct plug_tensor *ret)
{
	return keep_name(tensor, arena, dtype, flags, ret);
}
