/* Elements of every type as numbers, and conversion as it should be, one element at a time. */
#ifndef TENSOR_NUMBERS_H
#define TENSOR_NUMBERS_H

#include "support.h"

enum { NUMBER_TYPES = 15 };

extern const struct plug_dtype number_types[NUMBER_TYPES]; /* those that can be converted */

struct number {
	long double re, im;
};

struct number read_number(struct plug_dtype dtype, const void *at);

/* False: it does not fit, and *ret is the nearest. */
bool convert_number(struct plug_dtype to, struct number from, struct number *ret);

/* Not a number is the same as itself, and -0 is not 0. */
bool same_number(long double a, long double b);

#define NUMBERS 512

/* NUMBERS elements that are worth trying: limits, halves, and bits by chance. */
void fill_numbers(struct plug_dtype dtype, uint8_t *to, uint64_t *seed);

static inline bool
is_complex(struct plug_dtype dtype)
{
	return dtype.code == PLUG_CODE_COMPLEX;
}

#endif
