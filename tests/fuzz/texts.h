/* What the targets that read text share: what must hold of everything that a parser says. */
#ifndef TEXTS_H
#define TEXTS_H

#include <stdbool.h>

#include "core/diag.h"
#include "core/yaml.h"

/* A copy of the bytes that ends where they end, so that reading on is seen. */
struct text {
	char *bytes;
	size_t size;
};

struct text text_of(const void *bytes, size_t size);
void text_free(struct text *text);

struct yaml_source text_source(const char *file, const struct text *text);

/* Errors were added exactly when nothing was accepted, and every line that people will see names
 * its place, fits, and is clean UTF-8. */
void check_said(const struct diags *diags, bool accepted);

#endif
