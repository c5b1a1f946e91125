/* Whole characters, and stop strings across pieces. */
#include "stopper.h"
#include "support.h"
#include "utf8.h"

#include <stdio.h>
#include <string.h>

static void
test_characters_are_never_cut(void **state)
{
	static const char text[] = "aé€🙂\xff"
				   "b";
	static const char expected[] = "aé€🙂\xef\xbf\xbd"
				       "b";
	size_t size = sizeof(text) - 1;

	(void)state;
	for (size_t step = 1; step <= size; step++) {
		struct utf8_stream stream = {0};
		struct text out = {0};

		for (size_t at = 0; at < size; at += step) {
			size_t count = size - at < step ? size - at : step;

			assert_int_equal(utf8_stream_push(&stream, (const unsigned char *)text + at,
							  count, &out),
					 0);
			for (size_t i = 0; i < out.size;) {
				uint32_t c;
				int n = utf8_next((unsigned char *)out.data + i, out.size - i, &c);

				assert_true(n > 0);
				i += (size_t)n;
			}
		}
		assert_int_equal(utf8_stream_end(&stream, &out), 0);
		assert_string_equal(out.data, expected);
		text_fini(&out);
	}
}

static void
test_every_character(void **state)
{
	(void)state;
	for (uint32_t c = 0; c < 0x110000; c++) {
		unsigned char bytes[4];
		uint32_t back = 0;
		size_t n;

		if (c >= 0xd800 && c <= 0xdfff)
			continue;
		n = utf8_put(c, bytes);
		if (utf8_next(bytes, 4, &back) != (int)n || back != c)
			fail_msg("U+%04X: %zu bytes, came back as U+%04X", c, n, back);
		for (size_t cut = 1; cut < n; cut++)
			if (utf8_next(bytes, cut, &back) != 0)
				fail_msg("U+%04X: %zu of %zu bytes are not a beginning", c, cut, n);
	}
}

static const struct {
	const char *name;
	const char *stops[4];
	const char *text, *expected;
	bool stopped;
} cases[] = {
	{"no stop strings", {NULL}, "one two", "one two", false},
	{"in the middle", {"two"}, "one two three", "one ", true},
	{"at the very beginning", {"one"}, "one two", "", true},
	{"at the very end", {"two"}, "one two", "one ", true},
	{"only its beginning", {"three"}, "one two thre", "one two thre", false},
	{"overlapping itself", {"aab"}, "aaaab.", "aa", true},
	{"nearly, twice", {"abac"}, "ababac.", "ab", true},
	{"the earliest of two", {"four", "two"}, "one two three four", "one ", true},
	{"one within another", {"b", "abc"}, "xabcx", "xa", true},
	{"not ASCII", {"é!"}, "caf\xc3\xa9\xc3\xa9! x", "caf\xc3\xa9", true},
	{"newlines", {"\n\n"}, "a\nb\n\nc", "a\nb", true},
	{"one character", {"."}, "a.b.c", "a", true},
};

/* The result must not depend on how the text is cut into pieces. */
static void
test_stop_strings(void **state)
{
	(void)state;
	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++)
		for (size_t step = 1; step <= strlen(cases[c].text); step++) {
			struct stop_list list = {.count = 0};
			struct stopper stopper = {.list = &list};
			struct text out = {0};
			size_t size = strlen(cases[c].text);
			bool stopped = false;

			while (list.count < 4 && cases[c].stops[list.count]) {
				list.strings[list.count] = cases[c].stops[list.count];
				list.count++;
			}
			for (size_t at = 0; at < size && !stopped; at += step)
				assert_int_equal(stopper_push(&stopper, cases[c].text + at,
							      size - at < step ? size - at : step,
							      &out, &stopped),
						 0);
			if (!stopped)
				assert_int_equal(stopper_end(&stopper, &out), 0);
			if (stopped != cases[c].stopped ||
			    strcmp(out.data ? out.data : "", cases[c].expected) != 0)
				fail_msg("%s, steps of %zu: \"%s\"%s", cases[c].name, step,
					 out.data ? out.data : "", stopped ? ", stopped" : "");
			stopper_fini(&stopper);
			text_fini(&out);
		}
}

static void
test_held_text_is_let_out_when_clear(void **state)
{
	struct stop_list list = {.strings = {"</end>"}, .count = 1};
	struct stopper stopper = {.list = &list};
	struct text out = {0};
	bool stopped = false;

	(void)state;
	assert_int_equal(stopper_push(&stopper, "a </e", 5, &out, &stopped), 0);
	assert_string_equal(out.data, "a ");
	assert_int_equal(stopper_push(&stopper, "x", 1, &out, &stopped), 0);
	assert_string_equal(out.data, "a </ex");
	assert_false(stopped);
	stopper_fini(&stopper);
	text_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_characters_are_never_cut),
		cmocka_unit_test(test_every_character),
		cmocka_unit_test(test_stop_strings),
		cmocka_unit_test(test_held_text_is_let_out_when_clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
