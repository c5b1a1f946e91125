/*
 * The model table: which models there are, and the ways to run each, in the order in which they are
 * to be tried.  From `models:` of plugd.yaml, and from a file of its own in JSON with comments, in
 * which a scheme may also be a member of its model, by name.  Pure.
 */
#ifndef PLUGD_MODELS_H
#define PLUGD_MODELS_H

#include "core/fields.h"

struct model_scheme {
	const char *name; /* NULL: it has none */
	struct field_strings required_devices;
	struct field_pairs memory_mb; /* device -> whole number */
	struct field_pairs config;
	struct field_strings command;
	const char *script_path; /* another way to write a command of one word; absolute */
};

struct model {
	const char *name;
	const char *plugin; /* NULL: not said */
	struct field_strings aliases;
	const char *mode;
	int64_t port; /* 0: none */
	bool auto_start;
	uint64_t alive_time_ms;        /* 0: for ever */
	struct field_sections schemes; /* struct model_scheme */
	struct diag_pos pos;
};

/* The row type of a mapping of models: struct field_entries of struct model. */
extern const struct field_type field_models;
extern const struct field_table model_table;

/*
 * Append the models of a file to *models, which it copies: in the arena of `ctx`, with its diags.
 * ctx->file and base_dir are the file's.  Errors and warnings are added there.
 */
void models_read(struct field_ctx *ctx, const struct yaml_source *source,
		 struct field_entries *models);

/* Names and aliases are unique, among other things; where two meet, both are named. */
void models_check(struct field_ctx *ctx, const struct field_entries *models);

/* By its name or an alias; NULL: there is none. */
const struct model *models_find(const struct field_entries *models, const char *name);

#endif
