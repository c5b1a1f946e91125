/* Views: other dimensions of the same memory.  Every sum is checked, because the stride of a
 * dimension of one element can be anything. */
#include <string.h>

#include "tensor.h"

static plug_err
check_dim(const struct plug_tensor *tensor, int dim)
{
	if (dim >= 0 && dim < tensor->ndim)
		return PLUG_OK;
	return plugs_tensor_fail(PLUG_EINVAL, "dimension %d, expected 0 to %d", dim,
				 tensor->ndim - 1);
}

/* Move the first element by `index` along a dimension, which is one of its elements. */
static plug_err
move(struct plug_tensor *view, int dim, int64_t index)
{
	int64_t element = (int64_t)plug_dtype_bytes(view->dtype), by, to;

	if (__builtin_mul_overflow(index, view->strides[dim], &by) ||
	    __builtin_mul_overflow(by, element, &by) ||
	    __builtin_add_overflow((int64_t)view->byte_offset, by, &to) || to < 0)
		return plugs_tensor_fail(PLUG_EINVAL, "the strides overflow");
	view->byte_offset = (uint64_t)to;
	return PLUG_OK;
}

static void
remove_dim(struct plug_tensor *view, int dim)
{
	size_t behind = (size_t)(view->ndim - dim - 1);

	memmove(&view->shape[dim], &view->shape[dim + 1], behind * sizeof(*view->shape));
	memmove(&view->strides[dim], &view->strides[dim + 1], behind * sizeof(*view->strides));
	view->ndim--;
	view->shape[view->ndim] = view->strides[view->ndim] = 0;
}

/* Elements from start by step until stop; -1: out of range. */
static int64_t
slice_count(int64_t size, int64_t start, int64_t stop, int64_t step)
{
	if (step > 0 && start >= 0 && start <= stop && stop <= size)
		return (stop - start) / step + ((stop - start) % step != 0);
	/* -step overflows for INT64_MIN; any step below -size takes one element. */
	if (step < -size)
		step = -size - 1;
	if (step < 0 && stop >= -1 && stop <= start && start < size)
		return (start - stop) / -step + ((start - stop) % -step != 0);
	return -1;
}

plug_err
plug_tensor_slice(const struct plug_tensor *tensor, int dim, int64_t start, int64_t stop,
		  int64_t step, struct plug_tensor *ret)
{
	struct plug_tensor view = *tensor;
	plug_err err = check_dim(tensor, dim);
	int64_t count, stride;

	if (err != PLUG_OK)
		return err;
	count = step ? slice_count(tensor->shape[dim], start, stop, step) : -1;
	if (count < 0)
		return plugs_tensor_fail(PLUG_EINVAL,
					 "slice %lld:%lld:%lld of dimension %d, which has %lld",
					 (long long)start, (long long)stop, (long long)step, dim,
					 (long long)tensor->shape[dim]);
	if (count > 0 && plug_tensor_elements(tensor) > 0)
		err = move(&view, dim, start);
	if (err != PLUG_OK)
		return err;
	if (count > 1 && __builtin_mul_overflow(view.strides[dim], step, &stride))
		return plugs_tensor_fail(PLUG_EINVAL, "the strides overflow");
	if (count > 1)
		view.strides[dim] = stride;
	view.shape[dim] = count;
	*ret = view;
	return PLUG_OK;
}

plug_err
plug_tensor_select(const struct plug_tensor *tensor, int dim, int64_t index,
		   struct plug_tensor *ret)
{
	struct plug_tensor view = *tensor;
	plug_err err = check_dim(tensor, dim);

	if (err != PLUG_OK)
		return err;
	if (index < 0 || index >= tensor->shape[dim])
		return plugs_tensor_fail(PLUG_EINVAL, "index %lld of dimension %d, which has %lld",
					 (long long)index, dim, (long long)tensor->shape[dim]);
	if (plug_tensor_elements(tensor) > 0)
		err = move(&view, dim, index);
	if (err != PLUG_OK)
		return err;
	remove_dim(&view, dim);
	*ret = view;
	return PLUG_OK;
}

plug_err
plug_tensor_transpose(const struct plug_tensor *tensor, const int *axes, struct plug_tensor *ret)
{
	struct plug_tensor view = *tensor;
	unsigned seen = 0;

	for (int i = 0; i < tensor->ndim; i++) {
		int from = axes ? axes[i] : tensor->ndim - 1 - i;

		if (from < 0 || from >= tensor->ndim || seen & 1u << from)
			return plugs_tensor_fail(PLUG_EINVAL,
						 "axis %d at place %d, expected each of 0 to %d "
						 "once",
						 from, i, tensor->ndim - 1);
		seen |= 1u << from;
		view.shape[i] = tensor->shape[from];
		view.strides[i] = tensor->strides[from];
	}
	*ret = view;
	return PLUG_OK;
}

/* Replace a -1 by what is left of `elements`.  False: that is not a number. */
static bool
infer(int ndim, int64_t *shape, uint64_t elements)
{
	int64_t product = 1;
	int unknown = -1;

	for (int i = 0; i < ndim; i++) {
		if (shape[i] == -1 && unknown < 0)
			unknown = i;
		else if (__builtin_mul_overflow(product, shape[i], &product))
			return false;
	}
	if (unknown < 0)
		return true;
	if (product <= 0 || elements % (uint64_t)product != 0)
		return false;
	shape[unknown] = (int64_t)(elements / (uint64_t)product);
	return true;
}

plug_err
plug_tensor_reshape(const struct plug_tensor *tensor, int ndim, const int64_t *shape,
		    struct plug_tensor *ret)
{
	struct plug_tensor view = *tensor;
	uint64_t had = plug_tensor_elements(tensor), elements, bytes;
	plug_err err;

	if (ndim < 0 || ndim > PLUG_TENSOR_DIMS)
		return plugs_tensor_fail(PLUG_EINVAL, "%d dimensions, expected 0 to %d", ndim,
					 PLUG_TENSOR_DIMS);
	if (!plug_tensor_contiguous(tensor))
		return plugs_tensor_fail(PLUG_ESTATE,
					 "its elements do not lie in a row: copy it first");
	view.ndim = ndim;
	memset(view.shape, 0, sizeof(view.shape));
	memset(view.strides, 0, sizeof(view.strides));
	if (ndim)
		memcpy(view.shape, shape, (size_t)ndim * sizeof(*shape));
	if (!infer(ndim, view.shape, had))
		return plugs_tensor_fail(PLUG_EINVAL,
					 "%llu elements cannot be divided into those dimensions",
					 (unsigned long long)had);
	err = plugs_layout_size(view.dtype, ndim, view.shape, &elements, &bytes);
	if (err != PLUG_OK)
		return err;
	if (elements != had)
		return plugs_tensor_fail(PLUG_EINVAL, "%llu elements, the new shape has %llu",
					 (unsigned long long)had, (unsigned long long)elements);
	plugs_layout_compact(ndim, view.shape, view.strides);
	*ret = view;
	return PLUG_OK;
}
