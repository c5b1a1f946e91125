#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

static void
test_format(void **state)
{
	static const struct {
		struct diag diag;
		const char *text;
	} cases[] = {
		{{DIAG_ERROR, {"a/plugin.yaml", 12, 5}, "bad", NULL},
		 "a/plugin.yaml:12:5: error: bad"},
		{{DIAG_WARNING, {"x", 1, 1}, "odd", NULL}, "x:1:1: warning: odd"},
		{{DIAG_ERROR, {"--set", 0, 0}, "bad", NULL}, "--set: error: bad"},
		{{DIAG_ERROR, {"f", 1, 1}, "a\x1b[2Jb\nc", NULL}, "f:1:1: error: a?[2Jb?c"},
	};
	char line[DIAG_LINE_BYTES], tiny[9];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		diag_format(&cases[i].diag, line, sizeof(line));
		assert_string_equal(line, cases[i].text);
	}
	diag_format(&cases[0].diag, tiny, sizeof(tiny));
	assert_string_equal(tiny, "a/plugin");
}

static void
test_list_outlives_what_it_is_about(void **state)
{
	char *file = strdup("gone.yaml");
	struct diags diags;

	(void)state;
	diags_init(&diags);
	diag_error(&diags, &(struct diag_pos){file, 1, 2}, "first");
	diag_error(&diags, &(struct diag_pos){file, 3, 4}, "second");
	free(file);
	assert_diag(&diags, "gone.yaml:1:2: error: first\ngone.yaml:3:4: error: second\n");
	diags_fini(&diags);
	assert_int_equal(diags.errors, 0);
	assert_null(diags.first);
}

static void
test_list_is_bounded_and_counts_on(void **state)
{
	struct diags diags;

	(void)state;
	diags_init(&diags);
	for (int i = 0; i < 5000; i++)
		diag_error(&diags, &(struct diag_pos){"f", 1, 1}, "number %d", i);
	diag_warning(&diags, &(struct diag_pos){"f", 1, 1}, "and this");
	assert_int_equal(diags.kept, DIAG_KEPT);
	assert_int_equal(diags.errors, 5000);
	assert_int_equal(diags.warnings, 1);
	assert_diag(&diags, "number 99\nand 4901 more\n");
	diags_fini(&diags);
}

static void
test_long_messages_are_cut(void **state)
{
	struct diags diags;
	char line[DIAG_LINE_BYTES];

	(void)state;
	diags_init(&diags);
	diag_error(&diags, &(struct diag_pos){"f", 1, 1}, "%100000d", 1);
	diag_format(diags.first, line, sizeof(line));
	assert_int_equal(strlen(line), DIAG_LINE_BYTES - 1);
	diags_fini(&diags);
}

/* What `--set` was given is no text, or a name was cut in the middle of a character. */
static void
test_lines_are_utf8(void **state)
{
	struct diags diags;
	char line[64];

	(void)state;
	diags_init(&diags);
	diag_error(&diags, &(struct diag_pos){"f", 1, 1}, "\xff\xc3\xa4 \"%.4s\"",
		   "\xc3\xa4\xe2\x82\xac");
	diag_format(diags.first, line, sizeof(line));
	assert_string_equal(line, "f:1:1: error: ?\xc3\xa4 \"\xc3\xa4??\"");
	diag_format(diags.first, line, 17);
	assert_string_equal(line, "f:1:1: error: ??");
	diags_fini(&diags);
}

/* Nothing is accepted because the memory for its refusal was missing. */
static void
test_without_memory_errors_still_count(void **state)
{
	(void)state;
	for (size_t cap = 0; cap < 4000; cap += 50) {
		struct diags diags;

		diags_init(&diags);
		arena_init(&diags.arena, cap);
		for (int i = 0; i < 20; i++)
			diag_error(&diags, &(struct diag_pos){"file", 1, 1}, "message %d", i);
		assert_int_equal(diags.errors, 20);
		free(diags_text(&diags));
		diags_fini(&diags);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_list_outlives_what_it_is_about),
		cmocka_unit_test(test_list_is_bounded_and_counts_on),
		cmocka_unit_test(test_long_messages_are_cut),
		cmocka_unit_test(test_lines_are_utf8),
		cmocka_unit_test(test_without_memory_errors_still_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
