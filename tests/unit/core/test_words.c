/* Units, suggestions, and what may be in a text. */
#include <stdio.h>
#include <string.h>

#include "core/suggest.h"
#include "core/text.h"
#include "core/units.h"
#include "support.h"

struct unit_case {
	const char *text;
	enum units_err err;
	uint64_t value;
};

static void
check_units(const struct unit_case *cases, size_t count,
	    enum units_err (*parse)(const char *text, uint64_t *ret))
{
	for (size_t i = 0; i < count; i++) {
		uint64_t value = 77;

		if (parse(cases[i].text, &value) != cases[i].err)
			fail_msg("%s: %s", cases[i].text,
				 units_err_text(parse(cases[i].text, &value)));
		if (value != (cases[i].err ? 77 : cases[i].value))
			fail_msg("%s is %llu", cases[i].text, (unsigned long long)value);
	}
}

static void
test_durations(void **state)
{
	static const struct unit_case cases[] = {
		{"100ms", UNITS_OK, 100000000},
		{"30s", UNITS_OK, 30000000000},
		{"5m", UNITS_OK, 300000000000},
		{"1h", UNITS_OK, 3600000000000},
		{"1d", UNITS_OK, 86400000000000},
		{"7ns", UNITS_OK, 7},
		{"7us", UNITS_OK, 7000},
		{"1h30m", UNITS_OK, 5400000000000},
		{"1m0.5s", UNITS_OK, 60500000000},
		{"1.5s", UNITS_OK, 1500000000},
		{"0.0000000001s", UNITS_OK, 0},
		{"0", UNITS_OK, 0},
		{"0s", UNITS_OK, 0},
		{"9223372036854775807ns", UNITS_OK, INT64_MAX},
		{"9223372036854775808ns", UNITS_TOO_LARGE, 0},
		{"18446744073709551616ns", UNITS_TOO_LARGE, 0},
		{"106751d", UNITS_OK, 9223286400000000000},
		{"106752d", UNITS_TOO_LARGE, 0},
		{"9223372036s9223372036s", UNITS_TOO_LARGE, 0},
		{"99999999999999999999999999h", UNITS_TOO_LARGE, 0},
		{"", UNITS_NO_NUMBER, 0},
		{"s", UNITS_NO_NUMBER, 0},
		{"-1s", UNITS_NO_NUMBER, 0},
		{"+1s", UNITS_NO_NUMBER, 0},
		{" 1s", UNITS_NO_NUMBER, 0},
		{".5s", UNITS_NO_NUMBER, 0},
		{"1.s", UNITS_NO_NUMBER, 0},
		{"30", UNITS_NO_UNIT, 0},
		{"1h30", UNITS_NO_UNIT, 0},
		{"00", UNITS_NO_UNIT, 0},
		{"30 s", UNITS_BAD_UNIT, 0},
		{"30sec", UNITS_BAD_UNIT, 0},
		{"30S", UNITS_BAD_UNIT, 0},
		{"1e3s", UNITS_BAD_UNIT, 0},
		{"1s ", UNITS_NO_NUMBER, 0},
		{"0x10s", UNITS_BAD_UNIT, 0},
	};

	(void)state;
	check_units(cases, sizeof(cases) / sizeof(cases[0]), units_duration_ns);
}

static void
test_sizes(void **state)
{
	static const struct unit_case cases[] = {
		{"0", UNITS_OK, 0},
		{"512", UNITS_OK, 512},
		{"512B", UNITS_OK, 512},
		{"64KiB", UNITS_OK, 65536},
		{"64K", UNITS_OK, 65536},
		{"10kB", UNITS_OK, 10000},
		{"10KB", UNITS_OK, 10000},
		{"1.5GiB", UNITS_OK, 1610612736},
		{"2MB", UNITS_OK, 2000000},
		{"2M", UNITS_OK, 2097152},
		{"1T", UNITS_OK, 1099511627776},
		{"8388607TiB", UNITS_OK, INT64_MAX - (1024ull * 1024 * 1024 * 1024 - 1)},
		{"8388608TiB", UNITS_TOO_LARGE, 0},
		{"", UNITS_NO_NUMBER, 0},
		{"KiB", UNITS_NO_NUMBER, 0},
		{"-1", UNITS_NO_NUMBER, 0},
		{"1 KiB", UNITS_BAD_UNIT, 0},
		{"1kib", UNITS_BAD_UNIT, 0},
		{"1KiB2", UNITS_BAD_UNIT, 0},
		{"1Kib", UNITS_BAD_UNIT, 0},
	};

	(void)state;
	check_units(cases, sizeof(cases) / sizeof(cases[0]), units_size_bytes);
}

static void
test_formatted_units_read_back(void **state)
{
	uint64_t value = 1;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		char text[UNITS_TEXT_BYTES];
		uint64_t again;

		value = value * 6364136223846793005u + 1442695040888963407u;
		units_format_duration(value >> (1 + i % 63), text, sizeof(text));
		assert_int_equal(units_duration_ns(text, &again), UNITS_OK);
		assert_true(again == value >> (1 + i % 63));
		units_format_size(value >> (1 + i % 63), text, sizeof(text));
		assert_int_equal(units_size_bytes(text, &again), UNITS_OK);
		assert_true(again == value >> (1 + i % 63));
	}
}

static void
test_formatted_units_are_short(void **state)
{
	static const struct {
		uint64_t value;
		const char *duration, *size;
	} cases[] = {
		{0, "0s", "0"},
		{1500000000, "1500ms", "1500MB"},
		{90000000000, "1m30s", "90GB"},
		{1048576, "1048576ns", "1MiB"},
		{1000001, "1000001ns", "1000001"},
	};
	char text[UNITS_TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		units_format_duration(cases[i].value, text, sizeof(text));
		assert_string_equal(text, cases[i].duration);
		units_format_size(cases[i].value, text, sizeof(text));
		assert_string_equal(text, cases[i].size);
	}
}

static void
test_suggestions(void **state)
{
	static const char *const names[] = {"version",      "type",  "exec",    "description",
					    "run",          "probe", "restart", "instances",
					    "stop_timeout", NULL};
	static const struct {
		const char *word, *best;
	} cases[] = {
		{"versoin", "version"},
		{"Version", "version"},
		{"verison", "version"},
		{"typ", "type"},
		{"tpye", "type"},
		{"desciption", "description"},
		{"instance", "instances"},
		{"stop-timeout", "stop_timeout"},
		{"ru", "run"},
		{"prob", "probe"},
		{"xyzzy", NULL},
		{"", NULL},
		{"q", NULL},
		{"configuration", NULL},
		{"restrat", "restart"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *best = suggest_from(cases[i].word, names);

		if (!best || !cases[i].best ? best != cases[i].best : strcmp(best, cases[i].best))
			fail_msg("%s: %s", cases[i].word, best ? best : "nothing");
	}
}

/* One insertion, deletion, replacement or swap is always one edit, both ways. */
static void
test_one_edit_is_distance_one(void **state)
{
	static const char word[] = "start_timeout";
	size_t length = sizeof(word) - 1;

	(void)state;
	assert_int_equal(suggest_distance(word, word), 0);
	for (size_t at = 0; at < length; at++) {
		char other[32];

		snprintf(other, sizeof(other), "%.*s%s", (int)at, word, word + at + 1);
		assert_int_equal(suggest_distance(word, other), 1);
		assert_int_equal(suggest_distance(other, word), 1);
		snprintf(other, sizeof(other), "%.*sX%s", (int)at, word, word + at + 1);
		assert_int_equal(suggest_distance(word, other), 1);
		if (at + 1 == length || word[at] == word[at + 1])
			continue;
		snprintf(other, sizeof(other), "%.*s%c%c%s", (int)at, word, word[at + 1], word[at],
			 word + at + 2);
		assert_int_equal(suggest_distance(word, other), 1);
	}
}

static void
test_overlong_words_are_far(void **state)
{
	char longer[5000];

	(void)state;
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_true(suggest_distance(longer, "a") > 1000000);
	longer[SUGGEST_NAME_BYTES] = '\0';
	assert_int_equal(suggest_distance(longer, "a"), SUGGEST_NAME_BYTES - 1);
	assert_int_equal(suggest_distance("a", longer), SUGGEST_NAME_BYTES - 1);
	longer[SUGGEST_NAME_BYTES] = 'a';
	assert_true(suggest_distance("a", longer) > 1000000);
}

static void
test_text_faults(void **state)
{
	static const struct {
		const char *text;
		size_t length;
		unsigned line, column;
		const char *what;
	} cases[] = {
		{"a\nb\xcd", 4, 2, 2, "byte 0xcd is not valid UTF-8"},
		{"%a\xcd", 3, 1, 1, "a line cannot begin with %"},
		{"a: \xc0\x80", 5, 1, 4, "0xc0"},
		{"\xed\xa0\x80", 3, 1, 1, "0xed"},
		{"\xf4\x90\x80\x80", 4, 1, 1, "0xf4"},
		{"\xf8\x88\x80\x80\x80", 5, 1, 1, "0xf8"},
		{"\xe2\x82", 2, 1, 1, "0xe2"},
		{"\xc3\xa4\xc3\xa4\x80", 5, 1, 3, "0x80"},
		{"a\0b", 3, 1, 2, "U+0000"},
		{"a\n\x1b[2J", 6, 2, 1, "U+001B"},
		{"a\x7f", 2, 1, 2, "U+007F"},
		{"a\xc2\x85", 3, 1, 2, "U+0085"},
		{"a\xe2\x80\xa8", 4, 1, 2, "U+2028"},
		{"a\xef\xbb\xbf", 4, 1, 2, "U+FEFF"},
		{"a\xef\xbf\xbf", 4, 1, 2, "U+FFFF"},
		{"a\r\nb\rc\x01", 7, 3, 2, "U+0001"},
		{"a: b\n%TAG\n", 10, 2, 1, "a line cannot begin with %"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct text_fault fault = {0};

		assert_false(text_check(cases[i].text, cases[i].length, &fault));
		if (fault.line != cases[i].line || fault.column != cases[i].column ||
		    !strstr(fault.what, cases[i].what))
			fail_msg("case %zu: %u:%u %s", i, fault.line, fault.column, fault.what);
	}
}

static void
test_text_without_fault(void **state)
{
	static const char *const texts[] = {
		"", "a: b\n", "\xef\xbb\xbf ä€😀: b\n", "\t\r\n \r", "a %b", "\xc2\xa0",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct text_fault fault = {0};

		if (!text_check(texts[i], strlen(texts[i]), &fault))
			fail_msg("case %zu: %s", i, fault.what);
	}
}

static void
test_blank_lines_are_limited(void **state)
{
	static const char *const line_ends[] = {"\n", " \n", "\r\n", "\r", "\t\n"};

	(void)state;
	for (size_t e = 0; e < 5; e++)
		for (int lines = 199; lines <= 202; lines++) {
			char text[1024] = "";
			struct text_fault fault;

			for (int i = 0; i < lines; i++)
				strcat(text, line_ends[e]);
			assert_int_equal(text_check(text, strlen(text), &fault), lines <= 200);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_formatted_units_read_back),
		cmocka_unit_test(test_formatted_units_are_short),
		cmocka_unit_test(test_suggestions),
		cmocka_unit_test(test_one_edit_is_distance_one),
		cmocka_unit_test(test_overlong_words_are_far),
		cmocka_unit_test(test_text_faults),
		cmocka_unit_test(test_text_without_fault),
		cmocka_unit_test(test_blank_lines_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
