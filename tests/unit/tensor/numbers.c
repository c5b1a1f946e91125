#include "numbers.h"

#include <math.h>

#include "dtype.h"

const struct plug_dtype number_types[NUMBER_TYPES] = {
	{PLUG_CODE_INT, 8, 1},      {PLUG_CODE_INT, 16, 1},      {PLUG_CODE_INT, 32, 1},
	{PLUG_CODE_INT, 64, 1},     {PLUG_CODE_UINT, 8, 1},      {PLUG_CODE_UINT, 16, 1},
	{PLUG_CODE_UINT, 32, 1},    {PLUG_CODE_UINT, 64, 1},     {PLUG_CODE_FLOAT, 16, 1},
	{PLUG_CODE_FLOAT, 32, 1},   {PLUG_CODE_FLOAT, 64, 1},    {PLUG_CODE_BFLOAT, 16, 1},
	{PLUG_CODE_COMPLEX, 64, 1}, {PLUG_CODE_COMPLEX, 128, 1}, {PLUG_CODE_BOOL, 8, 1},
};

struct number
read_number(struct plug_dtype dtype, const void *at)
{
	union {
		int8_t i8;
		int16_t i16;
		int32_t i32;
		int64_t i64;
		uint8_t u8;
		uint16_t u16;
		uint32_t u32;
		uint64_t u64;
		float f[2];
		double d[2];
	} v;

	memcpy(&v, at, plug_dtype_bytes(dtype));
	switch (dtype.code) {
	case PLUG_CODE_INT:
		return (struct number){dtype.bits == 8    ? v.i8
				       : dtype.bits == 16 ? v.i16
				       : dtype.bits == 32 ? (long double)v.i32
							  : (long double)v.i64,
				       0};
	case PLUG_CODE_UINT:
		return (struct number){dtype.bits == 8    ? v.u8
				       : dtype.bits == 16 ? v.u16
				       : dtype.bits == 32 ? (long double)v.u32
							  : (long double)v.u64,
				       0};
	case PLUG_CODE_BOOL:
		return (struct number){v.u8 != 0, 0};
	case PLUG_CODE_BFLOAT:
		return (struct number){(long double)plugs_from_bfloat16(v.u16), 0};
	case PLUG_CODE_COMPLEX:
		if (dtype.bits == 64)
			return (struct number){(long double)v.f[0], (long double)v.f[1]};
		return (struct number){(long double)v.d[0], (long double)v.d[1]};
	default:
		return (struct number){dtype.bits == 16   ? (long double)plugs_from_float16(v.u16)
				       : dtype.bits == 32 ? (long double)v.f[0]
							  : (long double)v.d[0],
				       0};
	}
}

/* Round to a 16-bit float by looking at its neighbours: nothing of dtype.c but the decoding. */
static long double
nearest16(long double value, float (*decode)(uint16_t), uint16_t infinity)
{
	uint16_t low = 0, high = infinity;
	long double magnitude = fabsl(value), a, b, sign = signbit(value) ? -1 : 1;

	if (isnan(value) || isinf(value))
		return value;
	while (high - low > 1) { /* decode(low) <= magnitude < decode(high) */
		uint16_t middle = (uint16_t)((low + high) / 2);

		if ((long double)decode(middle) <= magnitude)
			low = middle;
		else
			high = middle;
	}
	a = (long double)decode(low);
	/* Beyond the largest the next would be as far as the one before it. */
	b = high == infinity ? 2 * a - (long double)decode((uint16_t)(low - 1))
			     : (long double)decode(high);
	if (magnitude - a > b - magnitude || (magnitude - a == b - magnitude && (low & 1)))
		return sign * (long double)decode(high);
	return sign * a;
}

static long double
round_real(struct plug_dtype to, long double value)
{
	unsigned bits = to.code == PLUG_CODE_COMPLEX ? to.bits / 2u : to.bits;

	if (to.code == PLUG_CODE_BFLOAT)
		return nearest16(value, plugs_from_bfloat16, 0x7f80);
	if (bits == 16)
		return nearest16(value, plugs_from_float16, 0x7c00);
	if (bits == 32)
		return (long double)(float)value; /* rounded once */
	return (long double)(double)value;
}

static long double
limit(struct plug_dtype to, bool high)
{
	if (to.code == PLUG_CODE_UINT)
		return high ? ldexpl(1, to.bits) - 1 : 0;
	return high ? ldexpl(1, to.bits - 1) - 1 : -ldexpl(1, to.bits - 1);
}

bool
convert_number(struct plug_dtype to, struct number from, struct number *ret)
{
	long double cut;

	*ret = (struct number){0, 0};
	switch (to.code) {
	case PLUG_CODE_BOOL:
		ret->re = from.re != 0 || from.im != 0;
		return true;
	case PLUG_CODE_INT:
	case PLUG_CODE_UINT:
		if (isnan(from.re))
			return false;
		cut = truncl(from.re) + 0.0L; /* an integer has no -0 */
		ret->re = cut > limit(to, true)    ? limit(to, true)
			  : cut < limit(to, false) ? limit(to, false)
						   : cut;
		return cut == ret->re;
	case PLUG_CODE_COMPLEX:
		ret->im = round_real(to, from.im);
		/* fall through */
	default:
		ret->re = round_real(to, from.re);
		return true;
	}
}

bool
same_number(long double a, long double b)
{
	return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

/* clang-format off */
static const double interesting[] = {
	0, 1, -1, 2, 0.5, -0.5, 0.999, -0.999,
	127, 128, -128, -129, 255, 256, 32767, 32768,
	-32769, 65504, 65519.9, 65520, 65535, 65536, 2147483647, 2147483648.,
	-2147483649., 4294967295., 4294967296., 1e10, -1e10, 9007199254740993., 9.2233720368547758e18, -9.2233720368547758e18,
	1.8446744073709552e19, 1e20, 3.4e38, 3.5e38, 1e300, -1e300, 1e-8, 5.9604644775390625e-8,
	2.98e-8, 1e-40, 1e-300, 1.00048828125, 1.0009765625, 2049, 2051,
};
/* clang-format on */

void
fill_numbers(struct plug_dtype dtype, uint8_t *to, uint64_t *seed)
{
	size_t bytes = plug_dtype_bytes(dtype);
	size_t n = sizeof(interesting) / sizeof(*interesting);

	for (size_t i = 0; i < NUMBERS; i++) {
		uint64_t bits[2] = {chance(seed), chance(seed)};
		double value = interesting[i % n];
		struct plug_tensor from, into;

		if (i % 3 == 0 && dtype.code <= PLUG_CODE_UINT) /* near powers of two */
			bits[0] = (1ull << chance_below(seed, 64)) + chance_below(seed, 3) - 1;
		memcpy(to + i * bytes, bits, bytes);
		if (dtype.code == PLUG_CODE_BOOL)
			to[i] = (uint8_t)(bits[0] % 3);
		if (i % 2)
			continue;
		assert_int_equal(plug_tensor_wrap(&value, 8, PLUG_FLOAT64, 0, NULL, NULL, &from),
				 PLUG_OK);
		assert_int_equal(plug_tensor_wrap(bits, bytes, dtype, 0, NULL, NULL, &into),
				 PLUG_OK);
		if (plug_tensor_copy_to(&from, &into, PLUG_CONVERT_SATURATE) == PLUG_OK)
			memcpy(to + i * bytes, bits, bytes);
	}
}
