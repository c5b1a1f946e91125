/* Tables, replies and text, as a file and as a terminal see them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "capture.h"
#include "reply.h"
#include "table.h"

static void
expect(void (*fn)(void *), void *arg, unsigned columns, const char *expected)
{
	char *text = capture(fn, arg, columns, NULL);

	assert_string_equal(text, expected);
	free(text);
}

/* ---- tables ---- */

static void
print_table(void *arg)
{
	static const char *const heads[] = {"NAME", ">SIZE", "NOTE", "REASON", NULL};
	struct table *table = table_new(heads);
	const char *reason = arg;

	table_cell(table, OUT_PLAIN, "a");
	table_cell(table, OUT_PLAIN, "%d", 1);
	table_cell(table, OUT_PLAIN, "%s", "");
	table_cell(table, OUT_PLAIN, "%s", reason);
	table_row(table);
	table_cell(table, OUT_GREEN, "längster");
	table_cell(table, OUT_PLAIN, "%d", 1000000);
	table_cell(table, OUT_PLAIN, "%s", "");
	table_cell(table, OUT_PLAIN, "%s", "short");
	table_row(table);
	table_print(table);
	table_free(table);
}

static void
test_table_in_a_file(void **state)
{
	(void)state;
	expect(print_table, (void *)"it was stopped by an operator and stays so", 0,
	       "NAME         SIZE  REASON\n"
	       "a               1  it was stopped by an operator and stays so\n"
	       "längster  1000000  short\n");
}

static void
test_table_on_a_terminal(void **state)
{
	(void)state;
	setenv("TERM", "xterm", 1);
	unsetenv("NO_COLOR");
	expect(print_table, (void *)"it was stopped by an operator and stays so", 40,
	       "\033[1mNAME\033[0m         \033[1mSIZE\033[0m  \033[1mREASON\033[0m\n"
	       "a               1  it was stopped by an…\n"
	       "\033[32mlängster\033[0m  1000000  short\n");
	setenv("NO_COLOR", "1", 1);
	expect(print_table, (void *)"x\033[2Jy\nz", 40,
	       "NAME         SIZE  REASON\n"
	       "a               1  x\\x1b[2Jy\\x0az\n"
	       "längster  1000000  short\n");
	unsetenv("NO_COLOR");
}

static void
print_no_rows(void *arg)
{
	static const char *const heads[] = {"A", ">B", NULL};
	struct table *table = table_new(heads);

	(void)arg;
	table_print(table);
	table_free(table);
}

static void
print_many_rows(void *arg)
{
	static const char *const heads[] = {"A", NULL};
	struct table *table = table_new(heads);

	(void)arg;
	for (int i = 0; i < 1000; i++) {
		table_cell(table, OUT_PLAIN, "%d", i);
		table_cell(table, OUT_PLAIN, "one cell too many");
		table_row(table);
	}
	table_print(table);
	table_free(table);
}

static void
test_small_and_large_tables(void **state)
{
	char *text;
	size_t size;

	(void)state;
	expect(print_no_rows, NULL, 0, "A  B\n");
	text = capture(print_many_rows, NULL, 0, &size);
	assert_int_equal(size, 2 + 10 * 2 + 90 * 3 + 900 * 4);
	free(text);
}

/* ---- text that came from a plugin ---- */

static void
print_line(void *arg)
{
	out_line(arg);
}

static void
test_a_plugin_cannot_drive_the_terminal(void **state)
{
	char hostile[] = "a\033]0;title\007b\x7f\xc2\x9b"
			 "c\xff\xc3\tok ü\r\n";

	(void)state;
	expect(print_line, hostile, 80,
	       "a\\x1b]0;title\\x07b\\x7f\\xc2\\x9bc\\xff\\xc3\tok ü\\x0d\n\n");
	expect(print_line, hostile, 0,
	       "a\033]0;title\007b\x7f\xc2\x9b"
	       "c\xff\xc3\tok ü\r\n\n");
}

static void
print_field(void *arg)
{
	out_field("key", "%s", (const char *)arg);
	out_field("", "more");
}

static void
test_fields_align(void **state)
{
	(void)state;
	expect(print_field, (void *)"one\ntwo", 0,
	       "  key            one\n"
	       "                 two\n"
	       "                 more\n");
}

static void
print_json_text(void *arg)
{
	out_json(json_pack("{s:o}", "t", out_json_text(arg)));
}

static void
test_json_text_of_any_bytes(void **state)
{
	(void)state;
	expect(print_json_text, (void *)"a\xff\xfe ü\xc3", 0,
	       "{\"t\":\"a\xef\xbf\xbd\xef\xbf\xbd ü\xef\xbf\xbd\"}\n");
}

/* ---- replies ---- */

struct scene {
	bool json, raw;
	const char *pieces[4]; /* JSON */
	const char *result;
	const char *type; /* of the result */
	size_t size;      /* of the result; 0: its length */
};

static void
play(void *arg)
{
	const struct scene *scene = arg;
	struct reply_printer printer = {.json = scene->json, .raw = scene->raw};
	struct plug_payload result = {scene->result,
				      scene->size ? scene->size : strlen(scene->result),
				      scene->type ? scene->type : "application/json"};

	for (size_t i = 0; scene->pieces[i]; i++) {
		struct plug_payload piece = {scene->pieces[i], strlen(scene->pieces[i]),
					     "application/json"};

		reply_print_piece(&printer, &piece);
	}
	reply_print_result(&printer, &result);
	reply_printer_fini(&printer);
}

static const struct {
	const char *label;
	struct scene scene;
	unsigned columns;
	const char *expected;
} scenes[] = {
	{"an object is indented", {.result = "{\"a\":[1]}"}, 0, "{\n  \"a\": [\n    1\n  ]\n}\n"},
	{"--json: one document, compact", {.json = true, .result = "{\"a\": 1}"}, 0, "{\"a\":1}\n"},
	{"--raw: the bytes", {.raw = true, .result = "{\"a\": 1}"}, 0, "{\"a\": 1}"},
	{"a string", {.result = "\"x\""}, 0, "\"x\"\n"},
	{"nothing", {.result = ""}, 0, ""},
	{"--json: nothing is null", {.json = true, .result = ""}, 0, "null\n"},
	{"text", {.result = "hello", .type = "text/plain"}, 0, "hello\n"},
	{"text with its own newline", {.result = "hello\n", .type = "text/plain"}, 0, "hello\n"},
	{"bytes go to a file",
	 {.result = "\x01\xff", .type = "application/octet-stream"},
	 0,
	 "\x01\xff"},
	{"bytes do not go to a terminal",
	 {.result = "\x01\xff", .type = "application/octet-stream"},
	 80,
	 ""},
	{"clean text without a type", {.result = "hello", .type = ""}, 80, "hello\n"},
	{"--json: text",
	 {.json = true, .result = "hi", .type = "text/plain"},
	 0,
	 "{\"content_type\":\"text/plain\",\"text\":\"hi\"}\n"},
	{"--json: bytes",
	 {.json = true, .result = "\xff\x00\x01\x02", .size = 4, .type = "image/png"},
	 0,
	 "{\"content_type\":\"image/png\",\"base64\":\"/wABAg==\"}\n"},
	{"JSON that is none", {.result = "{oops"}, 0, "{oops\n"},
	{"text pieces run on",
	 {.pieces = {"{\"text\":\"one \"}", "{\"text\":\"two\"}"}, .result = "{\"n\":2}"},
	 0,
	 "one two\n{\n  \"n\": 2\n}\n"},
	{"text that was printed is not repeated",
	 {.pieces = {"{\"text\":\"one \"}", "{\"text\":\"two\"}"},
	  .result = "{\"text\":\"one two\",\"n\":2}"},
	 0,
	 "one two\n{\n  \"n\": 2\n}\n"},
	{"other text is kept",
	 {.pieces = {"{\"text\":\"one\"}"}, .result = "{\"text\":\"One.\"}"},
	 0,
	 "one\n{\n  \"text\": \"One.\"\n}\n"},
	{"nothing new to say",
	 {.pieces = {"{\"text\":\"one\"}"}, .result = "{\"text\":\"one\"}"},
	 0,
	 "one\n"},
	{"other pieces, a line each",
	 {.pieces = {"{\"piece\": 0}", "{\"piece\": 1}"}, .result = ""},
	 0,
	 "{\"piece\":0}\n{\"piece\":1}\n"},
	{"text, then another piece",
	 {.pieces = {"{\"text\":\"a\"}", "{\"p\":1}"}, .result = ""},
	 0,
	 "a\n{\"p\":1}\n"},
	{"--json: a line each",
	 {.json = true, .pieces = {"{\"text\": \"a\"}", "{\"p\": 1}"}, .result = "{\"n\": 2}"},
	 0,
	 "{\"text\":\"a\"}\n{\"p\":1}\n{\"n\":2}\n"},
	{"--raw: pieces as they are",
	 {.raw = true, .pieces = {"{\"text\": \"a\"}"}, .result = "x"},
	 0,
	 "{\"text\": \"a\"}x"},
	{"a piece cannot drive the terminal",
	 {.pieces = {"{\"text\":\"a\\u001b[2J\\n\"}"}, .result = ""},
	 80,
	 "a\\x1b[2J\n"},
};

static void
test_replies(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(scenes) / sizeof(*scenes); i++) {
		char *text = capture(play, (void *)&scenes[i].scene, scenes[i].columns, NULL);

		if (strcmp(text, scenes[i].expected) != 0)
			fail_msg("%s: got <%s>, expected <%s>", scenes[i].label, text,
				 scenes[i].expected);
		free(text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_in_a_file),
		cmocka_unit_test(test_table_on_a_terminal),
		cmocka_unit_test(test_small_and_large_tables),
		cmocka_unit_test(test_a_plugin_cannot_drive_the_terminal),
		cmocka_unit_test(test_fields_align),
		cmocka_unit_test(test_json_text_of_any_bytes),
		cmocka_unit_test(test_replies),
	};

	return cmocka_run_group_tests_name("plugctl_output", tests, NULL, NULL);
}
