/*
 * The effective config of a plugin: every key's value and who set it.
 *
 * Layers, last wins: the manifest's default, plugd.yaml, the environment (PLUGD_<PLUGIN>_<KEY>,
 * upper case, '-' written '_'; PLUGD_<PLUGIN>_<KEY>_FILE names a file that holds the value),
 * `plugctl start --set key=value`, `plugctl config set`.  All or nothing: one rejected value and
 * there is no result, so that what was in force stays in force. Pure.
 */
#ifndef PLUGD_EFFECTIVE_H
#define PLUGD_EFFECTIVE_H

#include "core/manifest.h"
#include "core/runtime.h"

#define EFFECTIVE_BYTES     (48u * 1024) /* of all keys and values: they fit one WELCOME */
#define EFFECTIVE_WHY_BYTES 160
#define EFFECTIVE_ENV_BYTES 160 /* of an environment variable's name, NUL included */

enum effective_layer {
	EFFECTIVE_UNSET, /* no layer sets it, and it is not required */
	EFFECTIVE_MANIFEST,
	EFFECTIVE_FILE,
	EFFECTIVE_ENVIRONMENT,
	EFFECTIVE_SET,
	EFFECTIVE_RUNTIME,
	EFFECTIVE_LAYERS,
};

/* A file that holds a value, and what it held.  path is NULL: none. */
struct effective_file {
	const char *path, *text;
};

struct effective_value {
	const struct schema_key *key;
	enum effective_layer layer;
	struct schema_value value;  /* is_set is false for EFFECTIVE_UNSET */
	struct diag_pos origin;     /* EFFECTIVE_UNSET: where the key is declared */
	struct effective_file file; /* that was read for it; it may hold something else by now */
};

/* Refers to the manifest it was made from, which has to outlive it. */
struct effective {
	struct arena arena;
	struct effective_value *values; /* one a key, in the order of the manifest */
	size_t count;
};

struct effective_input {
	const struct manifest *manifest;
	const char *const *environment; /* "NAME=value"…, NULL-terminated; or NULL */
	const char *const *set;         /* "key=value" each */
	size_t set_count;
	const struct runtime_value *runtime; /* NULL: none */
	size_t runtime_count;
	const struct effective_file *files; /* that were read before: not again */
	size_t file_count;
	/* What a file holds, without the newline at its end, in the arena; NULL, with `why`: it
	 * cannot be read.  NULL: values in files are refused. */
	const char *(*read_file)(const char *path, struct arena *arena,
				 char why[EFFECTIVE_WHY_BYTES]);
};

/*
 * NULL after at least one error was added.  A variable PLUGD_<PLUGIN>_… that names no key but
 * nearly does is a warning.  The caller frees the result with effective_free().
 */
struct effective *effective_resolve(const struct effective_input *input, struct diags *diags);
void effective_free(struct effective *effective);

const struct effective_value *effective_find(const struct effective *effective, const char *key);

/* "default", "/etc/plugd.yaml:12:9", "environment PLUGD_GPT2_DEVICE", "--set", "config set, change
 * 7 of …", "not set" */
void effective_origin(const struct effective_value *value, char *buffer, size_t size);

/* "manifest", "file", … */
const char *effective_layer_name(enum effective_layer layer);

/* What may be shown: the text, *** for a secret, "" when not set.  Never the value of a secret. */
const char *effective_shown(const struct effective_value *value);

/* "PLUGD_GPT2_MAX_BATCH_SIZE" */
void effective_env_name(const char *plugin, const char *key, char buffer[EFFECTIVE_ENV_BYTES]);

#endif
