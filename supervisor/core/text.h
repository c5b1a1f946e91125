/* What may be in a configuration file, before any parser sees it. */
#ifndef PLUGD_TEXT_H
#define PLUGD_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#define TEXT_FAULT_BYTES 128

struct text_fault {
	unsigned line, column; /* from 1; the column counts characters */
	char what[TEXT_FAULT_BYTES];
};

/*
 * True when `text` is valid UTF-8 (no surrogates, no overlong forms), holds no control or
 * non-character and no line break other than LF, CR LF and CR, no line that begins with '%', and at
 * most 200 blank lines in a row: bytes, directives and blank lines of that kind make libfyaml
 * 0.7.12 loop for ever or for seconds.  Else *ret_fault says where and what.
 */
bool text_check(const char *text, size_t length, struct text_fault *ret_fault);

/* True for valid UTF-8 without NUL and without control characters other than tab and newline. */
bool text_is_clean(const char *text, size_t length);

#endif
