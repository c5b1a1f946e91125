#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/excerpt.h"
#include "support.h"

static const char text[] = "one: 1\n"
			   "\ttwo: b\xc3\xbc"
			   "cher\n"
			   "api_key: hunter2\n"
			   "\n"
			   "last";

static char shown[4096];

static void
add(void *context, const char *line)
{
	(void)context;
	strcat(strcat(shown, line), "\n");
}

/* What is shown of one entry at this place. */
static const char *
show(unsigned line, unsigned column, bool hidden, bool holds_values)
{
	struct diags diags;

	diags_init(&diags);
	diag_error(&diags, &(struct diag_pos){"f", line, column}, "wrong");
	if (hidden)
		diag_hide(&diags);
	excerpt_keep(&diags, "f", text, sizeof(text) - 1, holds_values);
	*shown = '\0';
	excerpt_each(&diags, add, NULL);
	diags_fini(&diags);
	return shown;
}

static void
test_the_line_and_a_caret(void **state)
{
	(void)state;
	assert_string_equal(show(1, 6, false, false), "f:1:6: error: wrong\n"
						      "    1 | one: 1\n"
						      "      |      ^\n");
	assert_string_equal(show(2, 10, false, false), "f:2:10: error: wrong\n"
						       "    2 | \ttwo: b\xc3\xbc"
						       "cher\n"
						       "      | \t        ^\n");
	assert_string_equal(show(5, 5, false, false), "f:5:5: error: wrong\n"
						      "    5 | last\n"
						      "      |     ^\n");
}

static void
test_places_that_are_not_there(void **state)
{
	(void)state;
	assert_string_equal(show(0, 0, false, false), "f: error: wrong\n");
	assert_string_equal(show(9, 1, false, false), "f:9:1: error: wrong\n");
	assert_string_equal(show(4, 70, false, false), "f:4:70: error: wrong\n"
						       "    4 | \n"
						       "      | ^\n");
}

static void
test_secrets_are_not_shown(void **state)
{
	(void)state;
	assert_null(strstr(show(3, 10, false, true), "hunter2"));
	assert_null(strstr(show(3, 10, true, true), "hunter2"));
	assert_non_null(strstr(shown, "api_key:  ***"));
	assert_null(strstr(show(3, 1, true, true), "hunter2"));
	assert_non_null(strstr(shown, "api_key: ***"));
	assert_non_null(strstr(show(3, 10, false, false), "hunter2")); /* a manifest has none */
}

static void
test_a_long_line_is_cut(void **state)
{
	char line[1000];
	struct diags diags;

	(void)state;
	memset(line, 'x', sizeof(line));
	diags_init(&diags);
	diag_error(&diags, &(struct diag_pos){"f", 1, 900}, "wrong");
	diag_note(&diags, &(struct diag_pos){"f", 1, 2}, "more");
	excerpt_keep(&diags, "f", line, sizeof(line), false);
	*shown = '\0';
	excerpt_each(&diags, add, NULL);
	assert_non_null(strstr(shown, "x\xe2\x80\xa6\n"));
	assert_non_null(strstr(shown, "f:1:2: note: more\n"));
	assert_in_range(strlen(shown), 3 * EXCERPT_BYTES, 5 * EXCERPT_BYTES);
	diags_fini(&diags);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_line_and_a_caret),
		cmocka_unit_test(test_places_that_are_not_there),
		cmocka_unit_test(test_secrets_are_not_shown),
		cmocka_unit_test(test_a_long_line_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
