#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/runtime.h"
#include "support.h"

static struct diags diags;
static struct runtime *runtime;

static int
setup(void **state)
{
	(void)state;
	diags_init(&diags);
	runtime = runtime_new();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	runtime_free(runtime);
	diags_fini(&diags);
	return 0;
}

/* One key; NULL: unset.  The result is in force. */
static void
edit(const char *key, const char *after)
{
	struct runtime_edit one = {.key = key, .after = after, .secret = key[0] == 's'};
	struct runtime_change change = {.time_ms = 1000,
					.uid = 7,
					.what = after ? "set" : "unset",
					.edits = &one,
					.count = 1};
	struct runtime *next = runtime_apply(runtime, &change, &diags);

	assert_non_null(next);
	runtime_free(runtime);
	runtime = next;
}

static const char *
value(const char *key)
{
	const struct runtime_value *found = runtime_find(runtime, key);

	return found ? found->text : NULL;
}

static struct runtime *
copy_through_text(void)
{
	size_t size;
	char *text = runtime_format(runtime, &size);
	struct yaml_source source = {"config.x", text, size};
	struct runtime *copy;

	assert_non_null(text);
	assert_true(size <= RUNTIME_BYTES);
	copy = runtime_parse(&source, &diags);
	assert_no_diag(&diags);
	assert_non_null(copy);
	free(text);
	return copy;
}

static void
assert_same_text(const char *a, const char *b)
{
	if (a && b)
		assert_string_equal(a, b);
	else
		assert_ptr_equal(a, b);
}

static void
assert_same(const struct runtime *a, const struct runtime *b)
{
	assert_int_equal(a->last_number, b->last_number);
	assert_int_equal(a->value_count, b->value_count);
	assert_int_equal(a->change_count, b->change_count);
	for (size_t i = 0; i < a->value_count; i++) {
		assert_string_equal(a->values[i].key, b->values[i].key);
		assert_string_equal(a->values[i].text, b->values[i].text);
		assert_int_equal(a->values[i].number, b->values[i].number);
		assert_int_equal(a->values[i].time_ms, b->values[i].time_ms);
	}
	for (size_t i = 0; i < a->change_count; i++) {
		const struct runtime_change *one = &a->changes[i], *other = &b->changes[i];

		assert_int_equal(one->number, other->number);
		assert_int_equal(one->uid, other->uid);
		assert_string_equal(one->what, other->what);
		assert_int_equal(one->count, other->count);
		for (size_t j = 0; j < one->count; j++) {
			assert_string_equal(one->edits[j].key, other->edits[j].key);
			assert_same_text(one->edits[j].before, other->edits[j].before);
			assert_same_text(one->edits[j].after, other->edits[j].after);
			assert_int_equal(one->edits[j].secret, other->edits[j].secret);
		}
	}
}

static void
test_values_come_and_go(void **state)
{
	(void)state;
	edit("b", "1");
	edit("a", "2");
	edit("b", "3");
	assert_string_equal(runtime->values[0].key, "a");
	assert_string_equal(value("b"), "3");
	assert_int_equal(runtime_find(runtime, "b")->number, 3);
	assert_string_equal(runtime->changes[2].edits[0].before, "1");
	edit("b", NULL);
	assert_null(value("b"));
	assert_string_equal(value("a"), "2");
	assert_int_equal(runtime->last_number, 4);
}

static void
test_what_changes_nothing_is_no_change(void **state)
{
	(void)state;
	edit("a", "1");
	edit("a", "1");
	edit("b", NULL);
	assert_int_equal(runtime->last_number, 1);
	assert_int_equal(runtime->change_count, 1);
}

static void
test_text_comes_back_as_it_was(void **state)
{
	static const char *const texts[] = {"",
					    " ",
					    "true",
					    "null",
					    "- a: [b, {c}]",
					    "it's \"quoted\" \\ and 'more''",
					    "a\ttab\nand\n\n\nlines\n",
					    "%YAML 1.2",
					    "\xc3\xbc \xf0\x9f\x8e\x88 \xe2\x80\xa8 \xc2\x85",
					    "# no comment",
					    "&anchor *alias !tag"};
	struct runtime *copy;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		char key[8];

		snprintf(key, sizeof(key), "%c%zu", i % 2 ? 's' : 'k', i);
		edit(key, texts[i]);
	}
	edit("k0", NULL);
	copy = copy_through_text();
	assert_same(runtime, copy);
	runtime_free(copy);
}

/* Every state that was is reached again from every later one. */
static void
test_every_way_back(void **state)
{
	static const char *const keys[] = {"a", "b", "c"};
	struct runtime *was[30];
	unsigned random = 1;

	(void)state;
	for (size_t i = 0; i < 30; i++) {
		was[i] = copy_through_text();
		do {
			char text[8];
			random = random * 1103515245u + 12345u;
			snprintf(text, sizeof(text), "%u", random >> 16 & 3);
			edit(keys[(random >> 20) % 3], random >> 28 & 1 ? text : NULL);
		} while (runtime->last_number == was[i]->last_number);
	}
	for (size_t i = 0; i < 30; i++) {
		struct runtime_change change = {.what = "rollback"};
		struct runtime *back;
		struct arena arena;

		arena_init(&arena, 65536);
		change.edits = runtime_way_back(runtime, was[i]->last_number, &arena, &change.count,
						&diags);
		assert_non_null(change.edits);
		back = runtime_apply(runtime, &change, &diags);
		assert_non_null(back);
		assert_int_equal(back->value_count, was[i]->value_count);
		for (size_t j = 0; j < back->value_count; j++) {
			assert_string_equal(back->values[j].key, was[i]->values[j].key);
			assert_string_equal(back->values[j].text, was[i]->values[j].text);
		}
		runtime_free(back);
		arena_fini(&arena);
		runtime_free(was[i]);
	}
	assert_no_diag(&diags);
}

static void
test_only_so_many_are_kept(void **state)
{
	struct arena arena;
	size_t count;

	(void)state;
	for (int i = 0; i < RUNTIME_CHANGES + 5; i++) {
		char text[16];

		snprintf(text, sizeof(text), "%d", i);
		edit("a", text);
	}
	assert_int_equal(runtime->change_count, RUNTIME_CHANGES);
	assert_int_equal(runtime->changes[0].number, 6);
	arena_init(&arena, 65536);
	assert_non_null(runtime_way_back(runtime, 5, &arena, &count, &diags));
	assert_null(runtime_way_back(runtime, 4, &arena, &count, &diags));
	assert_null(runtime_way_back(runtime, runtime->last_number + 1, &arena, &count, &diags));
	assert_int_equal(diags.errors, 2);
	arena_fini(&arena);
}

/* The values are never left out, the oldest changes are. */
static void
test_a_long_history_is_cut(void **state)
{
	static char text[24 * 1024];
	struct runtime *copy;

	(void)state;
	for (int i = 0; i < 20; i++) {
		memset(text, i % 2 ? '\n' : 'x', sizeof(text) - 1);
		edit(i % 2 ? "a" : "b", i % 4 < 2 ? text : "short");
	}
	copy = copy_through_text();
	assert_in_range(copy->change_count, 1, 19);
	assert_int_equal(copy->last_number, 20);
	assert_string_equal(runtime_find(copy, "a")->text, value("a"));
	runtime_free(copy);
}

static void
test_too_much_is_refused(void **state)
{
	static char text[RUNTIME_VALUES_BYTES + 1];
	struct runtime_edit one = {.key = "a", .after = text};
	struct runtime_change change = {.what = "set", .edits = &one, .count = 1};

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	assert_null(runtime_apply(runtime, &change, &diags));
	one.after = "no\x01text";
	assert_null(runtime_apply(runtime, &change, &diags));
	assert_int_equal(diags.errors, 2);
}

/* Of a whole file every beginning is refused, and no byte that is changed does harm. */
static void
test_damage(void **state)
{
	size_t size;
	char *text;

	(void)state;
	edit("a", "1");
	edit("s", "2");
	text = runtime_format(runtime, &size);
	assert_non_null(text);
	for (size_t i = 0; i < 2 * size - 2; i++) {
		bool cut = i < size - 2;
		struct yaml_source source = {"config.x", text, cut ? i : size};
		struct runtime *parsed;
		char was = text[i - (cut ? i : size - 2)];

		if (!cut)
			text[i - (size - 2)] = (char)('0' + i % 77);
		parsed = runtime_parse(&source, &diags);
		if (cut)
			assert_null(parsed);
		assert_true(parsed || diags.errors);
		runtime_free(parsed);
		if (!cut)
			text[i - (size - 2)] = was;
		diags_fini(&diags);
	}
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_values_come_and_go, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_changes_nothing_is_no_change, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_text_comes_back_as_it_was, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_way_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_only_so_many_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_long_history_is_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_much_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
