/* Bytes that grow. */
#ifndef GPT2_TEXT_H
#define GPT2_TEXT_H

#include <stddef.h>

/* Zeroed is empty.  data is NULL or ends with a NUL that size does not count. */
struct text {
	char *data;
	size_t size, room;
};

int text_append(struct text *text, const void *bytes, size_t count); /* -1 without memory */
void text_drop(struct text *text, size_t count);                     /* from the front */
void text_fini(struct text *text);

#endif
