/* From one element type to another, a row at a time. */
#ifndef PLUGS_TENSOR_CONVERT_H
#define PLUGS_TENSOR_CONVERT_H

#include "tensor.h"

struct plugs_row {
	const char *src;
	char *dst;
	int64_t src_step, dst_step; /* bytes */
	uint64_t count;
};

/* Is there such a conversion?  PLUG_EINVAL with the text. */
plug_err plugs_convert_check(struct plug_dtype from, struct plug_dtype to);

/* Convert a row; `at` is the number of its first element, for the text.  PLUG_EINVAL: an element
 * does not fit. */
plug_err plugs_convert_row(struct plug_dtype from, struct plug_dtype to, uint32_t flags,
			   const struct plugs_row *row, uint64_t at);

#endif
