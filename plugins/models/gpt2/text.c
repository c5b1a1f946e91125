#include "text.h"

#include <stdlib.h>
#include <string.h>

int
text_append(struct text *text, const void *bytes, size_t count)
{
	size_t need;

	if (__builtin_add_overflow(text->size, count + 1, &need))
		return -1;
	if (need > text->room) {
		size_t room = need < 64 ? 64 : need + need / 2;
		char *data = realloc(text->data, room);

		if (!data)
			return -1;
		text->data = data;
		text->room = room;
	}
	if (count)
		memcpy(text->data + text->size, bytes, count);
	text->size += count;
	text->data[text->size] = '\0';
	return 0;
}

void
text_drop(struct text *text, size_t count)
{
	if (!count)
		return;
	memmove(text->data, text->data + count, text->size - count + 1);
	text->size -= count;
}

void
text_fini(struct text *text)
{
	free(text->data);
	*text = (struct text){0};
}
