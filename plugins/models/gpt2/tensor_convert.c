#include "safetensors.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

static float
float_of_bits(uint32_t bits)
{
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static uint16_t
load16(const unsigned char *from)
{
	uint16_t bits;

	memcpy(&bits, from, sizeof(bits)); /* tensors need not be aligned in the file */
	return le16toh(bits);
}

static float
float_of_half(uint16_t half)
{
	uint32_t sign = (uint32_t)(half & 0x8000) << 16;
	uint32_t exponent = (half >> 10) & 0x1f;
	uint32_t mantissa = half & 0x3ff;
	float tiny;

	if (exponent == 0x1f) /* infinity or not a number */
		return float_of_bits(sign | 0x7f800000 | mantissa << 13);
	if (exponent)
		return float_of_bits(sign | (exponent + 112) << 23 | mantissa << 13);
	tiny = (float)mantissa * 0x1p-24f;
	return sign ? -tiny : tiny;
}

void
tensor_to_floats(const struct tensor *tensor, float *to)
{
	const unsigned char *from = tensor->data;
	uint32_t bits;

	switch (tensor->dtype) {
	case TENSOR_F32:
		for (size_t i = 0; i < tensor->elements; i++) {
			memcpy(&bits, from + 4 * i, sizeof(bits));
			to[i] = float_of_bits(le32toh(bits));
		}
		return;
	case TENSOR_F16:
		for (size_t i = 0; i < tensor->elements; i++)
			to[i] = float_of_half(load16(from + 2 * i));
		return;
	case TENSOR_BF16:
		for (size_t i = 0; i < tensor->elements; i++)
			to[i] = float_of_bits((uint32_t)load16(from + 2 * i) << 16);
		return;
	default:
		assert(!"a tensor of floats");
	}
}
