/* plugd's own log: a line is a line, and UTF-8, whatever it is about. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/utf8.h"

static char written[8192];

/* What is written to stderr by one line. */
static const char *
line_of(enum log_format format, const char *message)
{
	int kept = dup(STDERR_FILENO), fd = memfd_create("log", MFD_CLOEXEC);
	ssize_t size;

	assert_true(kept >= 0 && fd >= 0 && dup2(fd, STDERR_FILENO) >= 0);
	log_configure(LOG_INFO, format);
	log_info("%s", message);
	size = pread(fd, written, sizeof(written) - 1, 0);
	dup2(kept, STDERR_FILENO);
	close(kept);
	close(fd);
	assert_true(size > 0);
	written[size] = '\0';
	assert_ptr_equal(strchr(written, '\n'), written + size - 1);
	return written;
}

static void
assert_utf8(const char *text)
{
	for (size_t left = strlen(text), bytes; left; text += bytes, left -= bytes) {
		bytes = utf8_sequence(text, left);
		assert_true(bytes > 0);
	}
}

static void
test_what_is_escaped(void **state)
{
	(void)state;
	assert_non_null(strstr(line_of(LOG_JSON, "a\"b\\c\nd\x1b\x7f"),
			       "\"message\":\"a\\\"b\\\\c\\u000ad\\u001b\\u007f\"}\n"));
	assert_non_null(strstr(line_of(LOG_TEXT, "a\"b\\c\nd\x1b"), "a\"b\\c\\x0ad\\x1b\n"));
	assert_non_null(strstr(line_of(LOG_JSON, "\xc3\xa4\xe2\x82\xac"), "\xc3\xa4\xe2\x82\xac"));
}

/* A client's name, for example, is what the client says. */
static void
test_bytes_that_are_no_text(void **state)
{
	(void)state;
	for (int format = LOG_TEXT; format <= LOG_JSON; format++) {
		const char *line = line_of((enum log_format)format, "<\xff\xc3 \xed\xa0\x80|\xc3");

		assert_utf8(line);
		assert_non_null(strstr(line, "<?? ???|?"));
	}
}

/* The end of a long message may fall into a character. */
static void
test_a_message_that_is_cut(void **state)
{
	char text[4096];

	(void)state;
	for (size_t shift = 0; shift < 3; shift++) {
		memset(text, 'x', sizeof(text));
		for (size_t at = shift; at + 3 < sizeof(text); at += 3)
			memcpy(text + at, "\xe2\x82\xac", 3);
		text[sizeof(text) - 1] = '\0';
		assert_utf8(line_of(LOG_TEXT, text));
		assert_utf8(line_of(LOG_JSON, text));
		assert_non_null(strstr(written, "\"}\n"));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_escaped),
		cmocka_unit_test(test_bytes_that_are_no_text),
		cmocka_unit_test(test_a_message_that_is_cut),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
