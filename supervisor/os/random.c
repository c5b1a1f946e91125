#include "os/random.h"

#include <errno.h>
#include <stdint.h>
#include <sys/random.h>

plug_err
random_bytes(void *bytes, size_t size)
{
	uint8_t *at = bytes;

	while (size) {
		ssize_t got = getrandom(at, size, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return PLUG_ESYS;
		at += got;
		size -= (size_t)got;
	}
	return PLUG_OK;
}

void
hex_encode(char *text, const void *bytes, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *at = bytes;

	for (size_t i = 0; i < size; i++) {
		*text++ = digits[at[i] >> 4];
		*text++ = digits[at[i] & 15];
	}
	*text = '\0';
}

plug_err
random_hex(char *text, size_t digits)
{
	uint8_t bytes[32];
	char pair[3];

	for (size_t i = 0; i < digits; i++) {
		size_t at = i / 2 % sizeof(bytes);

		if (i % (2 * sizeof(bytes)) == 0 && random_bytes(bytes, sizeof(bytes)))
			return PLUG_ESYS;
		hex_encode(pair, bytes + at, 1);
		text[i] = pair[i % 2];
	}
	text[digits] = '\0';
	return PLUG_OK;
}
