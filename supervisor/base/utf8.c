#include "base/utf8.h"

#include <stdint.h>

static int
is_tail(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* Length of the sequence at `at`, or 0 when there is none.  `left` bytes are there. */
static size_t
sequence(const unsigned char *at, size_t left)
{
	unsigned char c = at[0];

	if (c < 0x80)
		return c ? 1 : 0;
	if (c >= 0xc2 && c <= 0xdf)
		return left > 1 && is_tail(at[1]) ? 2 : 0;
	if (c >= 0xe0 && c <= 0xef) {
		unsigned char low = c == 0xe0 ? 0xa0 : 0x80, high = c == 0xed ? 0x9f : 0xbf;

		return left > 2 && at[1] >= low && at[1] <= high && is_tail(at[2]) ? 3 : 0;
	}
	if (c >= 0xf0 && c <= 0xf4) {
		unsigned char low = c == 0xf0 ? 0x90 : 0x80, high = c == 0xf4 ? 0x8f : 0xbf;

		return left > 3 && at[1] >= low && at[1] <= high && is_tail(at[2]) && is_tail(at[3])
			       ? 4
			       : 0;
	}
	return 0;
}

void
utf8_clean(char *text, size_t length)
{
	for (size_t i = 0; i < length;) {
		size_t valid = sequence((const unsigned char *)text + i, length - i);

		if (!valid)
			text[i] = '?';
		i += valid ? valid : 1;
	}
}
