#include "base/utf8.h"

#include <stdbool.h>
#include <string.h>

uint32_t
utf8_decode(const char *text, size_t bytes)
{
	static const unsigned char first_mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	const unsigned char *p = (const unsigned char *)text;
	uint32_t code = p[0] & first_mask[bytes];

	for (size_t i = 1; i < bytes; i++)
		code = code << 6 | (p[i] & 0x3f);
	return code;
}

size_t
utf8_sequence(const char *text, size_t left)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *p = (const unsigned char *)text;
	size_t bytes;
	uint32_t code;

	if (!left)
		return 0;
	if (p[0] < 0x80)
		return 1;
	bytes = p[0] >= 0xf0 && p[0] < 0xf8 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc0 ? 2 : 0;
	if (!bytes || p[0] >= 0xf8 || left < bytes)
		return 0;
	for (size_t i = 1; i < bytes; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	code = utf8_decode(text, bytes);
	if (code < least[bytes] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	return bytes;
}

#define ONES UINT64_C(0x0101010101010101)

/* Are all eight bytes ASCII, and none NUL?  A byte that is zero borrows from its top bit, which is
 * also what tells others from ASCII. */
static bool
is_plain(const char *text)
{
	uint64_t word;

	memcpy(&word, text, sizeof(word));
	return !((word | (word - ONES)) & ONES << 7);
}

void
utf8_clean(char *text, size_t length)
{
	for (size_t i = 0; i < length;) {
		size_t valid;

		if (length - i >= sizeof(uint64_t) && is_plain(text + i)) {
			i += sizeof(uint64_t);
			continue;
		}
		valid = text[i] ? utf8_sequence(text + i, length - i) : 0;

		if (!valid)
			text[i] = '?';
		i += valid ? valid : 1;
	}
}
