/*
 * Reads a safetensors file: eight bytes of header length, a JSON header, and the tensors' bytes,
 * which the header's entries cover in full, without overlap.
 *
 * Everything the header claims is checked against the file before safetensors_open() returns, so
 * that a tensor's data can be read without further checks.  The file is mapped: it must not be
 * made shorter by others while it is open.
 */
#ifndef GPT2_SAFETENSORS_H
#define GPT2_SAFETENSORS_H

#include "failure.h"

#include <stddef.h>
#include <stdint.h>

#define TENSOR_MAX_RANK 8

/* name, bytes of one element */
#define TENSOR_DTYPE_MAP(X) \
	X(F32, 4)           \
	X(F16, 2)           \
	X(BF16, 2)          \
	X(F64, 8)           \
	X(I64, 8)           \
	X(U64, 8)           \
	X(I32, 4)           \
	X(U32, 4)           \
	X(I16, 2)           \
	X(U16, 2)           \
	X(I8, 1)            \
	X(U8, 1)            \
	X(BOOL, 1)          \
	X(F8_E4M3, 1)       \
	X(F8_E5M2, 1)

enum tensor_dtype {
#define TENSOR_DTYPE_ENUM(name, bytes) TENSOR_##name,
	TENSOR_DTYPE_MAP(TENSOR_DTYPE_ENUM)
#undef TENSOR_DTYPE_ENUM
		TENSOR_DTYPE_COUNT
};

/* Belongs to the file it came from. */
struct tensor {
	const char *name;
	enum tensor_dtype dtype;
	unsigned rank;
	size_t shape[TENSOR_MAX_RANK];
	size_t elements;
	size_t begin, end; /* in the data that follows the header */
	const unsigned char *data;
};

struct safetensors;

int safetensors_open(const char *path, struct safetensors **ret_file, struct failure *failure);
void safetensors_close(struct safetensors *file); /* NULL is fine */

const char *safetensors_path(const struct safetensors *file);
size_t safetensors_count(const struct safetensors *file);

/* NULL when the file holds no tensor of that name. */
const struct tensor *safetensors_find(const struct safetensors *file, const char *name);

/* "F16" */
const char *tensor_dtype_name(enum tensor_dtype dtype);

/* Write "[2, 3]" to `text`, cut to fit, and return it. */
const char *tensor_shape_text(const size_t *shape, unsigned rank, char *text, size_t size);

/* Convert all elements of an F32, F16 or BF16 tensor; other types are the caller's mistake. */
void tensor_to_floats(const struct tensor *tensor, float *to);

#endif
