/* What the parts that deal with tensors share: the checks, the text of failures, the counts. */
#ifndef PLUGS_TENSOR_H
#define PLUGS_TENSOR_H

#include <plug/tensor.h>
#include <stdatomic.h>

#include "dtype.h"
#include "tensor_process.h"

/* Note the text for plug_tensor_error_text() and return err. */
plug_err plugs_tensor_fail(plug_err err, const char *format, ...) PLUG_PRINTF(2, 3);

/* ---- layout: everything that can be wrong, on private copies ---- */

/* A type that can be carried, 0..8 dimensions that are not negative, and how many elements and
 * bytes they are.  PLUG_EINVAL with the text. */
plug_err plugs_layout_size(struct plug_dtype dtype, int ndim, const int64_t *shape,
			   uint64_t *ret_elements, uint64_t *ret_bytes);

/* Strides of a row-major array; shape was checked by plugs_layout_size(). */
void plugs_layout_compact(int ndim, const int64_t *shape, int64_t *ret_strides);

/* Is every element inside a buffer of `bytes`, at a multiple of its alignment?  `address` is that
 * of the buffer, or its offset.  Shape was checked.  PLUG_EINVAL with the text. */
plug_err plugs_layout_inside(const struct plug_tensor *tensor, uint64_t address, uint64_t bytes);

/* As plug_tensor_alloc(), with `extra` bytes behind the elements. */
plug_err plugs_tensor_alloc(struct plug_arena *arena, uint64_t extra, struct plug_dtype dtype,
			    int ndim, const int64_t *shape, struct plug_tensor *ret);

/* Where an empty tensor's data points. */
extern const max_align_t plugs_nothing;

/* ---- counts ---- */

static inline void
plugs_count(_Atomic uint64_t *counter, uint64_t more)
{
	atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

static inline void
plugs_uncount(_Atomic uint64_t *counter, uint64_t less)
{
	atomic_fetch_sub_explicit(counter, less, memory_order_relaxed);
}

#endif
