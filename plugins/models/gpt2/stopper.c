#include "stopper.h"

#include <stdint.h>
#include <string.h>

/*
 * Of the stop strings in the held text, the one that was complete first; of two that end together,
 * the longer.  So the result does not depend on how the text was cut into pieces.
 */
static bool
find_first(const struct stopper *s, size_t *ret_at)
{
	size_t first_end = SIZE_MAX;

	for (size_t i = 0; i < s->list->count && s->held.size; i++) {
		const char *string = s->list->strings[i];
		const char *found = memmem(s->held.data, s->held.size, string, strlen(string));
		size_t at = found ? (size_t)(found - s->held.data) : 0, end = at + strlen(string);

		if (found && (end < first_end || (end == first_end && at < *ret_at))) {
			first_end = end;
			*ret_at = at;
		}
	}
	return first_end != SIZE_MAX;
}

/* Bytes at the end of the held text that may yet become `string`. */
static size_t
open_end(const struct text *held, const char *string)
{
	size_t length = strlen(string);
	size_t n = length - 1 < held->size ? length - 1 : held->size;

	while (n && memcmp(held->data + held->size - n, string, n) != 0)
		n--;
	return n;
}

static int
let_out(struct stopper *s, size_t size, struct text *out)
{
	if (text_append(out, s->held.data, size) < 0)
		return -1;
	text_drop(&s->held, size);
	return 0;
}

int
stopper_push(struct stopper *s, const char *bytes, size_t size, struct text *out, bool *ret_stopped)
{
	size_t keep = 0, at = 0;

	if (!size)
		return 0;
	if (text_append(&s->held, bytes, size) < 0)
		return -1;
	if (find_first(s, &at)) {
		*ret_stopped = true;
		if (let_out(s, at, out) < 0)
			return -1;
		s->held.size = 0;
		return 0;
	}
	for (size_t i = 0; i < s->list->count; i++) {
		size_t n = open_end(&s->held, s->list->strings[i]);

		keep = n > keep ? n : keep;
	}
	return let_out(s, s->held.size - keep, out);
}

int
stopper_end(struct stopper *s, struct text *out)
{
	return s->held.size ? let_out(s, s->held.size, out) : 0;
}

void
stopper_fini(struct stopper *s)
{
	text_fini(&s->held);
}
