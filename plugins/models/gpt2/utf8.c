#include "utf8.h"

#include <string.h>

static const char replacement[] = "\xef\xbf\xbd";

struct lead {
	int bytes;
	uint32_t bits;
	unsigned char low, high; /* what the second byte may be */
};

/* Table 3-7 of the Unicode standard: no surrogates, nothing overlong, nothing above U+10FFFF. */
static struct lead
lead_of(unsigned char c)
{
	if (c < 0x80)
		return (struct lead){1, c, 0, 0};
	if (c >= 0xc2 && c <= 0xdf)
		return (struct lead){2, c & 0x1fu, 0x80, 0xbf};
	if (c >= 0xe0 && c <= 0xef)
		return (struct lead){3, c & 0x0fu, c == 0xe0 ? 0xa0 : 0x80,
				     c == 0xed ? 0x9f : 0xbf};
	if (c >= 0xf0 && c <= 0xf4)
		return (struct lead){4, c & 0x07u, c == 0xf0 ? 0x90 : 0x80,
				     c == 0xf4 ? 0x8f : 0xbf};
	return (struct lead){0};
}

int
utf8_next(const unsigned char *at, size_t left, uint32_t *ret_char)
{
	struct lead lead = lead_of(at[0]);
	uint32_t c = lead.bits;

	if (!lead.bytes)
		return -1;
	for (int i = 1; i < lead.bytes; i++) {
		unsigned char low = i == 1 ? lead.low : 0x80, high = i == 1 ? lead.high : 0xbf;

		if ((size_t)i == left)
			return 0;
		if (at[i] < low || at[i] > high)
			return -i;
		c = c << 6 | (at[i] & 0x3fu);
	}
	*ret_char = c;
	return lead.bytes;
}

size_t
utf8_put(uint32_t c, unsigned char to[4])
{
	static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
	size_t bytes = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	for (size_t i = bytes - 1; i > 0; i--, c >>= 6)
		to[i] = (unsigned char)(0x80 | (c & 0x3f));
	to[0] = (unsigned char)(bytes == 1 ? c : leads[bytes] | c);
	return bytes;
}

static int
take_held(struct utf8_stream *stream, struct text *out)
{
	uint32_t c;
	int n = utf8_next(stream->held, stream->count, &c);
	size_t used = (size_t)(n < 0 ? -n : n);

	if (n == 0)
		return 0;
	if (text_append(out, n > 0 ? (const void *)stream->held : replacement,
			n > 0 ? used : sizeof(replacement) - 1) < 0)
		return -1;
	stream->count -= used;
	memmove(stream->held, stream->held + used, stream->count);
	return 0;
}

int
utf8_stream_push(struct utf8_stream *stream, const unsigned char *bytes, size_t count,
		 struct text *out)
{
	for (size_t i = 0; i < count; i++) {
		size_t before;

		stream->held[stream->count++] = bytes[i];
		do {
			before = stream->count;
			if (take_held(stream, out) < 0)
				return -1;
		} while (stream->count && stream->count < before);
	}
	return 0;
}

int
utf8_stream_end(struct utf8_stream *stream, struct text *out)
{
	if (!stream->count)
		return 0;
	stream->count = 0;
	return text_append(out, replacement, sizeof(replacement) - 1);
}
