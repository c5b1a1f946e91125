#include "core/suggest.h"

#include <ctype.h>
#include <limits.h>
#include <string.h>

static unsigned
least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static char
fold(char c)
{
	return c == '_' ? '-' : (char)tolower((unsigned char)c);
}

unsigned
suggest_distance(const char *left, const char *right)
{
	size_t rows = strlen(left), columns = strlen(right);
	unsigned line[3][SUGGEST_NAME_BYTES + 1];
	unsigned *before = line[0], *above = line[1], *now = line[2], *rotate;

	if (rows > SUGGEST_NAME_BYTES || columns > SUGGEST_NAME_BYTES)
		return UINT_MAX;
	for (size_t c = 0; c <= columns; c++)
		above[c] = (unsigned)c;
	for (size_t r = 1; r <= rows; r++) {
		now[0] = (unsigned)r;
		for (size_t c = 1; c <= columns; c++) {
			char a = fold(left[r - 1]), b = fold(right[c - 1]);

			now[c] = least(least(above[c], now[c - 1]) + 1, above[c - 1] + (a != b));
			if (r > 1 && c > 1 && a == fold(right[c - 2]) && b == fold(left[r - 2]))
				now[c] = least(now[c], before[c - 2] + 1);
		}
		rotate = before, before = above, above = now, now = rotate;
	}
	return above[columns];
}

/* Short words are near many others: a third of the letters may differ, at most three. */
static unsigned
reach(const char *word)
{
	size_t length = strlen(word);

	return length < 3 ? 1 : (unsigned)least((unsigned)(length + 2) / 3, 3);
}

void
suggest_start(struct suggest *suggest, const char *word)
{
	*suggest = (struct suggest){.word = word, .distance = reach(word) + 1};
}

void
suggest_offer(struct suggest *suggest, const char *name)
{
	unsigned distance = suggest_distance(suggest->word, name);

	if (distance < suggest->distance && distance < strlen(name)) {
		suggest->distance = distance;
		suggest->best = name;
	}
}

const char *
suggest_from(const char *word, const char *const *names)
{
	struct suggest suggest;

	suggest_start(&suggest, word);
	for (; *names; names++)
		suggest_offer(&suggest, *names);
	return suggest.best;
}
