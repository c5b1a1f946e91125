/* The map of ids, the list, UTF-8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/idmap.h"
#include "base/list.h"
#include "base/utf8.h"

/* ---- idmap ---- */

#define MODEL_MAX 4096

struct model {
	uint64_t ids[MODEL_MAX];
	size_t count;
};

static void *
value_of(uint64_t id)
{
	return (void *)(uintptr_t)(id * 2 + 1);
}

static uint64_t
next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void
put(struct idmap *map, struct model *model, uint64_t id)
{
	if (model->count == MODEL_MAX || idmap_get(map, id))
		return;
	assert_true(idmap_put(map, id, value_of(id)));
	model->ids[model->count++] = id;
}

static void
take_one(struct idmap *map, struct model *model, size_t at)
{
	uint64_t id = model->ids[at];

	assert_ptr_equal(idmap_take(map, id), value_of(id));
	assert_null(idmap_get(map, id));
	assert_null(idmap_take(map, id));
	model->ids[at] = model->ids[--model->count];
}

static void
compare(const struct idmap *map, const struct model *model)
{
	assert_int_equal(map->count, model->count);
	for (size_t i = 0; i < model->count; i++)
		assert_ptr_equal(idmap_get(map, model->ids[i]), value_of(model->ids[i]));
}

/* Ids in a row, far apart, and in few places of a small table: each grows, lives and shrinks. */
static uint64_t
id_in_a_row(uint64_t random)
{
	return 1 + random % 5000;
}

static uint64_t
id_anywhere(uint64_t random)
{
	return random;
}

static uint64_t
id_with_zero_low_half(uint64_t random)
{
	return (1 + random % 5000) << 32;
}

static uint64_t
id_that_collides(uint64_t random)
{
	/* the inverse of the hash's factor: few homes, whatever the size of the table */
	uint64_t inverse = 1, factor = 0x9e3779b97f4a7c15ull;

	for (int i = 0; i < 6; i++)
		inverse *= 2 - factor * inverse;
	return ((random % 3) << 32 | (1 + (random >> 8) % 1000)) * inverse;
}

static void
check_against_model(uint64_t (*id_of)(uint64_t), uint64_t seed, size_t most)
{
	static struct model model;
	struct idmap map = {0};
	size_t largest;

	model.count = 0;
	while (model.count < most)
		put(&map, &model, id_of(next_random(&seed)));
	compare(&map, &model);
	largest = map.capacity;
	for (int i = 0; i < 20000; i++) {
		if (next_random(&seed) % 2)
			put(&map, &model, id_of(next_random(&seed)));
		else if (model.count)
			take_one(&map, &model, (size_t)(next_random(&seed) % model.count));
		if (i % 1000 == 0)
			compare(&map, &model);
	}
	while (model.count) {
		take_one(&map, &model, (size_t)(next_random(&seed) % model.count));
		if (model.count % 64 == 0)
			compare(&map, &model);
	}
	assert_true(map.capacity < largest);
	idmap_fini(&map);
	assert_null(map.cells);
}

static void
test_idmap_against_a_model(void **state)
{
	(void)state;
	check_against_model(id_in_a_row, 1, 3000);
	check_against_model(id_anywhere, 2, 3000);
	check_against_model(id_with_zero_low_half, 3, 3000);
	check_against_model(id_that_collides, 4, 600);
}

static void
test_idmap_empty(void **state)
{
	struct idmap map = {0};

	(void)state;
	assert_null(idmap_get(&map, 1));
	assert_null(idmap_take(&map, 1));
	idmap_fini(&map);
	assert_true(idmap_put(&map, UINT64_MAX, &map));
	assert_null(idmap_get(&map, 0));
	assert_null(idmap_take(&map, 0));
	assert_ptr_equal(idmap_get(&map, UINT64_MAX), &map);
	idmap_fini(&map);
	idmap_fini(&map);
}

/* ---- list ---- */

struct item {
	int number;
	struct list node;
};

static void
expect_list(struct list *head, const char *expected)
{
	char forth[64] = "", back[64] = "";
	size_t used = 0;

	LIST_FOREACH (item, head, struct item, node)
		used += (size_t)snprintf(forth + used, sizeof(forth) - used, "%d", item->number);
	assert_string_equal(forth, expected);
	used = 0;
	for (struct list *at = head->prev; at != head; at = at->prev)
		used += (size_t)snprintf(back + used, sizeof(back) - used, "%d",
					 LIST_ENTRY(at, struct item, node)->number);
	assert_int_equal(used, strlen(expected));
	for (size_t i = 0; i < used; i++)
		assert_int_equal(back[used - 1 - i], expected[i]);
}

static void
test_list(void **state)
{
	struct list head = LIST_INIT(head), other = LIST_INIT(other);
	struct item items[6];

	(void)state;
	assert_true(list_empty(&head));
	assert_null(LIST_FIRST(&head, struct item, node));
	for (int i = 0; i < 6; i++) {
		items[i].number = i;
		list_append(i < 4 ? &head : &other, &items[i].node);
	}
	expect_list(&head, "0123");
	assert_ptr_equal(LIST_FIRST(&head, struct item, node), &items[0]);
	list_remove(&items[0].node);
	list_remove(&items[0].node); /* on no list: nothing happens */
	expect_list(&head, "123");
	list_remove(&items[3].node);
	list_remove(&items[1].node);
	expect_list(&head, "2");
	list_splice(&head, &other);
	expect_list(&head, "245");
	assert_true(list_empty(&other));
	list_splice(&head, &other);
	expect_list(&head, "245");
	list_splice(&other, &head);
	expect_list(&other, "245");
	assert_true(list_empty(&head));
}

static void
test_list_emptied_while_walking(void **state)
{
	struct list head = LIST_INIT(head);
	int seen = 0;

	(void)state;
	for (int i = 0; i < 5; i++) {
		struct item *item = malloc(sizeof(*item));

		item->number = i;
		list_append(&head, &item->node);
	}
	LIST_FOREACH_SAFE (item, &head, struct item, node) {
		assert_int_equal(item->number, seen++);
		list_remove(&item->node);
		free(item);
	}
	assert_int_equal(seen, 5);
	assert_true(list_empty(&head));
}

/* ---- UTF-8 ---- */

static const struct {
	const char *name, *bytes;
	size_t size, sequence; /* sequence: bytes of the first one, 0 when it is not valid */
	uint32_t code;
	const char *cleaned;
} texts[] = {
	{"nothing", "", 0, 0, 0, ""},
	{"ASCII", "a", 1, 1, 'a', "a"},
	{"DEL", "\x7f", 1, 1, 0x7f, "\x7f"},
	{"NUL", "\0", 1, 1, 0, "?"},
	{"first of two bytes", "\xc2\x80", 2, 2, 0x80, "\xc2\x80"},
	{"last of two bytes", "\xdf\xbf", 2, 2, 0x7ff, "\xdf\xbf"},
	{"first of three bytes", "\xe0\xa0\x80", 3, 3, 0x800, "\xe0\xa0\x80"},
	{"before the surrogates", "\xed\x9f\xbf", 3, 3, 0xd7ff, "\xed\x9f\xbf"},
	{"after the surrogates", "\xee\x80\x80", 3, 3, 0xe000, "\xee\x80\x80"},
	{"last of three bytes", "\xef\xbf\xbf", 3, 3, 0xffff, "\xef\xbf\xbf"},
	{"first of four bytes", "\xf0\x90\x80\x80", 4, 4, 0x10000, "\xf0\x90\x80\x80"},
	{"last of all", "\xf4\x8f\xbf\xbf", 4, 4, 0x10ffff, "\xf4\x8f\xbf\xbf"},
	{"above the last", "\xf4\x90\x80\x80", 4, 0, 0, "????"},
	{"overlong slash", "\xc0\xaf", 2, 0, 0, "??"},
	{"overlong by one", "\xc1\xbf", 2, 0, 0, "??"},
	{"overlong in three", "\xe0\x9f\xbf", 3, 0, 0, "???"},
	{"overlong in four", "\xf0\x8f\xbf\xbf", 4, 0, 0, "????"},
	{"first surrogate", "\xed\xa0\x80", 3, 0, 0, "???"},
	{"last surrogate", "\xed\xbf\xbf", 3, 0, 0, "???"},
	{"a continuation alone", "\x80", 1, 0, 0, "?"},
	{"five bytes", "\xf8\x88\x80\x80\x80", 5, 0, 0, "?????"},
	{"never a byte of UTF-8", "\xff\xfe", 2, 0, 0, "??"},
	{"two bytes cut off", "\xc3", 1, 0, 0, "?"},
	{"three bytes cut off", "\xe2\x82", 2, 0, 0, "??"},
	{"four bytes cut off", "\xf0\x9f\x98", 3, 0, 0, "???"},
	{"wrong continuation", "\xe2\x28\xa1", 3, 0, 0, "?(?"},
	{"text around a bad byte", "a\xff\xc3\xa9z", 5, 1, 'a', "a?\xc3\xa9z"},
};

static void
test_utf8_sequences(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		char *copy = malloc(texts[i].size + 1); /* the exact bytes, for the sanitizer */
		size_t bytes;

		memcpy(copy, texts[i].bytes, texts[i].size);
		copy = realloc(copy, texts[i].size ? texts[i].size : 1);
		bytes = utf8_sequence(copy, texts[i].size);
		if (bytes != texts[i].sequence)
			fail_msg("%s: %zu bytes, expected %zu", texts[i].name, bytes,
				 texts[i].sequence);
		if (bytes)
			assert_int_equal(utf8_decode(copy, bytes), texts[i].code);
		utf8_clean(copy, texts[i].size);
		if (memcmp(copy, texts[i].cleaned, texts[i].size) != 0)
			fail_msg("%s was not cleaned as expected", texts[i].name);
		free(copy);
	}
}

/* Every code point and nothing else; encoded by hand. */
static void
test_utf8_every_code_point(void **state)
{
	(void)state;
	for (uint32_t code = 0; code < 0x110000; code++) {
		size_t bytes = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
		static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
		bool surrogate = code >= 0xd800 && code < 0xe000;
		char text[4];

		for (size_t i = bytes - 1; i > 0; i--)
			text[i] = (char)(0x80 | (code >> (6 * (bytes - 1 - i)) & 0x3f));
		text[0] = (char)(lead[bytes] | code >> (6 * (bytes - 1)));
		if (utf8_sequence(text, bytes) != (surrogate ? 0 : bytes))
			fail_msg("U+%04X", code);
		if (!surrogate && utf8_decode(text, bytes) != code)
			fail_msg("U+%04X is decoded as %X", code, utf8_decode(text, bytes));
	}
}

/* Whatever it was, cleaned text is valid, and cleaning it again changes nothing. */
static void
test_utf8_clean_is_valid(void **state)
{
	uint64_t seed = 5;

	(void)state;
	for (int round = 0; round < 5000; round++) {
		size_t size = next_random(&seed) % 24;
		char text[24], again[24];

		for (size_t i = 0; i < size; i++)
			text[i] = (char)(next_random(&seed) | (round % 2 ? 0x80 : 0));
		utf8_clean(text, size);
		for (size_t i = 0; i < size;) {
			size_t bytes = utf8_sequence(text + i, size - i);

			assert_true(bytes > 0 && text[i] != '\0');
			i += bytes;
		}
		memcpy(again, text, size);
		utf8_clean(again, size);
		assert_int_equal(memcmp(again, text, size), 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idmap_against_a_model),
		cmocka_unit_test(test_idmap_empty),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_list_emptied_while_walking),
		cmocka_unit_test(test_utf8_sequences),
		cmocka_unit_test(test_utf8_every_code_point),
		cmocka_unit_test(test_utf8_clean_is_valid),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
