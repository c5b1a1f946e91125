/* The rows of plugctl top: order, filter, cells; templates of plugctl new. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "template.h"
#include "top.h"

static struct top_row rows[] = {
	{.name = "a",
	 .type = "model",
	 .state = "ready",
	 .pid = 30,
	 .cpu = 0.5,
	 .calls = 10,
	 .rss_bytes = 100,
	 .p99_ns = 5000,
	 .restarts = 1},
	{.name = "b",
	 .type = "device",
	 .state = "failed",
	 .pid = 0,
	 .cpu = 0.5,
	 .calls = 30,
	 .rss_bytes = 300,
	 .p99_ns = 0,
	 .restarts = 0},
	{.name = "c",
	 .type = "model",
	 .state = "ready",
	 .pid = 10,
	 .cpu = 0.9,
	 .calls = 20,
	 .rss_bytes = 200,
	 .p99_ns = 9000,
	 .restarts = 7},
};
static const struct top_look look = {.rows = rows, .count = 3};

/* The names in their order, as one word. */
static const char *
order(enum top_column sort, bool reversed, const char *filter, char buffer[8])
{
	struct top_view view = {.sort = sort, .reversed = reversed};
	const struct top_row **selected;
	size_t count;

	snprintf(view.filter, sizeof(view.filter), "%s", filter);
	selected = top_select(&look, &view, &count);
	assert_non_null(selected);
	*buffer = '\0';
	for (size_t i = 0; i < count; i++)
		strcat(buffer, selected[i]->name);
	free(selected);
	return buffer;
}

static void
test_order(void **state)
{
	static const struct {
		enum top_column sort;
		const char *plain, *reversed;
	} cases[] = {
		{TOP_NAME, "abc", "cba"},    {TOP_TYPE, "bac", "acb"}, {TOP_STATE, "bac", "acb"},
		{TOP_PID, "bca", "acb"},     {TOP_CPU, "cab", "abc"},  {TOP_MEMORY, "bca", "acb"},
		{TOP_CALLS, "bca", "acb"},   {TOP_P99, "cab", "bac"},  {TOP_RESTARTS, "cab", "bac"},
		{TOP_WAITING, "abc", "abc"},
	};
	char text[8];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_string_equal(order(cases[i].sort, false, "", text), cases[i].plain);
		assert_string_equal(order(cases[i].sort, true, "", text), cases[i].reversed);
	}
}

static void
test_filter(void **state)
{
	char text[8];

	(void)state;
	assert_string_equal(order(TOP_NAME, false, "MODEL", text), "ac");
	assert_string_equal(order(TOP_NAME, false, "fail", text), "b");
	assert_string_equal(order(TOP_NAME, false, "nothing", text), "");
}

static void
test_cells(void **state)
{
	const struct top_row row = {.name = "x\033[2J",
				    .state = "ready",
				    .pid = 7,
				    .ready = 1,
				    .instances = 2,
				    .cpu = 1.234,
				    .calls = 12.34,
				    .p99_ns = 1500000};
	const struct top_row idle = {.name = "i"};
	char cell[TOP_CELL_BYTES];

	(void)state;
	assert_string_equal(top_cell(&row, TOP_NAME, cell), "x\\x1b[2J");
	assert_string_equal(top_cell(&row, TOP_CPU, cell), "123.4");
	assert_string_equal(top_cell(&row, TOP_CALLS, cell), "12.3");
	assert_string_equal(top_cell(&row, TOP_INSTANCES, cell), "1/2");
	assert_string_equal(top_cell(&row, TOP_P99, cell), "1.50ms");
	assert_string_equal(top_cell(&idle, TOP_PID, cell), "-");
	assert_string_equal(top_cell(&idle, TOP_P99, cell), "-");
	assert_string_equal(top_cell(&idle, TOP_CALLS, cell), "0");
}

/* ---- templates ---- */

static char *
written(const char *text, const struct template_value *values)
{
	char *out = NULL;
	size_t size;
	FILE *to = open_memstream(&out, &size);

	template_write(to, text, values);
	fclose(to);
	return out;
}

static void
test_placeholders(void **state)
{
	const struct template_value values[] = {
		{"NAME", "echo"}, {"EXEC", "[build/@NAME@]"}, {"EMPTY", ""}, {NULL}};
	static const struct {
		const char *text, *wanted;
	} cases[] = {
		{"a @NAME@ b", "a echo b"},
		{"@EXEC@", "[build/echo]"},
		{"@EMPTY@x", "x"},
		{"$@ and a@b @ @OTHER@", "$@ and a@b @ @OTHER@"},
		{"@NAME@@NAME@", "echoecho"},
		{"@NAME", "@NAME"},
		{"", ""},
		{"@", "@"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *text = written(cases[i].text, values);

		assert_string_equal(text, cases[i].wanted);
		free(text);
	}
}

static void
test_every_type_has_its_files(void **state)
{
	static const char *const types[] = {"model",        "device",  "interface", "provider",
					    "optimization", "feature", "memory",    "gateway"};
	static const char *const files[] = {"plugin.yaml", "main.c", "main.py", "calls.sh",
					    "about.md"};

	(void)state;
	for (size_t t = 0; t < sizeof(types) / sizeof(*types); t++) {
		for (size_t f = 0; f < sizeof(files) / sizeof(*files); f++) {
			const struct template *found = template_find(types[t], files[f]);

			if (!found)
				fail_msg("%s has no %s", types[t], files[f]);
			assert_int_equal(strlen(found->text), found->size);
		}
	}
	assert_null(template_find("model", "main.rs"));
}

static void
test_base64(void **state)
{
	char *text = template_base64("plugd\0!", 7);

	(void)state;
	assert_string_equal(text, "cGx1Z2QAIQ==\n");
	free(text);
	text = template_base64("x", 0);
	assert_string_equal(text, "");
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),  cmocka_unit_test(test_filter),
		cmocka_unit_test(test_cells),  cmocka_unit_test(test_placeholders),
		cmocka_unit_test(test_base64), cmocka_unit_test(test_every_type_has_its_files),
	};

	return cmocka_run_group_tests_name("plugctl_top", tests, NULL, NULL);
}
