/* Element types: what is known of each, and the 16-bit floats.  No state; safe in any thread. */
#ifndef PLUGS_DTYPE_H
#define PLUGS_DTYPE_H

#include <plug/tensor.h>
#include <string.h>

/* How far the first byte of an element must be aligned, and a lane of it; 1 to 16. */
size_t plugs_dtype_align(struct plug_dtype dtype);

/* Do plug_tensor_copy_to() and plug_tensor_convert() convert it? */
bool plugs_dtype_converts(struct plug_dtype dtype);

/* ---- float16 (IEEE 754 binary16) and bfloat16, round to nearest, ties to even ---- */

static inline float
plugs_float_of_bits(uint32_t bits)
{
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static inline uint32_t
plugs_bits_of_float(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static inline float
plugs_from_bfloat16(uint16_t bits)
{
	return plugs_float_of_bits((uint32_t)bits << 16);
}

float plugs_from_float16(uint16_t bits);

/* Both from double, so that nothing is rounded twice. */
uint16_t plugs_to_float16(double value);
uint16_t plugs_to_bfloat16(double value);

#endif
