/* Element types, their names, and the 16-bit floats against the compiler's own arithmetic. */
#include "support.h"

#include <math.h>

#include "dtype.h"

struct named {
	struct plug_dtype dtype;
	const char *name;
	size_t bytes, align;
};

static const struct named carried[] = {
	{{PLUG_CODE_INT, 8, 1}, "int8", 1, 1},
	{{PLUG_CODE_INT, 64, 1}, "int64", 8, 8},
	{{PLUG_CODE_INT, 128, 1}, "int128", 16, 16},
	{{PLUG_CODE_INT, 4, 2}, "int4x2", 1, 1},
	{{PLUG_CODE_UINT, 1, 8}, "uint1x8", 1, 1},
	{{PLUG_CODE_UINT, 2, 12}, "uint2x12", 3, 1},
	{{PLUG_CODE_UINT, 32, 3}, "uint32x3", 12, 4},
	{{PLUG_CODE_FLOAT, 16, 1}, "float16", 2, 2},
	{{PLUG_CODE_FLOAT, 32, 4}, "float32x4", 16, 4},
	{{PLUG_CODE_FLOAT, 64, 1}, "float64", 8, 8},
	{{PLUG_CODE_FLOAT, 128, 1}, "float128", 16, 16},
	{{PLUG_CODE_FLOAT, 8, 1}, "float8", 1, 1},
	{{PLUG_CODE_OPAQUE, 64, 1}, "opaque64", 8, 8},
	{{PLUG_CODE_BFLOAT, 16, 1}, "bfloat16", 2, 2},
	{{PLUG_CODE_COMPLEX, 32, 1}, "complex32", 4, 2},
	{{PLUG_CODE_COMPLEX, 128, 1}, "complex128", 16, 8},
	{{PLUG_CODE_BOOL, 8, 1}, "bool", 1, 1},
	{{PLUG_CODE_BOOL, 8, 16}, "boolx16", 16, 1},
	{{PLUG_CODE_STRING, 64, 1}, "string", 8, 4},
	{{PLUG_CODE_INT, 128, 65535}, "int128x65535", 1048560, 16},
};

static const struct plug_dtype refused[] = {
	{PLUG_CODE_INT, 4, 1},
	{PLUG_CODE_INT, 0, 1},
	{PLUG_CODE_INT, 8, 0},
	{PLUG_CODE_INT, 24, 1},
	{PLUG_CODE_UINT, 1, 7},
	{PLUG_CODE_FLOAT, 2, 4},
	{PLUG_CODE_BFLOAT, 32, 1},
	{PLUG_CODE_COMPLEX, 16, 1},
	{PLUG_CODE_BOOL, 1, 8},
	{PLUG_CODE_STRING, 64, 2},
	{PLUG_CODE_STRING, 32, 1},
	{7, 8, 1},
	{17, 4, 2},
	{255, 255, 65535},
};

static void
test_names_and_sizes(void **state)
{
	char name[PLUG_DTYPE_NAME];

	(void)state;
	for (size_t i = 0; i < sizeof(carried) / sizeof(*carried); i++) {
		const struct named *one = &carried[i];
		struct plug_dtype parsed = {0};

		assert_string_equal(plug_dtype_name(one->dtype, name), one->name);
		assert_int_equal(plug_dtype_bytes(one->dtype), one->bytes);
		assert_int_equal(plugs_dtype_align(one->dtype), one->align);
		assert_int_equal(plug_dtype_parse(one->name, &parsed), PLUG_OK);
		assert_true(plug_dtype_equal(parsed, one->dtype));
	}
}

static void
test_what_cannot_be_carried(void **state)
{
	static const char *const names[] = {"",         "int",      "int7",
					    "int08",    "int8x0",   "int8x",
					    "int8x1 ",  "uint8y",   "int-8",
					    "int4",     "int256",   "bool8",
					    "stringx2", "string64", "float32x65536",
					    "quux32",   "bfloat",   "uint99999999999999999999"};
	char name[PLUG_DTYPE_NAME];
	struct plug_dtype parsed;

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		assert_int_equal(plug_dtype_bytes(refused[i]), 0);
		assert_non_null(strstr(plug_dtype_name(refused[i], name), "code"));
		assert_false(plugs_dtype_converts(refused[i]));
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		assert_int_equal(plug_dtype_parse(names[i], &parsed), PLUG_EINVAL);
	assert_int_equal(plug_dtype_parse(NULL, &parsed), PLUG_EINVAL);
}

static void
test_every_code_is_either_carried_or_refused_by_size(void **state)
{
	(void)state;
	for (unsigned code = 0; code < 256; code++) {
		for (unsigned bits = 0; bits < 256; bits++) {
			struct plug_dtype one = {(uint8_t)code, (uint8_t)bits, 1};
			size_t bytes = plug_dtype_bytes(one);

			assert_true(bytes == 0 || bytes * 8 == bits);
			if (bytes) /* an alignment that an arena can keep */
				assert_true(64 % plugs_dtype_align(one) == 0);
		}
	}
}

/* ---- 16-bit floats ---- */

/* What the bits of a format mean, by the definition. */
static double
meaning(uint16_t bits, int fraction_bits, int bias)
{
	int exponent_max = (1 << (15 - fraction_bits)) - 1;
	int exponent = bits >> fraction_bits & exponent_max;
	double fraction = bits & ((1 << fraction_bits) - 1);
	double sign = bits & 0x8000 ? -1 : 1;

	if (exponent == exponent_max)
		return fraction != 0 ? NAN : sign * INFINITY;
	if (exponent == 0)
		return sign * ldexp(fraction, 1 - bias - fraction_bits);
	return sign * ldexp(ldexp(1, fraction_bits) + fraction, exponent - bias - fraction_bits);
}

static double
mean16(uint16_t bits)
{
	return meaning(bits, 10, 15);
}

static double
meanb16(uint16_t bits)
{
	return meaning(bits, 7, 127);
}

static void
test_every_16_bit_float_there_and_back(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 65536; bits++) {
		double half = mean16((uint16_t)bits), brain = meanb16((uint16_t)bits);

		if (isnan(half))
			assert_true(isnan(plugs_from_float16((uint16_t)bits)));
		else
			assert_true((double)plugs_from_float16((uint16_t)bits) == half);
		if (isnan(brain))
			assert_true(isnan(plugs_from_bfloat16((uint16_t)bits)));
		else
			assert_true((double)plugs_from_bfloat16((uint16_t)bits) == brain);
		if (!isnan(half))
			assert_int_equal(plugs_to_float16(half), bits);
		if (!isnan(brain))
			assert_int_equal(plugs_to_bfloat16(brain), bits);
	}
	assert_true(isnan(mean16(plugs_to_float16(NAN))));
	assert_true(isnan(meanb16(plugs_to_bfloat16(-NAN))));
}

/* Between two neighbours: the nearer one, at the middle the even one. */
static void
check_between(uint16_t low, double (*mean)(uint16_t), uint16_t (*to)(double), double next)
{
	double a = mean(low), middle = a + (next - a) / 2;
	uint16_t high = (uint16_t)(low + 1), even = low & 1 ? high : low;

	assert_int_equal(to(middle), even);
	assert_int_equal(to(nextafter(middle, INFINITY)), high);
	assert_int_equal(to(nextafter(middle, 0)), low);
	assert_int_equal(to(-middle), even | 0x8000);
	assert_int_equal(to(-nextafter(middle, INFINITY)), high | 0x8000);
}

static void
test_rounding_to_nearest_even(void **state)
{
	(void)state;
	for (uint16_t bits = 0; bits < 0x7bff; bits++)
		check_between(bits, mean16, plugs_to_float16, mean16((uint16_t)(bits + 1)));
	check_between(0x7bff, mean16, plugs_to_float16, 65536.0); /* the largest; then infinity */
	for (uint16_t bits = 0; bits < 0x7f7f; bits++)
		check_between(bits, meanb16, plugs_to_bfloat16, meanb16((uint16_t)(bits + 1)));
	check_between(0x7f7f, meanb16, plugs_to_bfloat16, ldexp(1, 128));
}

static void
test_what_is_far_too_small_or_large(void **state)
{
	(void)state;
	assert_int_equal(plugs_to_float16(1e300), 0x7c00);
	assert_int_equal(plugs_to_float16(-1e300), 0xfc00);
	assert_int_equal(plugs_to_float16(1e-300), 0);
	assert_int_equal(plugs_to_float16(-5e-324), 0x8000);
	assert_int_equal(plugs_to_bfloat16(1.7e308), 0x7f80);
	assert_int_equal(plugs_to_bfloat16(5e-324), 0);
	assert_int_equal(plugs_to_float16(0.0), 0);
	assert_int_equal(plugs_to_float16(-0.0), 0x8000);
	assert_int_equal(plugs_to_float16(INFINITY), 0x7c00);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_and_sizes),
		cmocka_unit_test(test_what_cannot_be_carried),
		cmocka_unit_test(test_every_code_is_either_carried_or_refused_by_size),
		cmocka_unit_test(test_every_16_bit_float_there_and_back),
		cmocka_unit_test(test_rounding_to_nearest_even),
		cmocka_unit_test(test_what_is_far_too_small_or_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
