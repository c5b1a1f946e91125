/* Properties of the tables of keys, and names at their limits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/suggest.h"
#include "support.h"

static struct diags diags;

static int
setup(void **state)
{
	(void)state;
	diags_init(&diags);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	diags_fini(&diags);
	return 0;
}

/* ---- the tables themselves ---- */

static void
check_table(const struct field_table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct field *field = &table->fields[i];
		char expected[FIELD_TEXT_BYTES] = "";

		assert_true(field->offset + field->size <= table->size);
		if (field->type->size && field->size != field->type->size)
			fail_msg("%s: %zu bytes for a %s", field->key, field->size,
				 field->type->name);
		if (field->type == &field_section)
			assert_int_equal(field->size, field->table->size);
		assert_non_null(field->help);
		assert_true(strlen(field->help) > 4 && strchr(field->help, '.'));
		field->type->expect(field, expected);
		assert_true(strlen(expected) > 3);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(field->key, table->fields[j].key);
		if (field->table)
			check_table(field->table);
	}
}

static void
test_rows_fit_their_structs(void **state)
{
	(void)state;
	check_table(&manifest_table);
	check_table(&settings_table);
	check_table(&schema_key_table);
}

/* Nest `value` below the dotted `path`: "a.b" and x give "{a: {b: x}}". */
static void
nest(char *text, size_t size, const char *path, const char *value)
{
	size_t length = strcspn(path, "."), used;

	used = (size_t)snprintf(text, size, "{%.*s: ", (int)length, path);
	if (path[length])
		nest(text + used, size - used, path + length + 1, value);
	else
		snprintf(text + used, size - used, "%s", value);
	strcat(text, "}");
}

/* A list in a list, and a list of mappings: nothing accepts them, not even lists. */
static const char *const wrong_for_all[] = {"[[x]]", "[{x: y}]", "[~]"};

/* Give every key, of every depth, a value of a type that it cannot have. */
static size_t
check_wrong_types(const struct field_table *table, const char *prefix, const char *file,
		  bool (*accepts)(const char *text))
{
	size_t tried = 0;

	for (size_t i = 0; i < table->count; i++) {
		const struct field *field = &table->fields[i];
		char path[256], text[512], at[300];

		snprintf(path, sizeof(path), "%s%s%s", prefix, *prefix ? "." : "", field->key);
		for (size_t w = 0; w < 3; w++) {
			diags_fini(&diags);
			nest(text, sizeof(text), path, wrong_for_all[w]);
			if (accepts(text))
				fail_msg("%s accepted %s", path, text);
			assert_places(&diags);
			snprintf(at, sizeof(at), "%s", path);
			assert_diag(&diags, at);
			assert_diag(&diags, file);
			tried++;
		}
		if (field->type == &field_section)
			tried += check_wrong_types(field->table, path, file, accepts);
		if (field->type == &field_entries) {
			strcat(path, ".some");
			tried += check_wrong_types(field->table, path, file, accepts);
		}
	}
	return tried;
}

static bool
manifest_accepts(const char *text)
{
	struct manifest *m = parse_manifest(text, &diags);

	manifest_free(m);
	return m != NULL;
}

static bool
settings_accept(const char *text)
{
	struct settings *settings = parse_settings(text, &diags);

	settings_free(settings);
	return settings != NULL;
}

static bool
schema_accepts(const char *text)
{
	char manifest[1024];

	/* a declaration needs a type before the rest of it means anything */
	snprintf(manifest, sizeof(manifest), MINIMAL "config: {key: {%s%s}\n",
		 strstr(text, "type") ? "" : "type: list, ", text + 1);
	return manifest_accepts(manifest);
}

static void
test_every_key_refuses_wrong_types(void **state)
{
	(void)state;
	assert_true(check_wrong_types(&manifest_table, "", "plugin.yaml", manifest_accepts) > 100);
	assert_true(check_wrong_types(&settings_table, "", "plugd.yaml", settings_accept) > 60);
	assert_true(check_wrong_types(&schema_key_table, "", "plugin.yaml", schema_accepts) > 20);
}

/* One letter changed, dropped or swapped: the key that was meant is named. */
static void
check_misspellings(const struct field_table *table, const char *prefix,
		   bool (*accepts)(const char *text))
{
	for (size_t i = 0; i < table->count; i++) {
		const struct field *field = &table->fields[i];
		char key[80], path[256], text[512], hint[128];

		snprintf(path, sizeof(path), "%s%s%s", prefix, *prefix ? "." : "", field->key);
		if (field->type == &field_section)
			check_misspellings(field->table, path, accepts);
		snprintf(key, sizeof(key), "%sq", field->key);
		snprintf(path, sizeof(path), "%s%s%s", prefix, *prefix ? "." : "", key);
		nest(text, sizeof(text), path, "1");
		diags_fini(&diags);
		assert_false(accepts(text));
		snprintf(hint, sizeof(hint), "unknown key \"%s\"", key);
		assert_diag(&diags, hint);
		snprintf(hint, sizeof(hint), "did you mean \"%s\"?", field->key);
		assert_diag(&diags, hint);
	}
}

static void
test_every_key_is_suggested(void **state)
{
	(void)state;
	check_misspellings(&manifest_table, "", manifest_accepts);
	check_misspellings(&settings_table, "", settings_accept);
}

/* ---- names: the longest that fits, one byte more, and odd ends ---- */

static bool
accepts_name(const char *format, char fill, size_t length)
{
	char name[300], text[1024];

	memset(name, fill, length);
	name[length] = '\0';
	snprintf(text, sizeof(text), format, name);
	diags_fini(&diags);
	return manifest_accepts(text);
}

static void
test_lengths_of_names(void **state)
{
	static const struct {
		const char *format;
		size_t longest;
	} cases[] = {
		{"plugin: %s\nversion: 1.0.0\ntype: feature\nexec: [x]\n", 63},
		{MINIMAL "tags: [%s]\n", 63},
		{MINIMAL "methods: { %s: }\n", 63},
		{MINIMAL "config: { %s: { type: int } }\n", 63},
		{MINIMAL "requires: { plugins: [\"%s >1\"] }\n", 63},
		{MINIMAL "run: { env: { %s: x } }\n", 255},
		{MINIMAL "author: %s\n", 256},
		{"plugin: a\nversion: 1.0.0-%s\ntype: feature\nexec: [x]\n", 47},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(accepts_name(cases[i].format, 'a', 1));
		assert_true(accepts_name(cases[i].format, 'a', cases[i].longest));
		assert_false(accepts_name(cases[i].format, 'a', cases[i].longest + 1));
		assert_places(&diags);
	}
}

static void
test_odd_names(void **state)
{
	static const char *const refused[] = {"-a", "a-", "\"-\"", "a_b", "a.b", "A", "ä", "\"\""};
	static const char *const fine[] = {"a-b", "1", "0-0", "a--b"};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		snprintf(text, sizeof(text),
			 "plugin: %s\nversion: 1.0.0\ntype: feature\nexec: [x]\n", refused[i]);
		assert_false(manifest_accepts(text));
		assert_diag(&diags,
			    "plugin.yaml:1:9: error: plugin: expected a name of at most 63");
		diags_fini(&diags);
	}
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
		snprintf(text, sizeof(text),
			 "plugin: %s\nversion: 1.0.0\ntype: feature\nexec: [x]\n", fine[i]);
		assert_true(manifest_accepts(text));
	}
}

static void
test_priorities(void **state)
{
	static const struct {
		const char *text;
		int64_t value; /* -1: refused */
	} cases[] = {
		{"0", 0},          {"999", 999}, {"low", 250}, {"normal", 500}, {"high", 750},
		{"critical", 999}, {"1000", -1}, {"-1", -1},   {"5x", -1},      {"\"5\"", -1},
		{"5.0", -1},       {"+5", -1},   {"", -1},     {"High", -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[256];
		struct manifest *m;

		diags_fini(&diags);
		snprintf(text, sizeof(text), MINIMAL "priority: %s\n", cases[i].text);
		m = parse_manifest(text, &diags);
		if (!m != (cases[i].value < 0))
			fail_msg("priority: %s", cases[i].text);
		if (m)
			assert_int_equal(m->priority, cases[i].value);
		manifest_free(m);
	}
}

static void
test_words_of_numbers(void **state)
{
	(void)state;
	assert_string_equal(manifest_type_name(MANIFEST_MODEL), "model");
	assert_string_equal(manifest_type_name(MANIFEST_GATEWAY), "gateway");
	assert_string_equal(manifest_type_name(MANIFEST_TYPE_COUNT), "unknown");
	assert_string_equal(manifest_type_name(-1), "unknown");
	assert_string_equal(manifest_restart_name(RESTART_ALWAYS), "always");
	assert_string_equal(manifest_restart_name(RESTART_NEVER), "never");
	assert_string_equal(manifest_restart_name(RESTART_NEVER + 1), "unknown");
	assert_string_equal(manifest_restart_name(-1), "unknown");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_rows_fit_their_structs),
		TEST(test_every_key_refuses_wrong_types),
		TEST(test_every_key_is_suggested),
		TEST(test_lengths_of_names),
		TEST(test_odd_names),
		TEST(test_priorities),
		TEST(test_words_of_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
