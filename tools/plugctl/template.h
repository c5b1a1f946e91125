/* The files that `plugctl new` writes, as they are in templates/, built in. */
#ifndef PLUGCTL_TEMPLATE_H
#define PLUGCTL_TEMPLATE_H

#include <stddef.h>
#include <stdio.h>

struct template
{
	const char *name; /* "model/main.c"; "descriptors": of the protocol's messages, binary */
	const char *text; /* a NUL behind it */
	size_t size;
};

extern const struct template templates[]; /* ends with an entry whose name is NULL */

const struct template *template_find(const char *folder, const char *file);

/* "@NAME@" in a template becomes `value`; a list of these ends with a name that is NULL. */
struct template_value {
	const char *name, *value;
};

/* Values may hold placeholders themselves.  What has no value is written as it is. */
void template_write(FILE *to, const char *text, const struct template_value *values);

/* In lines of 100 characters.  The caller frees it; NULL: no memory. */
char *template_base64(const void *data, size_t size);

#endif
