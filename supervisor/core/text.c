#include "core/text.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

#define BLANK_LINES 200

struct scan {
	const char *text;
	size_t length, at;
	unsigned line, column;
	unsigned blank_lines; /* in a row, before this one */
	bool blank;           /* nothing but blanks on this line so far */
};

static bool
is_forbidden(uint32_t code)
{
	if (code < 0x20)
		return code != '\t' && code != '\n' && code != '\r';
	return (code >= 0x7f && code <= 0x9f) || code == 0x2028 || code == 0x2029 ||
	       code == 0xfeff || (code & 0xfffe) == 0xfffe;
}

bool
text_is_clean(const char *text, size_t length)
{
	for (size_t at = 0, bytes; at < length; at += bytes) {
		unsigned char c = (unsigned char)text[at];

		bytes = utf8_sequence(text + at, length - at);
		if (!bytes || c == 0x7f || (c < 0x20 && c != '\t' && c != '\n'))
			return false;
	}
	return true;
}

static bool
fault(const struct scan *scan, struct text_fault *ret, const char *what)
{
	ret->line = scan->line;
	ret->column = scan->column;
	snprintf(ret->what, sizeof(ret->what), "%s", what);
	return false;
}

static bool
fault_byte(const struct scan *scan, struct text_fault *ret)
{
	char what[TEXT_FAULT_BYTES];

	snprintf(what, sizeof(what), "byte 0x%02x is not valid UTF-8; expected a file in UTF-8",
		 (unsigned char)scan->text[scan->at]);
	return fault(scan, ret, what);
}

static bool
fault_code(const struct scan *scan, struct text_fault *ret, uint32_t code)
{
	char what[TEXT_FAULT_BYTES];

	snprintf(what, sizeof(what), "character U+%04X is not allowed here; expected text",
		 (unsigned)code);
	return fault(scan, ret, what);
}

static bool
end_line(struct scan *scan, struct text_fault *ret)
{
	scan->blank_lines = scan->blank ? scan->blank_lines + 1 : 0;
	if (scan->blank_lines > BLANK_LINES)
		return fault(scan, ret, "more than 200 blank lines in a row; expected no more");
	scan->line++;
	scan->column = 1;
	scan->blank = true;
	return true;
}

static bool
step(struct scan *scan, struct text_fault *ret)
{
	const char *p = scan->text + scan->at;
	size_t left = scan->length - scan->at, bytes = utf8_sequence(p, left);
	uint32_t code;

	if (!bytes)
		return fault_byte(scan, ret);
	code = utf8_decode(p, bytes);
	if (is_forbidden(code))
		return fault_code(scan, ret, code);
	if (code == '%' && scan->column == 1)
		return fault(scan, ret,
			     "a line cannot begin with %: YAML directives are not used here; "
			     "expected a key");
	scan->at += bytes;
	if (code == '\n' || (code == '\r' && (left == 1 || p[1] != '\n')))
		return end_line(scan, ret);
	scan->column++;
	if (code != ' ' && code != '\t' && code != '\r')
		scan->blank = false;
	return true;
}

bool
text_check(const char *text, size_t length, struct text_fault *ret_fault)
{
	struct scan scan = {.text = text, .length = length, .line = 1, .column = 1, .blank = true};

	if (length >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		scan.at = 3;
	while (scan.at < scan.length)
		if (!step(&scan, ret_fault))
			return false;
	return true;
}
