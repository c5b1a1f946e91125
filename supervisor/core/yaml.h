/*
 * YAML text as a small immutable tree.  The one place that knows libfyaml.
 *
 * Accepted is what a configuration file needs: one document of lists, mappings with plain text keys
 * and scalars.  Refused, with the place: more than 256 KiB, anything text_check() refuses, anchors,
 * aliases, tags, duplicate keys, a second document, more than YAML_DEPTH levels, more than
 * YAML_NODES nodes.  Scalars are kept as text with their quotes known; what a text means is the
 * reader's affair.
 *
 * A tree lives in the caller's arena, refers to nothing outside it, and is read by any thread.
 */
#ifndef PLUGD_YAML_H
#define PLUGD_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "core/diag.h"

#define YAML_BYTES       ((size_t)256 * 1024)
#define YAML_DEPTH       16
#define YAML_NODES       20000
#define YAML_ENTRIES     4096                      /* of one mapping */
#define YAML_ARENA_BYTES ((size_t)4 * 1024 * 1024) /* enough for any accepted text */
#define YAML_FOUND_BYTES 64

enum yaml_kind {
	YAML_NULL, /* nothing after the key, "~" or "null" */
	YAML_SCALAR,
	YAML_LIST,
	YAML_MAP,
};

struct yaml_node {
	enum yaml_kind kind;
	bool quoted;           /* scalar: in quotes, or a | or > block */
	unsigned line, column; /* from 1 */
	const char *text;      /* scalar: no NUL inside, one behind it; else NULL */
	const char *key;       /* child of a mapping: its key; else NULL */
	unsigned key_line, key_column;
	size_t count;                  /* children */
	const struct yaml_node *first; /* children in the order of the file */
	const struct yaml_node *next;  /* the parent's next child */
};

struct yaml_source {
	const char *file; /* for messages */
	const char *text; /* need not end with a NUL */
	size_t length;
};

/*
 * The root, or NULL after at least one error was added.  An empty file gives a YAML_NULL root at
 * line 1.  Takes time in proportion to the text; blocks on nothing.
 */
const struct yaml_node *yaml_parse(const struct yaml_source *source, struct arena *arena,
				   struct diags *diags);

/* The child of a mapping, or NULL, also when `map` is no mapping. */
const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);

/* What a message says was found: `"text"`, `a list`, `a mapping`, `nothing`.  Long text is cut. */
void yaml_found(const struct yaml_node *node, char buffer[YAML_FOUND_BYTES]);

#endif
