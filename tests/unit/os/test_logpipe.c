#include "os_support.h"

#include <string.h>

#include "os/logpipe.h"

/* What came out: "text|" for a line, "text+" for a piece of one. */
struct lines {
	char text[200000];
	size_t used;
	size_t longest;
};

static void
on_line(void *context, const char *text, size_t length, bool continues)
{
	struct lines *lines = context;

	assert_true(length <= LOGPIPE_LINE_BYTES);
	memcpy(lines->text + lines->used, text, length);
	lines->used += length;
	lines->text[lines->used++] = continues ? '+' : '|';
	lines->text[lines->used] = '\0';
	if (length > lines->longest)
		lines->longest = length;
}

static void
test_lines(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"", ""},
		{"a\n", "a|"},
		{"a", "a|"},
		{"a\nb", "a|b|"},
		{"\n", "|"},
		{"\n\n\n", "|||"},
		{"a\r\n", "a|"},
		{"\r\n", "|"},
		{"a\rb\n", "a\rb|"},
		{"a\r\r\n", "a\r|"},
		{"a\r", "a\r|"},
		{"10%\r20%\r100%\n", "10%\r20%\r100%|"},
		{"\x1b[31mred\x1b[0m\n\x80\xff\n", "\x1b[31mred\x1b[0m|\x80\xff|"},
	};
	static struct lines lines;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		/* However it is cut into reads, the same lines come out. */
		for (size_t step = 1; step <= strlen(cases[i].in) + 1; step++) {
			struct logpipe pipe = LOGPIPE_INIT;
			size_t length = strlen(cases[i].in);

			lines.used = 0;
			lines.text[0] = '\0';
			for (size_t at = 0; at < length; at += step)
				logpipe_feed(&pipe, cases[i].in + at,
					     length - at < step ? length - at : step, on_line,
					     &lines);
			logpipe_flush(&pipe, on_line, &lines);
			assert_string_equal(lines.text, cases[i].out);
			assert_null(pipe.held);
			logpipe_fini(&pipe);
		}
	}
}

static void
test_nul_bytes(void **state)
{
	struct logpipe pipe = LOGPIPE_INIT;
	static struct lines lines;

	(void)state;
	logpipe_feed(&pipe, "a\0b\n\0\n", 6, on_line, &lines);
	assert_int_equal(lines.used, 6);
	assert_memory_equal(lines.text, "a\0b|\0|", 6);
	assert_null(pipe.held); /* nothing is held between lines */
	logpipe_fini(&pipe);
}

/* Nothing is lost or added, and only the last piece of a line is unmarked. */
static void
test_long_lines(void **state)
{
	static const size_t lengths[] = {LOGPIPE_LINE_BYTES - 1, LOGPIPE_LINE_BYTES,
					 LOGPIPE_LINE_BYTES + 1, 3 * LOGPIPE_LINE_BYTES,
					 3 * LOGPIPE_LINE_BYTES + 5};
	static const size_t steps[] = {1, 7, 4096, 8192, 8193, 65536};
	static char in[4 * LOGPIPE_LINE_BYTES];
	static struct lines lines;

	(void)state;
	for (size_t i = 0; i < 5; i++)
		for (size_t j = 0; j < 6; j++) {
			struct logpipe pipe = LOGPIPE_INIT;
			size_t length = lengths[i], pieces = 0, letters = 0;

			memset(in, 'x', length);
			in[length] = '\n';
			lines.used = lines.longest = 0;
			for (size_t at = 0; at < length + 1; at += steps[j])
				logpipe_feed(&pipe, in + at,
					     length + 1 - at < steps[j] ? length + 1 - at
									: steps[j],
					     on_line, &lines);
			for (size_t at = 0; at < lines.used; at++) {
				letters += lines.text[at] == 'x';
				pieces += lines.text[at] == '+';
			}
			assert_int_equal(letters, length);
			assert_int_equal(lines.used, length + pieces + 1);
			assert_int_equal(lines.text[lines.used - 1], '|');
			assert_int_equal(lines.longest,
					 length < LOGPIPE_LINE_BYTES ? length : LOGPIPE_LINE_BYTES);
			assert_false(pipe.in_pieces);
			logpipe_fini(&pipe);
		}
}

static void
test_end_in_the_middle_of_a_long_line(void **state)
{
	static char in[LOGPIPE_LINE_BYTES + 3];
	struct logpipe pipe = LOGPIPE_INIT;
	static struct lines lines;

	(void)state;
	memset(in, 'x', sizeof(in));
	logpipe_feed(&pipe, in, sizeof(in), on_line, &lines);
	assert_int_equal(lines.used, LOGPIPE_LINE_BYTES + 1);
	logpipe_flush(&pipe, on_line, &lines);
	assert_string_equal(lines.text + LOGPIPE_LINE_BYTES, "+xxx|");
	logpipe_flush(&pipe, on_line, &lines); /* nothing twice */
	assert_int_equal(lines.used, LOGPIPE_LINE_BYTES + 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_nul_bytes),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_end_in_the_middle_of_a_long_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
