/* Bytes as text, by RFC 3629. */
#ifndef PLUGD_UTF8_H
#define PLUGD_UTF8_H

#include <stddef.h>
#include <stdint.h>

/*
 * Bytes of the sequence at `text`, of which `left` bytes are there; 0: not valid (overlong, a
 * surrogate, above U+10FFFF, cut off).
 */
size_t utf8_sequence(const char *text, size_t left);

/* The code point of a sequence that utf8_sequence() has measured. */
uint32_t utf8_decode(const char *text, size_t bytes);

/*
 * Replace, in place and byte by byte, what is not valid, and NUL, by '?': it is then safe to put
 * into a protobuf string.
 */
void utf8_clean(char *text, size_t length);

#endif
