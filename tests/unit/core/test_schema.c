#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/schema.h"
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

static struct manifest *
with_config(const char *declaration)
{
	char text[1024];

	snprintf(text, sizeof(text), MINIMAL "config:\n  key: %s\n", declaration);
	return parse_manifest(text, &diags);
}

static void
test_defaults_become_canonical(void **state)
{
	static const struct {
		const char *declaration, *text;
	} cases[] = {
		{"{ type: bool, default: true }", "true"},
		{"{ type: int, default: -7 }", "-7"},
		{"{ type: int, min: -9223372036854775808, max: 9223372036854775807, default: "
		 "-9223372036854775808 }",
		 "-9223372036854775808"},
		{"{ type: float, default: 0.1 }", "0.1"},
		{"{ type: float, default: 1e3 }", "1000"},
		{"{ type: float, default: 0.30000000000000004 }", "0.30000000000000004"},
		{"{ type: string, default: two words }", "two words"},
		{"{ type: string, default: 12 }", "12"},
		{"{ type: string, default: \"\" }", ""},
		{"{ type: enum, values: [auto, cpu], default: cpu }", "cpu"},
		{"{ type: path, default: ./models//a/. }", "/plugins/echo/models/a"},
		{"{ type: path, default: . }", "/plugins/echo"},
		{"{ type: path, default: ../x }", "/plugins/echo/../x"},
		{"{ type: path, default: //a//b/ }", "/a/b"},
		{"{ type: path, default: / }", "/"},
		{"{ type: duration, default: 1500ms }", "1500000000"},
		{"{ type: duration, default: 3ns }", "3"},
		{"{ type: bytes, default: 64KiB }", "65536"},
		{"{ type: list, default: [a, b c, 3] }", "a, b c, 3"},
		{"{ type: list, default: [] }", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct manifest *m = with_config(cases[i].declaration);

		assert_no_diag(&diags);
		assert_true(m->config.keys[0].fallback.is_set);
		assert_string_equal(m->config.keys[0].fallback.text, cases[i].text);
		manifest_free(m);
	}
}

static void
test_bad_declarations(void **state)
{
	static const struct {
		const char *declaration, *line;
	} cases[] = {
		{"{ type: integer }", "plugin.yaml:6:16: error: config.key.type: expected one of "
				      "bool, int, float, string, enum, "
				      "path, duration, bytes, list; found \"integer\""},
		{"{ type: durations }", "did you mean \"duration\"?"},
		{"{ default: 3 }", "plugin.yaml:6:8: error: config.key: missing key \"type\""},
		{"int", "config.key: expected a mapping (key: value); found \"int\""},
		{"{ type: int, defualt: 3 }",
		 "unknown key \"defualt\" in config.key; did you mean \"default\"?"},
		{"{ type: int, default: three }", "plugin.yaml:6:30: error: config.key.default: "
						  "expected a whole number; found \"three\""},
		{"{ type: int, max: 4, default: 5 }",
		 "expected a whole number, at most 4; found \"5\""},
		{"{ type: int, min: 6, default: 5 }",
		 "expected a whole number, at least 6; found \"5\""},
		{"{ type: int, min: 0, max: 0, default: 1 }",
		 "expected a whole number from 0 to 0"},
		{"{ type: int, min: 5, max: 4 }",
		 "plugin.yaml:6:34: error: config.key: min is greater"},
		{"{ type: int, min: 1s }", "config.key.min: expected a whole number; found \"1s\""},
		{"{ type: float, min: 2, default: 1.5 }",
		 "expected a number, at least 2; found \"1.5\""},
		{"{ type: float, min: 2, max: 1 }", "min is greater than max"},
		{"{ type: float, default: inf }", "expected a number; found \"inf\""},
		{"{ type: float, default: 1e999 }", "expected a number; found \"1e999\""},
		{"{ type: float, default: 0x10 }", "expected a number; found \"0x10\""},
		{"{ type: bool, min: 1 }", "min and max do not go with type bool"},
		{"{ type: path, max: 1 }", "min and max do not go with type path"},
		{"{ type: enum, values: [a], min: 1 }", "min and max do not go with type enum"},
		{"{ type: duration, min: 5 }", "config.key.min: expected a duration"},
		{"{ type: duration, max: 1m, default: 61s }", "expected a duration from 0s to 1m"},
		{"{ type: bytes, min: 4KiB, default: 4095 }", "expected a size, at least 4KiB"},
		{"{ type: string, max: 3, default: four }",
		 "text of at most 3 bytes; found \"four\" (4 "
		 "bytes)"},
		{"{ type: string, min: 1, default: \"\" }", "expected non-empty text"},
		{"{ type: string, min: -1 }",
		 "config.key.min: expected a whole number, at least 0"},
		{"{ type: list, max: 1, default: [a, b] }",
		 "0 to 1 entries; found a list (with 2 entries)"},
		{"{ type: list, default: a }", "expected a list of text; found \"a\""},
		{"{ type: enum }", "an enum needs values"},
		{"{ type: enum, values: [] }", "values: expected a list of text, 1 to 256 entries"},
		{"{ type: enum, values: [a, b, a] }", "\"a\" is listed twice"},
		{"{ type: enum, values: [cpu, cuda], default: cda }",
		 "expected one of cpu, cuda; found \"cda\"; did you mean \"cuda\"?"},
		{"{ type: int, values: [1, 2] }", "values go with type enum only"},
		{"{ type: int, required: true, default: 1 }",
		 "a key with a default is never missing"},
		{"{ type: int, required: 1 }", "config.key.required: expected true or false"},
		{"{ type: int, default: }",
		 "config.key.default: expected a value of the key's type"},
		{"{ type: string, secret: true, max: 3, default: hunter2 }",
		 "config.key.default: expected text of at most 3 bytes; found *** (it is secret)"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		diags_fini(&diags);
		if (with_config(cases[i].declaration))
			fail_msg("accepted: %s", cases[i].declaration);
		assert_places(&diags);
		assert_diag(&diags, cases[i].line);
	}
}

static void
test_bad_key_names(void **state)
{
	static const char *const names[] = {"Key", "1key", "_key", "a b", "a.b", "ä", "-a"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char text[256];

		diags_fini(&diags);
		snprintf(text, sizeof(text), MINIMAL "config: { \"%s\": { type: int } }\n",
			 names[i]);
		assert_null(parse_manifest(text, &diags));
		assert_diag(&diags,
			    "plugin.yaml:5:11: error: config: expected a key of at most 63 a-z");
	}
	diags_fini(&diags);
	assert_null(parse_manifest(MINIMAL "config: { a-b: { type: int }, a_b: { type: int } }\n",
				   &diags));
	assert_diag(&diags, "\"a-b\" and \"a_b\" have the same environment variable");
}

static void
test_too_many_keys(void **state)
{
	char *text = malloc(65536), *at = text;

	(void)state;
	at += sprintf(at, MINIMAL "config:\n");
	for (int i = 0; i <= SCHEMA_KEYS; i++)
		at += sprintf(at, "  k%d: { type: int }\n", i);
	assert_null(parse_manifest(text, &diags));
	assert_diag(&diags, "config: 257 keys; expected at most 256");
	free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_defaults_become_canonical),
		TEST(test_bad_declarations),
		TEST(test_bad_key_names),
		TEST(test_too_many_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
