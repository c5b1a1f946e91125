/* The command line, against the real verb table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "args.h"
#include "verb.h"

#define WORDS_MAX 80

struct line {
	char *argv[WORDS_MAX];
	int argc;
	char text[2048];
	struct args args;
	char why[256];
	bool parsed;
};

/* Words parted by single spaces. */
static void
parse(struct line *line, const char *text)
{
	char *word, *rest;

	memset(line, 0, sizeof(*line));
	snprintf(line->text, sizeof(line->text), "plugctl%s%s", *text ? " " : "", text);
	for (word = strtok_r(line->text, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		line->argv[line->argc++] = word;
	line->parsed =
		args_parse(line->argc, line->argv, &line->args, line->why, sizeof(line->why));
}

static void
test_nothing(void **state)
{
	struct line line;

	(void)state;
	parse(&line, "");
	assert_true(line.parsed);
	assert_null(line.args.verb);
	assert_int_equal(line.args.word_count, 0);
}

static void
test_options_anywhere(void **state)
{
	static const char *const lines[] = {
		"--json -d /x logs echo -n 5 -f",
		"logs --json -d /x echo -n5 -f",
		"logs echo -f -n 5 -j -d /x",
		"-jd /x logs echo -fn 5",
		"logs --runtime-dir=/x echo --lines=5 --follow --json",
	};
	struct line line;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		parse(&line, lines[i]);
		if (!line.parsed)
			fail_msg("%s: %s", lines[i], line.why);
		assert_ptr_equal(line.args.verb, verb_named("logs"));
		assert_int_equal(line.args.word_count, 1);
		assert_string_equal(line.args.words[0], "echo");
		assert_true(args_flag(&line.args, "json"));
		assert_true(args_flag(&line.args, "follow"));
		assert_int_equal(args_number(&line.args, "lines", 0), 5);
		assert_string_equal(args_text(&line.args, "runtime-dir", ""), "/x");
		assert_false(args_flag(&line.args, "no-color"));
	}
}

static void
test_words_that_look_like_options(void **state)
{
	struct line line;

	(void)state;
	parse(&line, "call echo echo -");
	assert_true(line.parsed);
	assert_string_equal(line.args.words[2], "-");
	parse(&line, "call echo echo -- -5 --json");
	assert_true(line.parsed);
	assert_int_equal(line.args.word_count, 4);
	assert_string_equal(line.args.words[2], "-5");
	assert_string_equal(line.args.words[3], "--json");
	assert_false(args_flag(&line.args, "json"));
	parse(&line, "start echo --set a=b --set=c=d");
	assert_true(line.parsed);
	assert_int_equal(line.args.given_count, 2);
	assert_string_equal(line.args.given[1].text, "c=d");
}

static const struct {
	const char *line, *why;
} refused[] = {
	{"list --jsn", "there is no option --jsn; did you mean --json?"},
	{"list --tpye x", "did you mean --type?"},
	{"list -x", "there is no option -x"},
	{"--follow logs echo", "there is no option --follow"},
	{"list --json=1", "--json takes no value"},
	{"list --type", "--type needs a value: --type TYPE"},
	{"logs echo -n", "--lines needs a value"},
	{"logs echo -n many", "\"many\" is not a number"},
	{"logs echo -n -5", "\"-5\" is not a number"},
	{"logs echo -n 99999999999", "is not a number"},
	{"list --timeout soon", "is not a duration"},
	{"list --timeout 0", "is not a duration"},
	{"list --timeout -3", "is not a duration"},
};

static void
test_refused(void **state)
{
	struct line line;

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		parse(&line, refused[i].line);
		if (line.parsed || !strstr(line.why, refused[i].why))
			fail_msg("%s: %s, expected %s", refused[i].line,
				 line.parsed ? "taken" : line.why, refused[i].why);
	}
}

static void
test_too_many_options(void **state)
{
	char text[1024] = "start echo";
	struct line line;

	(void)state;
	for (int i = 0; i < ARGS_OPTIONS_MAX + 1; i++)
		strcat(text, " --no-wait");
	parse(&line, text);
	assert_false(line.parsed);
}

static void
test_unknown_verb_keeps_its_name(void **state)
{
	struct line line;

	(void)state;
	parse(&line, "--json lst --whatever");
	assert_true(line.parsed);
	assert_null(line.args.verb);
	assert_string_equal(line.args.words[0], "lst");
	assert_string_equal(verb_near("lst"), "list");
	assert_string_equal(verb_near("stauts"), "status");
	assert_null(verb_near("frobnicate"));
}

static void
test_durations(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = {{"500ms", 500}, {"30s", 30000}, {"2m", 120000}, {"1m30s", 90000},
		    {"5", 5000},    {"0.5", 500},   {"1us", 1}};
	static const char *const bad[] = {"", "x", "5 s", "-1s", "1e400"};
	uint64_t ms;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_true(args_duration_ms(good[i].text, &ms));
		assert_int_equal(ms, good[i].ms);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(args_duration_ms(bad[i], &ms));
}

/* Its value is the next word only where that reads as one and could be no name. */
static void
test_a_value_that_may_be_left_out(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
		size_t words;
	} cases[] = {
		{"status -w", 0, 0},
		{"status --watch", 0, 0},
		{"status --watch echo", 0, 1},
		{"status -w echo", 0, 1},
		{"status -w 5 echo", 5000, 1},
		{"status --watch 500ms echo", 500, 1},
		{"status --watch=2 echo", 2000, 1},
		{"status -w2 echo", 2000, 1},
		{"status -w 5x", 0, 1},
		{"status echo -w --json", 0, 1},
	};
	struct line line;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		parse(&line, cases[i].text);
		if (!line.parsed)
			fail_msg("%s: %s", cases[i].text, line.why);
		assert_true(args_flag(&line.args, "watch"));
		assert_int_equal(args_number(&line.args, "watch", 0), cases[i].ms);
		assert_int_equal(line.args.word_count, cases[i].words);
	}
	parse(&line, "status --watch=soon");
	assert_false(line.parsed);
	assert_non_null(strstr(line.why, "soon"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_value_that_may_be_left_out),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_options_anywhere),
		cmocka_unit_test(test_words_that_look_like_options),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_too_many_options),
		cmocka_unit_test(test_unknown_verb_keeps_its_name),
		cmocka_unit_test(test_durations),
	};

	return cmocka_run_group_tests_name("plugctl_args", tests, NULL, NULL);
}
