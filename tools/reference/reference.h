/* The keys of plugin.yaml and plugd.yaml as text for people, from the tables that the parser
 * follows. */
#ifndef REFERENCE_H
#define REFERENCE_H

#include <stdbool.h>
#include <stdio.h>

#include "core/fields.h"

#define REFERENCE_PATH_BYTES 160

/* One key, flattened: "run.backoff.min". */
struct reference_key {
	const char *path;
	const struct field *field;
	char expected[FIELD_TEXT_BYTES];
	bool overridable; /* plugd.yaml may set it for a plugin */
};

/* What a placeholder of a template stands for. */
struct reference_part {
	const char *name; /* "manifest" */
	const struct field_table *table;
	bool is_manifest;
};

struct reference_format {
	void (*begin)(FILE *out);
	void (*key)(FILE *out, const struct reference_key *key);
	void (*end)(FILE *out);
};

extern const struct reference_format reference_markdown, reference_man;

const struct reference_part *reference_find(const char *name);
void reference_keys(const struct reference_part *part, const struct reference_format *format,
		    FILE *out);

/* What a plugin of each type has to offer; markdown only. */
void reference_contracts(FILE *out);

#endif
