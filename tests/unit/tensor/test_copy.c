/* Copies and conversions in every number of dimensions, and with strides that are not row-major. */
#include "numbers.h"

static _Alignas(16) uint8_t source[NUMBERS * 16], target[NUMBERS * 16];

/* A view of `of` with the strides that chance gives it, in as many dimensions. */
static void
some_view(struct plug_tensor *view, uint64_t *seed)
{
	int axes[PLUG_TENSOR_DIMS];

	for (int i = 0; i < view->ndim; i++)
		axes[i] = i;
	for (int i = view->ndim - 1; i > 0; i--) {
		int j = (int)chance_below(seed, (uint64_t)i + 1), swap = axes[i];

		axes[i] = axes[j];
		axes[j] = swap;
	}
	assert_int_equal(plug_tensor_transpose(view, axes, view), PLUG_OK);
	for (int i = 0; i < view->ndim; i++) {
		int64_t size = view->shape[i];
		int64_t step = 1 + (int64_t)chance_below(seed, 2);

		if (chance_below(seed, 2))
			assert_int_equal(plug_tensor_slice(view, i, size - 1, -1, -step, view),
					 PLUG_OK);
		else
			assert_int_equal(plug_tensor_slice(view, i, 0, size, step, view), PLUG_OK);
	}
}

static const void *
element(const struct plug_tensor *tensor, const int64_t *index)
{
	const char *at = plug_tensor_data(tensor);

	for (int i = 0; i < tensor->ndim; i++)
		at += index[i] * tensor->strides[i] * (int64_t)plug_dtype_bytes(tensor->dtype);
	return at;
}

static void
compare_all(const struct plug_tensor *src, const struct plug_tensor *dst)
{
	int64_t index[PLUG_TENSOR_DIMS] = {0};
	int dim;

	do {
		struct number from = read_number(src->dtype, element(src, index)), expected;
		struct number found = read_number(dst->dtype, element(dst, index));

		convert_number(dst->dtype, from, &expected);
		if (plug_dtype_equal(src->dtype, dst->dtype))
			expected = from;
		assert_true(same_number(found.re, expected.re) &&
			    same_number(found.im, expected.im));
		for (dim = src->ndim - 1; dim >= 0 && ++index[dim] == src->shape[dim]; dim--)
			index[dim] = 0;
	} while (dim >= 0);
}

static void
check_strided(struct plug_dtype from, struct plug_dtype to, int ndim, struct plug_arena *arena,
	      uint64_t *seed)
{
	struct plug_tensor src, copy, space, dst;
	int64_t shape[PLUG_TENSOR_DIMS];

	for (int i = 0; i < ndim; i++)
		shape[i] = 1 + (int64_t)chance_below(seed, ndim > 4 ? 2 : 4);
	fill_numbers(from, source, seed);
	assert_int_equal(plug_tensor_wrap(source, sizeof(source), from, ndim, shape, NULL, &src),
			 PLUG_OK);
	some_view(&src, seed);
	plug_tensor_set_name(&src, "x");
	assert_int_equal(plug_tensor_convert(&src, arena, to, PLUG_CONVERT_SATURATE, &copy),
			 PLUG_OK);
	assert_true(plug_tensor_contiguous(&copy));
	assert_string_equal(copy.name, "x");
	compare_all(&src, &copy);

	/* Into strides of its own as well. */
	for (int i = 0; i < ndim; i++)
		shape[i] = 2 * copy.shape[i];
	assert_int_equal(plug_tensor_alloc(arena, to, ndim, shape, &space), PLUG_OK);
	memset(space.data, 0x5a, space.bytes);
	dst = space;
	for (int i = 0; i < ndim; i++)
		assert_int_equal(plug_tensor_slice(&dst, i, 2 * copy.shape[i] - 1, -1, -2, &dst),
				 PLUG_OK);
	assert_int_equal(plug_tensor_copy_to(&src, &dst, PLUG_CONVERT_SATURATE), PLUG_OK);
	compare_all(&src, &dst);
	plug_tensor_unref(&space);
	plug_tensor_unref(&copy);
}

static void
test_every_type_in_every_number_of_dimensions(void **state)
{
	struct plug_arena *arena = arena_of(4 << 20);
	uint64_t seed = 13;

	(void)state;
	for (unsigned from = 0; from < NUMBER_TYPES; from++) {
		for (int ndim = 0; ndim <= PLUG_TENSOR_DIMS; ndim++) {
			unsigned to = (unsigned)chance_below(&seed, NUMBER_TYPES);

			if (is_complex(number_types[from]))
				to = from;
			check_strided(number_types[from], number_types[from], ndim, arena, &seed);
			check_strided(number_types[from], number_types[to], ndim, arena, &seed);
		}
	}
	assert_int_equal(stats().buffers, 0);
	plug_arena_close(arena);
}

/* Elements of any width are copied as they are, also those that nobody can convert. */
static void
test_copies_of_every_width(void **state)
{
	static const struct plug_dtype wide[] = {
		{PLUG_CODE_UINT, 2, 12},  {PLUG_CODE_UINT, 8, 5},     {PLUG_CODE_INT, 4, 2},
		{PLUG_CODE_FLOAT, 32, 3}, {PLUG_CODE_OPAQUE, 128, 1}, {PLUG_CODE_COMPLEX, 32, 1},
	};
	static const int64_t shape[] = {3, 4, 2};
	struct plug_arena *arena = arena_of(1 << 20);
	uint64_t seed = 3;

	(void)state;
	for (size_t n = 0; n < sizeof(wide) / sizeof(*wide); n++) {
		size_t bytes = plug_dtype_bytes(wide[n]);
		struct plug_tensor src, copy;

		for (size_t i = 0; i < sizeof(source); i++)
			source[i] = (uint8_t)chance(&seed);
		assert_int_equal(
			plug_tensor_wrap(source, sizeof(source), wide[n], 3, shape, NULL, &src),
			PLUG_OK);
		assert_int_equal(plug_tensor_transpose(&src, NULL, &src), PLUG_OK);
		assert_int_equal(plug_tensor_copy(&src, arena, &copy), PLUG_OK);
		for (int64_t i = 0; i < 2; i++)
			for (int64_t j = 0; j < 4; j++)
				for (int64_t k = 0; k < 3; k++)
					assert_memory_equal(
						(char *)copy.data +
							((size_t)((i * 4 + j) * 3 + k)) * bytes,
						source + ((size_t)((k * 4 + j) * 2 + i)) * bytes,
						bytes);
		plug_tensor_unref(&copy);
	}
	plug_arena_close(arena);
}

static void
test_copies_are_counted_and_checked(void **state)
{
	static const int64_t shape[] = {2, 3}, other[] = {3, 2}, none[] = {0, 3};
	struct plug_arena *arena = arena_of(1 << 20);
	struct plug_tensor src, dst, empty;
	struct plug_tensor_stats before = stats(), after;

	(void)state;
	assert_int_equal(plug_tensor_wrap(source, 24, PLUG_INT32, 2, shape, NULL, &src), PLUG_OK);
	assert_int_equal(plug_tensor_convert(&src, arena, PLUG_FLOAT64, 0, &dst), PLUG_OK);
	after = stats();
	assert_int_equal(after.copies - before.copies, 1);
	assert_int_equal(after.bytes_copied - before.bytes_copied, 48);
	plug_tensor_unref(&dst);
	assert_int_equal(plug_tensor_wrap(target, 24, PLUG_INT32, 2, other, NULL, &dst), PLUG_OK);
	assert_int_equal(plug_tensor_copy_to(&src, &dst, 0), PLUG_EINVAL);
	assert_text("int32[3, 2]", "int32[2, 3]", NULL);
	assert_int_equal(plug_tensor_wrap(target, 24, PLUG_INT32, 2, shape, NULL, &dst), PLUG_OK);
	dst.flags = PLUG_TENSOR_READ_ONLY;
	assert_int_equal(plug_tensor_copy_to(&src, &dst, 0), PLUG_EINVAL);
	assert_int_equal(plug_tensor_wrap(NULL, 0, PLUG_INT32, 2, none, NULL, &empty), PLUG_OK);
	assert_int_equal(plug_tensor_convert(&empty, arena, PLUG_INT8, 0, &dst), PLUG_OK);
	assert_int_equal(dst.shape[1], 3);
	assert_int_equal(stats().copies, after.copies);
	plug_arena_close(arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_type_in_every_number_of_dimensions),
		cmocka_unit_test(test_copies_of_every_width),
		cmocka_unit_test(test_copies_are_counted_and_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
