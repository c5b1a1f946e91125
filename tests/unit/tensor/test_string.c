/* Tensors of strings. */
#include "support.h"

#include "tensor.h"

static const char *const words[] = {"alpha", "", "gamma \xce\xb3", "delta\0with", "e", "zeta"};

static void
assert_string(const struct plug_tensor *tensor, int64_t i, int64_t j, const char *expected,
	      size_t bytes)
{
	const int64_t index[] = {i, j};
	const char *found;
	size_t size;

	assert_int_equal(plug_tensor_string(tensor, index, &found, &size), PLUG_OK);
	assert_int_equal(size, bytes);
	assert_memory_equal(found, expected, bytes);
}

static void
test_strings_and_their_views(void **state)
{
	static const size_t lengths[] = {5, 0, 8, 10, 1, 4};
	static const int64_t shape[] = {2, 3};
	struct plug_arena *arena = arena_of(8192);
	struct plug_tensor tensor, view, copy;

	(void)state;
	assert_int_equal(plug_tensor_strings(arena, words, lengths, 6, &tensor), PLUG_OK);
	assert_int_equal(plug_tensor_check(&tensor), PLUG_OK);
	assert_int_equal(tensor.bytes, 6 * 8 + 28);
	assert_string(&tensor, 3, 0, "delta\0with", 10);
	assert_int_equal(plug_tensor_reshape(&tensor, 2, shape, &view), PLUG_OK);
	assert_int_equal(plug_tensor_transpose(&view, NULL, &view), PLUG_OK);
	assert_string(&view, 2, 0, words[2], 8);
	assert_string(&view, 0, 1, "delta\0with", 10);
	assert_int_equal(plug_tensor_slice(&view, 0, 2, -1, -2, &view), PLUG_OK);
	assert_int_equal(plug_tensor_copy(&view, arena, &copy), PLUG_OK);
	assert_int_equal(copy.bytes, 4 * 8 + 8 + 4 + 5 + 10); /* only what it has */
	assert_string(&copy, 0, 0, words[2], 8);
	assert_string(&copy, 0, 1, "zeta", 4);
	assert_string(&copy, 1, 0, "alpha", 5);
	assert_string(&copy, 1, 1, "delta\0with", 10);
	plug_tensor_unref(&copy);
	plug_tensor_unref(&tensor);
	assert_int_equal(stats().buffers, 0);
	plug_arena_close(arena);
}

static void
test_none_and_empty_ones(void **state)
{
	static const char *const empty[] = {"", ""};
	struct plug_arena *arena = arena_of(4096);
	struct plug_tensor tensor, copy;

	(void)state;
	assert_int_equal(plug_tensor_strings(arena, NULL, NULL, 0, &tensor), PLUG_OK);
	assert_int_equal(plug_tensor_elements(&tensor), 0);
	assert_int_equal(plug_tensor_copy(&tensor, arena, &copy), PLUG_OK);
	assert_int_equal(plug_tensor_strings(arena, empty, NULL, 2, &tensor), PLUG_OK);
	assert_string(&tensor, 1, 0, "", 0);
	plug_tensor_unref(&tensor);
	plug_arena_close(arena);
}

/* The elements are memory of somebody else: they may say anything. */
static void
test_elements_that_point_elsewhere(void **state)
{
	static const struct plug_string wrong[] = {
		{0, UINT32_MAX}, {UINT32_MAX, 1}, {UINT32_MAX, UINT32_MAX}, {0, 100}, {100, 0}};
	struct plug_arena *arena = arena_of(4096);
	struct plug_tensor tensor, copy;
	int64_t index = 0;
	const char *found = NULL;
	size_t size;

	(void)state;
	assert_int_equal(plug_tensor_strings(arena, words, NULL, 1, &tensor), PLUG_OK);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		memcpy(tensor.data, &wrong[i], sizeof(wrong[i]));
		assert_int_equal(plug_tensor_string(&tensor, &index, &found, &size), PLUG_EINVAL);
		assert_text("of a buffer of 13 bytes", NULL);
		assert_int_equal(plug_tensor_copy(&tensor, arena, &copy), PLUG_EINVAL);
	}
	index = 1;
	assert_int_equal(plug_tensor_string(&tensor, &index, &found, &size), PLUG_EINVAL);
	index = -1;
	assert_int_equal(plug_tensor_string(&tensor, &index, &found, &size), PLUG_EINVAL);
	assert_null(found);
	plug_tensor_unref(&tensor);
	plug_arena_close(arena);
}

static void
test_what_is_no_string(void **state)
{
	static const size_t too_long[] = {UINT32_MAX, 10};
	struct plug_arena *arena = arena_of(4096);
	struct plug_tensor number, strings, other;
	const char *found;
	size_t size;

	(void)state;
	assert_int_equal(plug_tensor_alloc(arena, PLUG_INT64, 0, NULL, &number), PLUG_OK);
	assert_int_equal(plug_tensor_string(&number, NULL, &found, &size), PLUG_EINVAL);
	assert_int_equal(plug_tensor_strings(arena, words, too_long, 2, &strings), PLUG_ETOOLARGE);
	assert_int_equal(plug_tensor_strings(arena, words, NULL, 2, &strings), PLUG_OK);
	assert_int_equal(plug_tensor_convert(&strings, arena, PLUG_INT64, 0, &other), PLUG_EINVAL);
	assert_int_equal(plug_tensor_copy_to(&strings, &strings, 0), PLUG_EINVAL);
	assert_text("plug_tensor_copy()", NULL);
	plug_tensor_unref(&strings);
	plug_tensor_unref(&number);
	plug_arena_close(arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings_and_their_views),
		cmocka_unit_test(test_none_and_empty_ones),
		cmocka_unit_test(test_elements_that_point_elsewhere),
		cmocka_unit_test(test_what_is_no_string),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
