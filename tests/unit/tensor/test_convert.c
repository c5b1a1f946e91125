/* Every type into every type, against a model in long double (64 bits of fraction). */
#include <math.h>

#include "numbers.h"

static _Alignas(16) uint8_t source[NUMBERS * 16], target[NUMBERS * 16];

static void
check_pair(struct plug_dtype from, struct plug_dtype to)
{
	int64_t count = NUMBERS;
	struct plug_tensor src, dst;
	char a[PLUG_DTYPE_NAME], b[PLUG_DTYPE_NAME];

	assert_int_equal(plug_tensor_wrap(source, sizeof(source), from, 1, &count, NULL, &src),
			 PLUG_OK);
	assert_int_equal(plug_tensor_wrap(target, sizeof(target), to, 1, &count, NULL, &dst),
			 PLUG_OK);
	assert_int_equal(plug_tensor_copy_to(&src, &dst, PLUG_CONVERT_SATURATE), PLUG_OK);
	for (size_t i = 0; i < NUMBERS; i++) {
		struct number value = read_number(from, source + i * plug_dtype_bytes(from));
		struct number found = read_number(to, target + i * plug_dtype_bytes(to)), expected;

		convert_number(to, value, &expected);
		if (!same_number(found.re, expected.re) || !same_number(found.im, expected.im))
			fail_msg("%s %.20Lg to %s: %.20Lg, expected %.20Lg",
				 plug_dtype_name(from, a), value.re, plug_dtype_name(to, b),
				 found.re, expected.re);
	}
}

static void
test_every_type_into_every_type(void **state)
{
	uint64_t seed = 11;

	(void)state;
	for (unsigned from = 0; from < NUMBER_TYPES; from++) {
		for (unsigned to = 0; to < NUMBER_TYPES; to++) {
			if (from == to ||
			    (is_complex(number_types[from]) && !is_complex(number_types[to]) &&
			     number_types[to].code != PLUG_CODE_BOOL))
				continue;
			fill_numbers(number_types[from], source, &seed);
			check_pair(number_types[from], number_types[to]);
		}
	}
}

/* Without saturation: the first that does not fit is named, and all that fits goes through. */
static void
test_what_does_not_fit_is_refused(void **state)
{
	uint64_t seed = 12;
	unsigned refused = 0, taken = 0;

	(void)state;
	for (unsigned from = 0; from < NUMBER_TYPES; from++) {
		for (unsigned to = 0; to < NUMBER_TYPES; to++) {
			if (from == to || is_complex(number_types[from]) ||
			    is_complex(number_types[to]))
				continue;
			fill_numbers(number_types[from], source, &seed);
			for (size_t i = 0; i < NUMBERS; i += 7) {
				size_t bytes = plug_dtype_bytes(number_types[from]);
				struct plug_tensor src, dst;
				struct number expected;
				bool fits;

				assert_int_equal(plug_tensor_wrap(source + i * bytes, bytes,
								  number_types[from], 0, NULL, NULL,
								  &src),
						 PLUG_OK);
				assert_int_equal(plug_tensor_wrap(target, sizeof(target),
								  number_types[to], 0, NULL, NULL,
								  &dst),
						 PLUG_OK);
				fits = convert_number(
					number_types[to],
					read_number(number_types[from], source + i * bytes),
					&expected);
				assert_int_equal(plug_tensor_copy_to(&src, &dst, 0),
						 fits ? PLUG_OK : PLUG_EINVAL);
				if (!fits)
					assert_text("element 0 is", "cannot hold", NULL);
				refused += !fits;
				taken += fits;
			}
		}
	}
	assert_true(refused > 500 && taken > 500);
}

static void
test_the_element_is_named(void **state)
{
	static const int64_t shape[] = {2, 300};
	static int16_t from[600];
	static uint8_t into[600];
	struct plug_tensor src, dst;

	(void)state;
	from[577] = -3;
	assert_int_equal(plug_tensor_wrap(from, sizeof(from), PLUG_INT16, 2, shape, NULL, &src),
			 PLUG_OK);
	assert_int_equal(plug_tensor_wrap(into, sizeof(into), PLUG_UINT8, 2, shape, NULL, &dst),
			 PLUG_OK);
	assert_int_equal(plug_tensor_copy_to(&src, &dst, 0), PLUG_EINVAL);
	assert_text("element 577 is -3, which uint8 cannot hold", "PLUG_CONVERT_SATURATE", NULL);
}

static void
test_what_cannot_be_converted(void **state)
{
	static const struct plug_dtype none[] = {
		{PLUG_CODE_OPAQUE, 64, 1}, {PLUG_CODE_FLOAT, 128, 1}, {PLUG_CODE_INT, 128, 1},
		{PLUG_CODE_INT, 4, 2},     {PLUG_CODE_FLOAT, 32, 2},  {PLUG_CODE_COMPLEX, 32, 1},
		{PLUG_CODE_STRING, 64, 1}};
	struct plug_tensor src, dst;
	struct plug_arena *arena = arena_of(4096);

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
		assert_int_equal(plug_tensor_wrap(source, 64, none[i], 0, NULL, NULL, &src),
				 PLUG_OK);
		assert_int_equal(plug_tensor_convert(&src, arena, PLUG_FLOAT32, 0, &dst),
				 PLUG_EINVAL);
		assert_text("cannot be converted to float32", NULL);
		assert_int_equal(plug_tensor_wrap(source, 64, PLUG_INT8, 0, NULL, NULL, &src),
				 PLUG_OK);
		assert_int_equal(plug_tensor_convert(&src, arena, none[i], 0, &dst), PLUG_EINVAL);
	}
	assert_int_equal(plug_tensor_wrap(source, 64, PLUG_COMPLEX64, 0, NULL, NULL, &src),
			 PLUG_OK);
	assert_int_equal(plug_tensor_convert(&src, arena, PLUG_FLOAT64, 0, &dst), PLUG_EINVAL);
	assert_int_equal(stats().buffers, 0);
	plug_arena_close(arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_type_into_every_type),
		cmocka_unit_test(test_what_does_not_fit_is_refused),
		cmocka_unit_test(test_the_element_is_named),
		cmocka_unit_test(test_what_cannot_be_converted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
