#include "dtype.h"

#include <stdio.h>
#include <stdlib.h>

#define POWER_OF_TWO(x) (((x) & ((x)-1)) == 0)

struct known {
	const char *name; /* bits follow */
	uint8_t code;
	uint8_t bits_min, bits_max; /* powers of two */
	uint16_t lanes_max;
};

/* By code, and strings last. */
static const struct known all[] = {
	{"int", PLUG_CODE_INT, 1, 128, UINT16_MAX},
	{"uint", PLUG_CODE_UINT, 1, 128, UINT16_MAX},
	{"float", PLUG_CODE_FLOAT, 4, 128, UINT16_MAX},
	{"opaque", PLUG_CODE_OPAQUE, 8, 128, UINT16_MAX},
	{"bfloat", PLUG_CODE_BFLOAT, 16, 16, UINT16_MAX},
	{"complex", PLUG_CODE_COMPLEX, 32, 128, UINT16_MAX},
	{"bool", PLUG_CODE_BOOL, 8, 8, UINT16_MAX},
	{"string", PLUG_CODE_STRING, 64, 64, 1},
};

#define COUNT (sizeof(all) / sizeof(*all))

static const struct known *
find(uint8_t code)
{
	const struct known *known = &all[code < COUNT - 1 ? code : COUNT - 1];

	return known->code == code ? known : NULL;
}

/* Only one width: the name says it all. */
static bool
one_width(const struct known *known)
{
	return known->bits_min == known->bits_max && known->code != PLUG_CODE_BFLOAT;
}

size_t
plug_dtype_bytes(struct plug_dtype dtype)
{
	const struct known *known = find(dtype.code);
	size_t bits = (size_t)dtype.bits * dtype.lanes;

	if (!known || dtype.bits < known->bits_min || dtype.bits > known->bits_max ||
	    !POWER_OF_TWO(dtype.bits) || dtype.lanes > known->lanes_max || bits % 8 != 0)
		return 0;
	return bits / 8;
}

size_t
plugs_dtype_align(struct plug_dtype dtype)
{
	if (dtype.code == PLUG_CODE_STRING)
		return sizeof(uint32_t);
	if (dtype.code == PLUG_CODE_COMPLEX)
		return dtype.bits / 16;
	return dtype.bits < 8 ? 1 : dtype.bits / 8;
}

bool
plugs_dtype_converts(struct plug_dtype dtype)
{
	if (dtype.lanes != 1 || plug_dtype_bytes(dtype) == 0)
		return false;
	switch (dtype.code) {
	case PLUG_CODE_INT:
	case PLUG_CODE_UINT:
		return dtype.bits >= 8 && dtype.bits <= 64;
	case PLUG_CODE_FLOAT:
		return dtype.bits >= 16 && dtype.bits <= 64;
	case PLUG_CODE_COMPLEX:
		return dtype.bits >= 64;
	default:
		return dtype.code == PLUG_CODE_BFLOAT || dtype.code == PLUG_CODE_BOOL;
	}
}

/* ---- names ---- */

const char *
plug_dtype_name(struct plug_dtype dtype, char buf[PLUG_DTYPE_NAME])
{
	const struct known *known = find(dtype.code);
	char bits[8] = "", lanes[8] = "";

	if (!known || plug_dtype_bytes(dtype) == 0) {
		snprintf(buf, PLUG_DTYPE_NAME, "code %u bits %u lanes %u", dtype.code, dtype.bits,
			 dtype.lanes);
		return buf;
	}
	if (!one_width(known))
		snprintf(bits, sizeof(bits), "%u", dtype.bits);
	if (dtype.lanes != 1)
		snprintf(lanes, sizeof(lanes), "x%u", dtype.lanes);
	snprintf(buf, PLUG_DTYPE_NAME, "%s%s%s", known->name, bits, lanes);
	return buf;
}

/* A decimal number without sign or leading zero; *at moves behind it. */
static bool
number(const char **at, unsigned long max, unsigned long *ret)
{
	char *end;

	if (**at < '1' || **at > '9')
		return false;
	*ret = strtoul(*at, &end, 10);
	*at = end;
	return *ret <= max;
}

static bool
parse_as(const struct known *known, const char *at, struct plug_dtype *ret)
{
	unsigned long bits = known->bits_min, lanes = 1;

	if (!one_width(known) && !number(&at, UINT8_MAX, &bits))
		return false;
	if (*at == 'x') {
		at++;
		if (!number(&at, UINT16_MAX, &lanes))
			return false;
	}
	*ret = (struct plug_dtype){known->code, (uint8_t)bits, (uint16_t)lanes};
	return *at == '\0' && plug_dtype_bytes(*ret) != 0;
}

plug_err
plug_dtype_parse(const char *name, struct plug_dtype *ret)
{
	struct plug_dtype dtype;

	for (size_t i = 0; name && i < COUNT; i++) {
		size_t length = strlen(all[i].name);

		if (strncmp(name, all[i].name, length) == 0 &&
		    parse_as(&all[i], name + length, &dtype)) {
			*ret = dtype;
			return PLUG_OK;
		}
	}
	return PLUG_EINVAL;
}

/* ---- 16-bit floats ---- */

float
plugs_from_float16(uint16_t bits)
{
	uint32_t sign = (uint32_t)(bits & 0x8000u) << 16;
	uint32_t exponent = bits >> 10 & 0x1fu, fraction = bits & 0x3ffu;

	if (exponent == 0x1f)
		return plugs_float_of_bits(sign | 0x7f800000u | fraction << 13);
	if (exponent)
		return plugs_float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
	return (sign ? -0x1p-24f : 0x1p-24f) * (float)fraction;
}

/* A format of 16 bits; exponents are those of normal numbers. */
struct narrow {
	int fraction_bits, min_exponent, max_exponent;
};

#define DOUBLE_FRACTION 52
#define DOUBLE_BIAS     1023
#define DOUBLE_SPECIAL  0x7ff

/* The bits of a finite number that is not negative, given those of the double. */
static uint32_t
round_to(const struct narrow *to, uint64_t bits)
{
	int exponent = (int)(bits >> DOUBLE_FRACTION) - DOUBLE_BIAS;
	int kept = exponent < to->min_exponent ? to->min_exponent : exponent;
	int shift = DOUBLE_FRACTION - to->fraction_bits + (kept - exponent);
	uint64_t mantissa = (bits & ((1ull << DOUBLE_FRACTION) - 1)) | 1ull << DOUBLE_FRACTION;
	uint64_t cut, half, result;

	if (shift > DOUBLE_FRACTION + 1) /* less than half of the smallest, doubles' own included */
		return 0;
	cut = mantissa & ((1ull << shift) - 1);
	half = 1ull << (shift - 1);
	result = mantissa >> shift;
	result += cut > half || (cut == half && (result & 1));
	/* The implied bit of a normal number, and a carry, count the exponent up. */
	return (uint32_t)((uint64_t)(kept - to->min_exponent) << to->fraction_bits) +
	       (uint32_t)result;
}

static uint16_t
to_16(const struct narrow *to, double value)
{
	uint64_t bits;
	uint32_t sign, infinity, result;

	memcpy(&bits, &value, sizeof(bits));
	sign = bits >> 63 ? 0x8000u : 0;
	bits &= ~(1ull << 63);
	infinity = (uint32_t)(to->max_exponent - to->min_exponent + 2) << to->fraction_bits;
	if (bits > (uint64_t)DOUBLE_SPECIAL << DOUBLE_FRACTION)
		return (uint16_t)(sign | infinity |
				  1u << (to->fraction_bits - 1)); /* not a number */
	if ((int)(bits >> DOUBLE_FRACTION) - DOUBLE_BIAS > to->max_exponent)
		return (uint16_t)(sign | infinity);
	result = round_to(to, bits);
	return (uint16_t)(sign | result);
}

uint16_t
plugs_to_float16(double value)
{
	return to_16(&(struct narrow){10, -14, 15}, value);
}

uint16_t
plugs_to_bfloat16(double value)
{
	return to_16(&(struct narrow){7, -126, 127}, value);
}
