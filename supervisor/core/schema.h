/*
 * A plugin's config schema: which keys it has, what each may be, and what it is.
 *
 *   config:
 *     batch: { type: int, min: 1, max: 64, default: 8, live: true, description: … }
 *
 * A schema lives in its manifest.  Values are decoded into `struct schema_value`, which also
 * carries the canonical text that goes to the plugin.  Pure; errors go to ctx->diags.
 */
#ifndef PLUGD_SCHEMA_H
#define PLUGD_SCHEMA_H

#include "core/fields.h"

#define SCHEMA_KEYS 256 /* of one plugin */

enum schema_type {
	SCHEMA_BOOL,
	SCHEMA_INT,
	SCHEMA_FLOAT,
	SCHEMA_STRING,
	SCHEMA_ENUM,
	SCHEMA_PATH,
	SCHEMA_DURATION,
	SCHEMA_BYTES,
	SCHEMA_LIST, /* of text */
	SCHEMA_TYPE_COUNT,
};

struct schema_value {
	bool is_set;
	union {
		bool boolean;
		int64_t integer;
		double number;
		const char *string; /* also a path */
		int word;           /* index in the key's words */
		uint64_t duration_ns;
		uint64_t bytes;
		struct field_strings list;
	};
	/*
	 * As it goes to the plugin: true|false, decimal, a float that reads back exactly, durations
	 * in ns, sizes in bytes.  Of a list, for people: its items joined by ", ".
	 */
	const char *text;
};

struct schema_key {
	const char *name;
	enum schema_type type;
	struct field rule; /* type, limits and words as a row that decodes into the union */
	bool required, secret, live;
	const char *description;      /* or NULL */
	struct schema_value fallback; /* `default:` */
	struct schema_value
		configured; /* plugd.yaml's, already checked; its place in `configured_at` */
	/* plugd.yaml says where the value is: in a file (absolute), or in a variable.  Else NULL.
	 */
	const char *configured_file, *configured_variable;
	struct diag_pos declared_at, configured_at;
};

struct schema {
	struct schema_key *keys; /* in the order of the manifest */
	size_t count;
};

/* The row type of a manifest's `config:`.  While overriding, its mapping holds values, not
 * declarations. */
extern const struct field_type field_schema;

/* The rows of one declaration, for the reference pages. */
extern const struct field_table schema_key_table;

/* Names of the types, in the order of the enum; ends with NULL. */
extern const char *const schema_type_words[];

/*
 * Decode one declaration, all but its name and place.  False after an error; *key is then of no
 * use.
 */
bool schema_declare(struct field_ctx *ctx, const struct yaml_node *node, struct schema_key *key);

/* What decodes values of a type: for keys that are made from elsewhere than a manifest. */
const struct field_type *schema_decoder(enum schema_type type);

/* "int"; static memory. */
const char *schema_type_name(enum schema_type type);

struct schema_key *schema_find(const struct schema *schema, const char *name);

/* An unknown key: an error with the near miss, at `pos`. */
void schema_unknown_key(const struct schema *schema, struct diags *diags,
			const struct diag_pos *pos, const char *name);

/*
 * Decode a value from a file's node or from text (environment, --set), where a list is written
 * "a,b,c" or "[a, b]".  False after an error; *ret is then untouched.
 */
bool schema_decode(struct field_ctx *ctx, const struct schema_key *key,
		   const struct yaml_node *node, struct schema_value *ret);
bool schema_decode_text(struct field_ctx *ctx, const struct schema_key *key, const char *text,
			struct schema_value *ret);

#endif
