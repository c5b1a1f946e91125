/*
 * GPT-2's cut of text into words, before byte pairs are merged; the same as the expression
 *
 *	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *
 * with Unicode's categories and its White_Space.
 */
#ifndef GPT2_PRETOKENIZE_H
#define GPT2_PRETOKENIZE_H

#include <stddef.h>

/* Bytes of the word that begins at `at`; `left` > 0 bytes of valid UTF-8. */
size_t pretokenize(const char *at, size_t left);

#endif
