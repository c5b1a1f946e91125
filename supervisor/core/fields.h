/*
 * Tables that say which keys a mapping may have, and the one decoder that follows them.
 *
 * A row names a key, its type, where its value goes in a struct, its limits, its default as it
 * would be written, and a sentence for people.  Parser, messages, defaults and the reference pages
 * are all made from these rows, so none of them can forget a key.
 *
 * Decoders return nothing: what is wrong is an error in ctx->diags, and whoever started the
 * decoding looks at diags->errors.  A value that was refused leaves its place in the struct as it
 * was. Nothing here does I/O; decoded values live in ctx->arena.
 */
#ifndef PLUGD_FIELDS_H
#define PLUGD_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "core/diag.h"
#include "core/yaml.h"

#define FIELD_PATH_BYTES 256
#define FIELD_TEXT_BYTES 160 /* of an expectation */

struct field;
struct field_ctx;

/* What a value may be.  One constant a type. */
struct field_type {
	const char *name; /* for the reference pages: "duration" */
	size_t size;      /* of the value in the struct */
	void (*decode)(struct field_ctx *ctx, const struct field *field,
		       const struct yaml_node *node, void *dest);
	/* The phrase after "expected"; never empty. */
	void (*expect)(const struct field *field, char buffer[FIELD_TEXT_BYTES]);
	/* Optional: other defaults than zero or the row's text. */
	void (*init)(struct field_ctx *ctx, const struct field *field, void *dest);
};

/* A set of names or identifiers: who is one, and how a message calls it. */
struct field_names {
	bool (*ok)(const char *text);
	const char *expected; /* "a name (a-z, 0-9 and -, …)" */
};

struct field_table {
	const struct field *fields;
	size_t count;
	size_t size; /* of the struct */
	/* Optional: what only several values together can get wrong.  Runs after the keys. */
	void (*check)(struct field_ctx *ctx, const struct yaml_node *node, void *dest);
};

enum {
	FIELD_REQUIRED = 1 << 0,
	FIELD_OVERRIDE = 1 << 1, /* plugd.yaml may set it in plugins: */
	FIELD_SECRET = 1 << 2,   /* its value is never shown */
};

struct field {
	const char *key;
	const struct field_type *type;
	size_t offset, size;
	/* Numbers: the value; text: bytes; lists and mappings: entries.  Durations in ms. */
	int64_t min, max;
	double min_float, max_float;
	const char *const *words;        /* of an enum, NULL-terminated */
	const struct field_names *names; /* of a name, of list items, of a mapping's keys */
	const struct field_table *table; /* of a section, or of a mapping's entries */
	const char *fallback;            /* the default, as it would be written; NULL: none */
	unsigned flags;
	const char *help;
};

/* Rows: FIELD(struct run, "instances", instances, int, .min = 1, .max = 64, .help = "…") */
#define FIELD(owner, key_, member_, type_, ...)                                            \
	{                                                                                  \
		.key = (key_), .type = &field_##type_, .offset = offsetof(owner, member_), \
		.size = sizeof(((owner *)0)->member_), __VA_ARGS__                         \
	}
#define FIELD_TABLE(owner, rows, ...)                                        \
	{                                                                    \
		.fields = (rows), .count = sizeof(rows) / sizeof((rows)[0]), \
		.size = sizeof(owner), __VA_ARGS__                           \
	}

/* Where a value was set.  A list of these is made while decoding, one entry a leaf. */
struct field_origin {
	const char *path; /* "run.backoff.min" */
	struct diag_pos pos;
	const struct field_origin *next;
};

struct field_ctx {
	struct arena *arena;
	struct diags *diags;
	const char *file;     /* of the nodes, for messages; copied where it is kept */
	const char *base_dir; /* relative paths are completed with it; NULL: left alone */
	bool overriding;      /* only FIELD_OVERRIDE rows; nothing is required */
	bool shape_only;      /* overriding something that is not known yet: names are free */
	const struct field_origin **origins; /* where to add; NULL: nobody asks */
	char path[FIELD_PATH_BYTES];         /* of the value in hand, for messages */
	size_t path_length;
	size_t root_length;  /* the part of `path` before the table's own root */
	const char *implied; /* a required key that may be left out all the same; NULL: none is */
};

/* ---- values in structs ---- */

struct field_strings {
	const char *const *items;
	size_t count;
};

bool field_strings_have(const struct field_strings *strings, const char *text);

struct field_pair {
	const char *name, *value;
};

struct field_pairs {
	const struct field_pair *items;
	size_t count;
};

/* Entries of a mapping whose keys are free.  Each entry's struct begins with `const char *name`. */
struct field_entries {
	void *items;
	size_t count;
};

/* A list of mappings. */
struct field_sections {
	void *items;
	size_t count;
};

extern const struct field_type field_bool;        /* bool */
extern const struct field_type field_int;         /* int64_t */
extern const struct field_type field_float;       /* double */
extern const struct field_type field_string;      /* const char * */
extern const struct field_type field_name;        /* const char *, `names` */
extern const struct field_type field_path;        /* const char *, completed with base_dir */
extern const struct field_type field_word;        /* int: the index in `words` */
extern const struct field_type field_duration_ms; /* uint64_t */
extern const struct field_type field_duration_ns; /* uint64_t */
extern const struct field_type field_size_bytes;  /* uint64_t */
extern const struct field_type field_strings;  /* struct field_strings; `names`: of these, unique */
extern const struct field_type field_paths;    /* struct field_strings */
extern const struct field_type field_pairs;    /* struct field_pairs, `names`: of the keys */
extern const struct field_type field_section;  /* the table's struct */
extern const struct field_type field_entries;  /* struct field_entries */
extern const struct field_type field_sections; /* struct field_sections */

extern const struct field_names field_plugin_names; /* a-z 0-9 -, at most 63 bytes */
extern const struct field_names field_identifiers;  /* letters, digits, _ - ., at most 63 bytes */

/* ---- decoding ---- */

/* Fill *dest, of table->size bytes, with every row's default. */
void fields_init(struct field_ctx *ctx, const struct field_table *table, void *dest);

/* Decode a mapping (or nothing at all) on top of what *dest holds. */
void fields_decode(struct field_ctx *ctx, const struct field_table *table,
		   const struct yaml_node *node, void *dest);

/* Decode one value as `field` wants it; used for values that have no row of their own. */
void field_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
		  void *dest);

/* The row of a dotted path below `table`, through sections only, or NULL. */
const struct field *fields_find(const struct field_table *table, const char *path);

/* Where the value at `path` was set: the last one wins.  NULL: it is the default. */
const struct diag_pos *fields_origin(const struct field_origin *origins, const char *path);

/* ---- for types that are defined elsewhere ---- */

/* `PATH: expected …, found …`, with `detail` (or NULL) in between, at the node's place. */
void field_refuse(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
		  const char *detail);

/* `PATH: …` at the node's place, for what has no simple expectation. */
void field_error(struct field_ctx *ctx, const struct yaml_node *node, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Refuses and returns false unless the node is a scalar, or a list with as many entries as the row
 * allows. */
bool field_want_scalar(struct field_ctx *ctx, const struct field *field,
		       const struct yaml_node *node);
bool field_want_list(struct field_ctx *ctx, const struct field *field,
		     const struct yaml_node *node);

/* Memory for a decoded value; on failure an error is added and NULL returned. */
void *field_alloc(struct field_ctx *ctx, const struct yaml_node *node, size_t count, size_t bytes);
const char *field_keep(struct field_ctx *ctx, const struct yaml_node *node, const char *text);

/* `path` below `base` unless it is absolute or there is no base; "." and empty parts go, ".."
 * stays. NULL: out of memory. */
char *field_complete_path(struct arena *arena, const char *base, const char *path);

/* Go into a key or a list item for messages; give the result to field_leave(). */
size_t field_enter(struct field_ctx *ctx, const char *key);
void field_leave(struct field_ctx *ctx, size_t mark);

struct diag_pos field_pos(const struct field_ctx *ctx, const struct yaml_node *node);
struct diag_pos field_key_pos(const struct field_ctx *ctx, const struct yaml_node *node);

#endif
