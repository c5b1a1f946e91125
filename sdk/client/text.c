/* What a plugin sends as text is made text: it may hold NUL or be no UTF-8. */
#include <string.h>

#include "internal.h"

/* Bytes of the sequence at `p`, of which `left` are there, by RFC 3629; 0: it is none. */
static size_t
sequence(const uint8_t *p, size_t left)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	static const uint8_t mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	size_t bytes;
	uint32_t code;

	if (p[0] < 0x80)
		return p[0] != 0;
	bytes = p[0] >= 0xf8 ? 0 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc0 ? 2 : 0;
	if (!bytes || left < bytes)
		return 0;
	code = p[0] & mask[bytes];
	for (size_t i = 1; i < bytes; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	if (code < least[bytes] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	return bytes;
}

/* Most is ASCII: the bytes of it at the beginning, in steps of a word. */
static size_t
skip_plain(const uint8_t *text, size_t size)
{
	const uint64_t high = 0x8080808080808080u, ones = 0x0101010101010101u;
	size_t i = 0;
	uint64_t word;

	for (; i + sizeof(word) <= size; i += sizeof(word)) {
		memcpy(&word, text + i, sizeof(word));
		if ((word | (word - ones)) & high) /* above 0x7f, or a NUL */
			break;
	}
	return i;
}

const char *
plugc_text(uint8_t *text, size_t size)
{
	for (size_t i = skip_plain(text, size); i < size;) {
		size_t valid = sequence(text + i, size - i);

		if (!valid)
			text[i] = '?';
		i += valid ? valid : 1;
	}
	text[size] = '\0';
	return (const char *)text;
}
