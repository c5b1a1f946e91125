/* A file's text as it was read, shared by what was made of it; immutable, counted. */
#ifndef PLUGD_KEPT_TEXT_H
#define PLUGD_KEPT_TEXT_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct kept_text {
	unsigned refs;
	size_t size;
	char *file; /* absolute */
	char bytes[];
};

/* NULL when memory is short. */
static inline struct kept_text *
kept_text_new(const char *file, const char *bytes, size_t size)
{
	struct kept_text *text = malloc(sizeof(*text) + size + strlen(file) + 1);

	if (!text)
		return NULL;
	text->refs = 1;
	text->size = size;
	if (size)
		memcpy(text->bytes, bytes, size);
	text->file = strcpy(text->bytes + size, file);
	return text;
}

static inline struct kept_text *
kept_text_ref(struct kept_text *text) /* NULL is allowed */
{
	if (text)
		text->refs++;
	return text;
}

static inline void
kept_text_unref(struct kept_text *text) /* NULL is allowed */
{
	if (text && !--text->refs)
		free(text);
}

#endif
