/*
 * The arithmetic of the forward pass, on rows of floats.  Matrices are row after row; products go
 * to BLAS.  Reentrant.
 */
#ifndef GPT2_KERNELS_H
#define GPT2_KERNELS_H

#include <stddef.h>

/* A linear map [in, out] and its bias [out]. */
struct linear {
	const float *matrix, *bias;
	size_t in, out;
};

/* to[rows, out] = from[rows, in] × matrix + bias */
void linear_apply(struct linear map, const float *from, size_t rows, float *to);

/* to[rows, out] += from[rows, in] × matrix + bias */
void linear_add(struct linear map, const float *from, size_t rows, float *to);

/* Each row to mean 0 and variance 1, then × gain + bias. */
void layer_norm(const float *from, size_t rows, size_t width, const float *gain, const float *bias,
		float epsilon, float *to);

/* GPT-2's approximation of GELU, in place. */
void gelu(float *values, size_t count);

/* To a distribution, in place.  `count` > 0. */
void softmax(float *values, size_t count);

/* to[rows] = matrix[rows, width] × vector */
void rows_dot(const float *matrix, size_t rows, size_t width, const float *vector, float *to);

/* What attention works on: `heads` slices of `width` side by side in each row. */
struct attention {
	size_t heads, width;
	const float *query; /* [rows, …], query_stride floats from row to row */
	size_t query_stride;
	const float *keys, *values; /* [past + rows, heads × width] */
	size_t past, rows;
	float *scores; /* scratch [rows, past + rows] */
};

/* Causal attention: row i sees the first past + i + 1 keys.  to[rows, heads × width]. */
void attend(const struct attention *attention, float *to);

/* Threads of BLAS, for the whole process. */
void kernels_set_threads(int threads);

#endif
