#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "support.h"

static struct arena arena;
static struct diags diags;

static int
setup(void **state)
{
	(void)state;
	arena_init(&arena, YAML_ARENA_BYTES);
	diags_init(&diags);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	diags_fini(&diags);
	return 0;
}

static const struct yaml_node *
parse(const char *text)
{
	struct yaml_source source = text_source("f.yaml", text);

	return yaml_parse(&source, &arena, &diags);
}

static void
test_tree_and_places(void **state)
{
	const struct yaml_node *root, *node;

	(void)state;
	root = parse("# comment\nname: gpt2\nlist:\n  - \"1\"\n  - 2\nä€: { x: 'y', z: }\nblock: "
		     "|\n  two\n  lines\n");
	assert_no_diag(&diags);
	assert_int_equal(root->kind, YAML_MAP);
	assert_int_equal(root->count, 4);
	node = yaml_get(root, "name");
	assert_string_equal(node->text, "gpt2");
	assert_false(node->quoted);
	assert_int_equal(node->key_line, 2);
	assert_int_equal(node->key_column, 1);
	assert_int_equal(node->line, 2);
	assert_int_equal(node->column, 7);
	node = yaml_get(root, "list");
	assert_int_equal(node->kind, YAML_LIST);
	assert_int_equal(node->count, 2);
	assert_string_equal(node->first->text, "1");
	assert_true(node->first->quoted);
	assert_int_equal(node->first->line, 4);
	assert_int_equal(node->first->column, 5);
	assert_false(node->first->next->quoted);
	assert_null(node->first->next->next);
	node = yaml_get(root, "ä€");
	assert_int_equal(node->kind, YAML_MAP);
	assert_int_equal(node->column, 5); /* in characters, not bytes */
	assert_string_equal(yaml_get(node, "x")->text, "y");
	assert_int_equal(yaml_get(node, "z")->kind, YAML_NULL);
	assert_int_equal(yaml_get(node, "z")->key_line, 6);
	node = yaml_get(root, "block");
	assert_string_equal(node->text, "two\nlines\n");
	assert_true(node->quoted);
	assert_null(yaml_get(root, "nothing"));
	assert_null(yaml_get(node, "nothing"));
}

static void
test_nothing_is_null(void **state)
{
	static const char *const texts[] = {"",  "\n\n",   "# only a comment\n", "---\n",
					    "~", "null\n", "\xef\xbb\xbf"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const struct yaml_node *root = parse(texts[i]);

		assert_no_diag(&diags);
		assert_int_equal(root->kind, YAML_NULL);
		assert_true(root->line >= 1 && root->column >= 1);
	}
	assert_int_equal(parse("a: \"\"\n")->first->kind, YAML_SCALAR);
	assert_int_equal(parse("a: 'null'\n")->first->kind, YAML_SCALAR);
	assert_string_equal(parse("a: ''''\n")->first->text, "'");
	assert_string_equal(parse("a: \"x''''y\"\n")->first->text, "x''''y");
	assert_string_equal(parse("a: x''''y\n")->first->text, "x''''y");
}

static void
test_refused(void **state)
{
	static const struct {
		const char *text, *line;
	} cases[] = {
		{"a: b\n\xff", "f.yaml:2:1: error: byte 0xff is not valid UTF-8"},
		{"%a\xcd", "f.yaml:1:1: error: a line cannot begin with %"},
		{"a: 1\nb: 2\na: 3\n",
		 "f.yaml:3:1: error: key \"a\" again; it is already at line 1"},
		{"a: {b: 1, b: 2}\n", "f.yaml:1:11: error: key \"b\" again"},
		{"a: &x 1\n", ": error: anchors (&name) are not used here"},
		{"a: &x [1]\n", ": error: anchors (&name) are not used here"},
		{"b: *x\n", "f.yaml:1:5: error: aliases (*name) are not used here"},
		{"a: !!int 3\n", ": error: tags (!name) are not used here"},
		{"a: !x {b: c}\n", ": error: tags (!name) are not used here"},
		{"a: 1\n---\nb: 1\n", "f.yaml:2:1: error: a second document begins here"},
		{"a: 1\n...\n---\nb: 1\n", ": error: a second document begins here"},
		{"? [a, b]\n: 1\n", ": error: a key must be plain text, not a list or a mapping"},
		{"? {a: b}\n: 1\n", ": error: a key must be plain text"},
		{": 1\n", ": error: a key is missing before the \":\""},
		{"{a: 1, : 2}\n", ": error: a key is missing"},
		{"\"\": 1\n", ": error: a key is missing"},
		{"a: [b, c\nd: e\n", ": error: not valid YAML: "},
		{"a: b: c\n", "f.yaml:1:5: error: not valid YAML: "},
		{"a: b\n c: d\n", "f.yaml:1:4: error: not valid YAML: "},
		{"a: \"b\n", ": error: not valid YAML: double-quoted scalar without closing quote"},
		{"- a\nb: 1\n", "f.yaml:2:1: error: not valid YAML: "},
		{"a: b\n- c\n", "f.yaml:2:1: error: not valid YAML: "},
		{"a:\n\t- b\n", ": error: not valid YAML: "},
		{"a: \"\\0\"\n", "f.yaml:1:4: error: an escape in this text"},
		{"a: \"\\x1b\"\n", "f.yaml:1:4: error: an escape in this text"},
		{"a: 'x''''y'\n", "f.yaml:1:4: error: '''' in a text in single quotes"},
		{"\xc3\xa4: 'x''''y'\n", "f.yaml:1:4: error: '''' in a text in single quotes"},
		{"'x''''y': a\n", "f.yaml:1:1: error: '''' in a text in single quotes"},
		{"a: [[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]\n",
		 ": error: nested deeper than 16 levels"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		diags_fini(&diags);
		if (parse(cases[i].text))
			fail_msg("accepted: %s", cases[i].text);
		assert_int_equal(diags.errors, 1);
		assert_places(&diags);
		assert_diag(&diags, cases[i].line);
	}
}

static char *
repeat(const char *head, const char *unit, size_t bytes)
{
	char *text = malloc(bytes + 1), *at = text + strlen(head);
	size_t length = strlen(unit);

	assert_non_null(text);
	strcpy(text, head);
	while (at + length <= text + bytes)
		at = stpcpy(at, unit);
	*at = '\0';
	return text;
}

static double
cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double
seconds_to_parse(const char *text)
{
	double start = cpu_seconds();

	arena_fini(&arena);
	diags_fini(&diags);
	parse(text);
	return cpu_seconds() - start;
}

/* Of a text of as many bytes in which nothing is odd, the slower of two. */
static double
ordinary_seconds(void)
{
	static const char line[] =
		"  - { name: \"a text of some length in which nothing is odd\", size: 12 }\n";
	char *text = repeat("a:\n", line, YAML_BYTES);
	double once = seconds_to_parse(text), again = seconds_to_parse(text);

	assert_int_equal(diags.errors, 0);
	free(text);
	return once > again ? once : again;
}

/*
 * Each of these takes libfyaml alone from seconds to for ever, or is there to use up memory.  Here
 * each takes no more of this thread's own time than some ordinary texts of its size.
 */
#define ORDINARY_TEXTS 40 /* 14 with a sanitizer, 6 without */

static void
test_hostile_texts_end_soon(void **state)
{
	static const char *const texts[][2] = {
		{"a: |\n", " \n"}, {"a: |\n", "\n\n"}, {"a: >\n", "\r\n"}, {"", "%a"},
		{"a: |\n", "%a"},  {"", "["},          {"", "{"},          {"a: ", "["},
		{"", "- "},        {"", "? "},         {"", "{a: "},       {"\"", "\\n"},
		{"a: '", "''"},    {"", ": "},         {"", "&a "},        {"", "!"},
		{"a: [", "1,"},    {"", "---\n"},      {"", "-\n"},        {"a: >\n  x\n", " \n"},
		{"a: \"", "\n"},   {"a: [", "\n"},     {"", "#"},          {"a: \"", " \n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char *text = repeat(texts[i][0], texts[i][1], YAML_BYTES);
		double ordinary = ordinary_seconds(), seconds = seconds_to_parse(text);

		if (seconds > ORDINARY_TEXTS * ordinary)
			fail_msg("%s%s… took %.3f s, an ordinary text %.3f", texts[i][0],
				 texts[i][1], seconds, ordinary);
		assert_false(arena.failed);
		free(text);
	}
}

static void
test_limits(void **state)
{
	char *text = repeat("", "#", YAML_BYTES + 1);

	(void)state;
	assert_null(parse(text));
	assert_diag(&diags,
		    "f.yaml:1:1: error: the file has 262145 bytes; expected at most 262144");
	free(text);
	diags_fini(&diags);
	text = repeat("", "- a\n", 4 * (YAML_NODES + 1));
	assert_null(parse(text));
	assert_diag(&diags, "more than 20000 values; expected no more in one file");
	free(text);
}

static void
test_many_keys(void **state)
{
	char *text = malloc(YAML_BYTES), *at = text;

	(void)state;
	for (int i = 0; i < YAML_ENTRIES; i++)
		at += sprintf(at, "k%d: 1\n", i);
	assert_non_null(parse(text));
	sprintf(at, "one: more\n");
	assert_null(parse(text));
	assert_diag(&diags,
		    "f.yaml:4097:1: error: more than 4096 keys; expected no more in one mapping");
	free(text);
}

static void
test_found(void **state)
{
	static const struct {
		struct yaml_node node;
		const char *text;
	} cases[] = {
		{{.kind = YAML_NULL}, "nothing"},
		{{.kind = YAML_LIST}, "a list"},
		{{.kind = YAML_MAP}, "a mapping"},
		{{.kind = YAML_SCALAR, .text = "x"}, "\"x\""},
		{{.kind = YAML_SCALAR, .text = "ääääääääääääääääääääääääääääääääääää"},
		 "\"ääääääääääääääääääääääää…\""},
	};
	char found[YAML_FOUND_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		yaml_found(&cases[i].node, found);
		assert_string_equal(found, cases[i].text);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_tree_and_places), TEST(test_nothing_is_null),
		TEST(test_refused),         TEST(test_hostile_texts_end_soon),
		TEST(test_limits),          TEST(test_many_keys),
		TEST(test_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
