/* Has it changed?  FNV-1a, 64 bits: for content that nobody forges, and nothing else. */
#ifndef PLUGD_HASH_H
#define PLUGD_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define HASH_START UINT64_C(14695981039346656037)

static inline uint64_t
hash_bytes(uint64_t hash, const void *data, size_t size)
{
	const uint8_t *at = data;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ at[i]) * UINT64_C(1099511628211);
	return hash;
}

/* With its end, so that two texts in a row are not one; NULL is not "". */
static inline uint64_t
hash_text(uint64_t hash, const char *text)
{
	return text ? hash_bytes(hash, text, strlen(text) + 1) : hash_bytes(hash, "\xff", 1);
}

#endif
