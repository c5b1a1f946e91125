#include <string.h>

#include "base/arena.h"
#include "support.h"

static void
test_memory_is_zeroed_and_aligned(void **state)
{
	struct arena arena;

	(void)state;
	arena_init(&arena, 1 << 20);
	for (size_t bytes = 0; bytes < 300; bytes++) {
		unsigned char *memory = arena_alloc(&arena, bytes);

		assert_non_null(memory);
		assert_int_equal((uintptr_t)memory % _Alignof(max_align_t), 0);
		for (size_t i = 0; i < bytes; i++)
			assert_int_equal(memory[i], 0);
		memset(memory, 0xff, bytes);
	}
	arena_fini(&arena);
}

static void
test_cap_is_never_exceeded(void **state)
{
	(void)state;
	for (size_t cap = 0; cap < 20000; cap += 97) {
		struct arena arena;

		arena_init(&arena, cap);
		while (arena_alloc(&arena, 50))
			assert_true(arena.taken_bytes <= cap);
		assert_true(arena.failed);
		assert_true(arena.taken_bytes <= cap);
		arena_fini(&arena);
		assert_false(arena.failed);
		assert_int_equal(arena.taken_bytes, 0);
	}
}

static void
test_impossible_sizes_fail(void **state)
{
	static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 15, SIZE_MAX / 2,
				       1 << 21};
	struct arena arena;

	(void)state;
	arena_init(&arena, 1 << 20);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		arena.failed = false;
		assert_null(arena_alloc(&arena, sizes[i]));
		assert_true(arena.failed);
	}
	assert_null(arena_array(&arena, SIZE_MAX / 2, 3));
	assert_null(arena_strndup(&arena, "x", SIZE_MAX));
	assert_non_null(arena_alloc(&arena, 1)); /* still of use */
	arena_fini(&arena);
}

static void
test_text(void **state)
{
	struct arena arena;

	(void)state;
	arena_init(&arena, 1 << 20);
	assert_string_equal(arena_strdup(&arena, "abc"), "abc");
	assert_string_equal(arena_strndup(&arena, "abc", 2), "ab");
	assert_null(arena_strdup(&arena, NULL));
	assert_false(arena.failed);
	assert_string_equal(arena_printf(&arena, "%s-%d", "a", 7), "a-7");
	assert_int_equal(strlen(arena_printf(&arena, "%5000d", 1)), 5000);
	arena_fini(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_is_zeroed_and_aligned),
		cmocka_unit_test(test_cap_is_never_exceeded),
		cmocka_unit_test(test_impossible_sizes_fail),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
