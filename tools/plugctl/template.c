#include "template.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 75 /* which are 100 characters of base64 */

const struct template *
template_find(const char *folder, const char *file)
{
	size_t length = strlen(folder);

	for (const struct template *one = templates; one->name; one++)
		if (strncmp(one->name, folder, length) == 0 && one->name[length] == '/' &&
		    strcmp(one->name + length + 1, file) == 0)
			return one;
	return NULL;
}

/* The value of the placeholder at `text`, and its length there. */
static const char *
value_at(const char *text, const struct template_value *values, size_t *ret_length)
{
	for (const struct template_value *v = values; v->name; v++) {
		size_t length = strlen(v->name);

		if (strncmp(text + 1, v->name, length) == 0 && text[length + 1] == '@') {
			*ret_length = length + 2;
			return v->value;
		}
	}
	return NULL;
}

void
template_write(FILE *to, const char *text, const struct template_value *values)
{
	const char *value;
	size_t length;

	for (; *text; text += length) {
		length = strcspn(text, "@");
		fwrite(text, 1, length, to);
		text += length;
		length = 0;
		if (!*text)
			break;
		value = value_at(text, values, &length);
		if (value)
			template_write(to, value, values);
		else
			length = (size_t)(fputc('@', to), 1);
	}
}

static void
encode(FILE *to, const uint8_t *data, size_t size)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < size; i += 3) {
		size_t left = size - i;
		uint32_t word = (uint32_t)data[i] << 16 | (left > 1 ? data[i + 1] : 0u) << 8 |
				(left > 2 ? data[i + 2] : 0u);

		fputc(digits[word >> 18], to);
		fputc(digits[word >> 12 & 63], to);
		fputc(left > 1 ? digits[word >> 6 & 63] : '=', to);
		fputc(left > 2 ? digits[word & 63] : '=', to);
	}
}

char *
template_base64(const void *data, size_t size)
{
	char *text = NULL;
	size_t written, piece;
	FILE *to = open_memstream(&text, &written);

	if (!to)
		return NULL;
	for (size_t at = 0; at < size; at += piece) {
		piece = size - at < LINE_BYTES ? size - at : LINE_BYTES;
		encode(to, (const uint8_t *)data + at, piece);
		fputc('\n', to);
	}
	if (fclose(to) == 0)
		return text;
	free(text);
	return NULL;
}
