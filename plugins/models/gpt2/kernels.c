#include "kernels.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

/* blasint of the sizes that config.json may have always fits. */
#define INT(size) ((blasint)(size))

/* A product with one row is a gemv: gemm would pack the whole matrix for it. */
static void
multiply_add(struct linear map, const float *from, size_t rows, float *to)
{
	if (rows == 1)
		cblas_sgemv(CblasRowMajor, CblasTrans, INT(map.in), INT(map.out), 1.0f, map.matrix,
			    INT(map.out), from, 1, 1.0f, to, 1);
	else
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, INT(rows), INT(map.out),
			    INT(map.in), 1.0f, from, INT(map.in), map.matrix, INT(map.out), 1.0f,
			    to, INT(map.out));
}

void
linear_apply(struct linear map, const float *from, size_t rows, float *to)
{
	for (size_t r = 0; r < rows; r++)
		memcpy(to + r * map.out, map.bias, map.out * sizeof(float));
	multiply_add(map, from, rows, to);
}

void
linear_add(struct linear map, const float *from, size_t rows, float *to)
{
	for (size_t r = 0; r < rows; r++)
		for (size_t i = 0; i < map.out; i++)
			to[r * map.out + i] += map.bias[i];
	multiply_add(map, from, rows, to);
}

static void
norm_row(const float *from, size_t width, const float *gain, const float *bias, float epsilon,
	 float *to)
{
	float sum = 0, squares = 0, mean, scale;

	for (size_t i = 0; i < width; i++)
		sum += from[i];
	mean = sum / (float)width;
	for (size_t i = 0; i < width; i++)
		squares += (from[i] - mean) * (from[i] - mean);
	scale = 1.0f / sqrtf(squares / (float)width + epsilon);
	for (size_t i = 0; i < width; i++)
		to[i] = (from[i] - mean) * scale * gain[i] + bias[i];
}

void
layer_norm(const float *from, size_t rows, size_t width, const float *gain, const float *bias,
	   float epsilon, float *to)
{
	for (size_t r = 0; r < rows; r++)
		norm_row(from + r * width, width, gain, bias, epsilon, to + r * width);
}

/* x/2 (1 + tanh(u)) is x / (1 + exp(-2u)), which costs one exponential. */
void
gelu(float *values, size_t count)
{
	const float two_sqrt_2_over_pi = 1.5957691216057308f;

	for (size_t i = 0; i < count; i++) {
		float x = values[i];
		float twice_u = two_sqrt_2_over_pi * (x + 0.044715f * x * x * x);

		values[i] = x / (1.0f + expf(-twice_u));
	}
}

void
softmax(float *values, size_t count)
{
	float max = values[0], sum = 0;

	for (size_t i = 1; i < count; i++)
		max = values[i] > max ? values[i] : max;
	for (size_t i = 0; i < count; i++) {
		values[i] = expf(values[i] - max);
		sum += values[i];
	}
	for (size_t i = 0; i < count; i++)
		values[i] /= sum;
}

void
rows_dot(const float *matrix, size_t rows, size_t width, const float *vector, float *to)
{
	cblas_sgemv(CblasRowMajor, CblasNoTrans, INT(rows), INT(width), 1.0f, matrix, INT(width),
		    vector, 1, 0.0f, to, 1);
}

static void
attend_one(const struct attention *a, size_t head, float scale, float *to)
{
	size_t stride = a->heads * a->width, seen = a->past + 1, at = head * a->width;

	cblas_sgemv(CblasRowMajor, CblasNoTrans, INT(seen), INT(a->width), scale, a->keys + at,
		    INT(stride), a->query + at, 1, 0.0f, a->scores, 1);
	softmax(a->scores, seen);
	cblas_sgemv(CblasRowMajor, CblasTrans, INT(seen), INT(a->width), 1.0f, a->values + at,
		    INT(stride), a->scores, 1, 0.0f, to + at, 1);
}

static void
attend_many(const struct attention *a, size_t head, float scale, float *to)
{
	size_t stride = a->heads * a->width, all = a->past + a->rows, at = head * a->width;

	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, INT(a->rows), INT(all), INT(a->width),
		    scale, a->query + at, INT(a->query_stride), a->keys + at, INT(stride), 0.0f,
		    a->scores, INT(all));
	for (size_t r = 0; r < a->rows; r++) {
		float *row = a->scores + r * all;
		size_t seen = a->past + r + 1;

		softmax(row, seen);
		memset(row + seen, 0, (all - seen) * sizeof(float));
	}
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, INT(a->rows), INT(a->width),
		    INT(all), 1.0f, a->scores, INT(all), a->values + at, INT(stride), 0.0f, to + at,
		    INT(stride));
}

void
attend(const struct attention *a, float *to)
{
	float scale = 1.0f / sqrtf((float)a->width);

	for (size_t head = 0; head < a->heads; head++) {
		if (a->rows == 1)
			attend_one(a, head, scale, to);
		else
			attend_many(a, head, scale, to);
	}
}

void
kernels_set_threads(int threads)
{
	openblas_set_num_threads(threads);
}
