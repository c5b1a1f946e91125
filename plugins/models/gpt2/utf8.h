/* UTF-8, one character at a time, and a stream of bytes turned into whole characters. */
#ifndef GPT2_UTF8_H
#define GPT2_UTF8_H

#include "text.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Read the character at `at`, of `left` > 0 bytes.
 *
 *  n > 0   a character of n bytes; *ret_char is set
 *  0       the bytes so far are the beginning of one; more are needed
 *  n < 0   not UTF-8: the first -n bytes stand for one U+FFFD
 */
int utf8_next(const unsigned char *at, size_t left, uint32_t *ret_char);

/* Write `c`, which must be a valid character, to `to`; returns the number of bytes, 1 to 4. */
size_t utf8_put(uint32_t c, unsigned char to[4]);

/* Bytes in, whole characters out; bytes that are not UTF-8 become U+FFFD. */
struct utf8_stream {
	unsigned char held[4]; /* the beginning of a character */
	size_t count;
};

/* Append to `out` what is complete, keep the rest.  -1 without memory. */
int utf8_stream_push(struct utf8_stream *stream, const unsigned char *bytes, size_t count,
		     struct text *out);

/* The stream ends: a character that never was completed becomes U+FFFD. */
int utf8_stream_end(struct utf8_stream *stream, struct text *out);

#endif
