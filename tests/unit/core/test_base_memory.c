/* Out of memory in base/ and in the pure parts that need no manifest: at every allocation in turn.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/idmap.h"
#include "core/diag.h"
#include "core/order.h"
#include "core/semver.h"
#include "failing.h"

#define IDS 500

static void *
value_of(uint64_t id)
{
	return (void *)(uintptr_t)(id * 2 + 1);
}

/* What a map could not take is not in it, and what it has stays. */
static void
fill_and_empty(struct idmap *map)
{
	bool there[IDS + 1] = {false};
	size_t count = 0;

	for (uint64_t id = 1; id <= IDS; id++)
		count += there[id] = idmap_put(map, id, value_of(id));
	assert_int_equal(map->count, count);
	for (uint64_t id = 1; id <= IDS; id++)
		assert_ptr_equal(idmap_get(map, id), there[id] ? value_of(id) : NULL);
	for (uint64_t id = 1; id <= IDS; id++)
		assert_ptr_equal(idmap_take(map, id), there[id] ? value_of(id) : NULL);
	assert_int_equal(map->count, 0);
}

static void
sweep(void (*run)(void))
{
	bool failed;

	for (unsigned long failing = 0;; failing++) {
		for (int how = FAILING_ONE; how <= FAILING_ALL; how++) {
			failing_begin(failing, (enum failing_how)how);
			run();
			failed = failing_end();
		}
		if (!failed)
			break;
		assert_true(failing < 1000);
	}
}

static void
run_map(void)
{
	struct idmap map = {0};

	fill_and_empty(&map);
	idmap_fini(&map);
}

static void
test_map(void **state)
{
	(void)state;
	sweep(run_map);
}

static void
run_arena(void)
{
	struct arena arena;
	bool all = true;

	arena_init(&arena, 1 << 20);
	for (size_t i = 0; i < 200; i++) {
		char *text = arena_printf(&arena, "%zu", i);
		uint64_t *numbers = arena_array(&arena, i, sizeof(*numbers));

		all = all && text && numbers;
		for (size_t at = 0; numbers && at < i; at++)
			assert_true(numbers[at] == 0);
	}
	assert_int_equal(arena.failed, !all);
	arena_fini(&arena);
}

static void
test_arena(void **state)
{
	(void)state;
	sweep(run_arena);
}

static void
run_diags(void)
{
	struct diags diags;
	char line[DIAG_LINE_BYTES];

	diags_init(&diags);
	for (int i = 0; i < 50; i++)
		diag_error(&diags, &(struct diag_pos){"file", 1, 1}, "message %d", i);
	assert_int_equal(diags.errors, 50);
	for (const struct diag *diag = diags.first; diag; diag = diag->next)
		diag_format(diag, line, sizeof(line));
	diags_fini(&diags);
}

static void
test_diags(void **state)
{
	(void)state;
	sweep(run_diags);
}

/* What the registry asks for at every reload does not need memory. */
static void
test_what_does_without(void **state)
{
	struct order_node nodes[] = {{.name = "b"}, {.name = "c", .priority = 1}, {.name = "a"}};
	char why[SEMVER_ERR_BYTES];
	size_t sequence[3];
	struct semver version;

	(void)state;
	failing_begin(0, FAILING_ALL);
	assert_true(semver_parse("1.2.3-rc.1", &version, why));
	assert_int_equal(failing_count(), 0);
	assert_int_equal(order_nodes(nodes, 3, sequence), 3);
	failing_end();
	assert_int_equal(sequence[0], 1);
	assert_int_equal(sequence[1], 2);
	assert_int_equal(sequence[2], 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_map),
		cmocka_unit_test(test_arena),
		cmocka_unit_test(test_diags),
		cmocka_unit_test(test_what_does_without),
	};

	return cmocka_run_group_tests_name("base_memory", tests, NULL, NULL);
}
