#include "core/distribution.h"

#include <ctype.h>
#include <string.h>

static bool
is_separator(char c)
{
	return c == '-' || c == '_' || c == '.';
}

static bool
is_word(char c)
{
	return (unsigned char)c < 128 && isalnum((unsigned char)c);
}

bool
distribution_name_ok(const char *name)
{
	size_t length = 0;

	while (is_word(name[length]) || is_separator(name[length]))
		length++;
	return length && length < DISTRIBUTION_NAME_BYTES && !name[length] && is_word(name[0]) &&
	       is_word(name[length - 1]);
}

/* The next character of the normalized name; '\0' at its end. */
static char
next_char(const char *name, size_t length, size_t *at)
{
	if (*at == length)
		return '\0';
	if (!is_separator(name[*at]))
		return (char)tolower((unsigned char)name[(*at)++]);
	while (*at < length && is_separator(name[*at]))
		++*at;
	return '-';
}

bool
distribution_same(const char *left, size_t left_length, const char *right, size_t right_length)
{
	size_t i = 0, j = 0;
	char c;

	do {
		c = next_char(left, left_length, &i);
		if (c != next_char(right, right_length, &j))
			return false;
	} while (c);
	return true;
}

static bool
ends_with(const char *text, size_t length, const char *end, size_t *ret_stem)
{
	size_t end_length = strlen(end);

	if (length <= end_length || strcmp(text + length - end_length, end) != 0)
		return false;
	*ret_stem = length - end_length;
	return true;
}

/* "numpy-1.26.4-py3.11-linux-x86_64" without what follows the version. */
static size_t
without_python(const char *stem, size_t length)
{
	const char *at = stem;

	while ((at = memmem(at, length - (size_t)(at - stem), "-py", 3))) {
		if ((size_t)(at - stem) + 3 < length && isdigit((unsigned char)at[3]))
			return (size_t)(at - stem);
		at++;
	}
	return length;
}

/* A version has no '-': tools write '_' instead.  Names of old tools have. */
bool
distribution_entry(const char *entry, struct distribution_entry *ret)
{
	size_t length = strlen(entry), stem;
	const char *dash;

	if (ends_with(entry, length, ".egg-info", &stem))
		stem = without_python(entry, stem);
	else if (!ends_with(entry, length, ".dist-info", &stem))
		return false;
	dash = memrchr(entry, '-', stem);
	if (dash && !isdigit((unsigned char)dash[1]))
		dash = NULL; /* "more-itertools.egg-info" */
	*ret = (struct distribution_entry){.name = entry,
					   .version = dash ? dash + 1 : entry + stem,
					   .name_length = dash ? (size_t)(dash - entry) : stem};
	ret->version_length = stem - (size_t)(ret->version - entry);
	return ret->name_length > 0;
}
