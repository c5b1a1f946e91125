/*
 * plugin.yaml: what a plugin is and how it wants to be run.
 *
 * A manifest is immutable after parsing, owns all its text, and is read by any thread.  Every key
 * of the table in manifest.c is checked.
 * Times in ms, memory in MB of 1,000,000 bytes where the name says so.
 *
 * Not checked here, because it needs I/O: that the program, the required programs,
 * packages and paths exist.
 */
#ifndef PLUGD_MANIFEST_H
#define PLUGD_MANIFEST_H

#include "core/backoff.h"
#include "core/commands.h"
#include "core/fields.h"
#include "core/hang.h"
#include "core/pep440.h"
#include "core/schema.h"
#include "core/semver.h"

#define MANIFEST_ARENA_BYTES ((size_t)2 * 1024 * 1024)

enum manifest_type {
	MANIFEST_MODEL,
	MANIFEST_DEVICE,
	MANIFEST_INTERFACE,
	MANIFEST_PROVIDER,
	MANIFEST_OPTIMIZATION,
	MANIFEST_FEATURE,
	MANIFEST_MEMORY,
	MANIFEST_GATEWAY,
	MANIFEST_TYPE_COUNT,
};

struct manifest_version {
	struct semver number;
	const char *text; /* as written */
};

struct manifest_requirement {
	const char *name; /* of a plugin */
	struct semver_range range;
	const char *text; /* "tokenizer >=1.0 <2", as written */
	struct diag_pos pos;
};

struct manifest_requirements {
	const struct manifest_requirement *items;
	size_t count;
};

/* A Python distribution of the environment that the plugin runs in. */
struct manifest_package {
	const char *name; /* as written; see distribution_same() */
	struct pep440_range range;
	const char *text; /* "numpy >=1.26,<3", as written */
	struct diag_pos pos;
};

struct manifest_packages {
	const struct manifest_package *items;
	size_t count;
};

struct manifest_host {
	struct semver_range range;
	const char *text; /* ">=0.1", as written; NULL: any */
};

struct manifest_provides {
	struct field_strings shared;
	struct field_strings exclusive;
};

/* What its instances may do beyond calling, see serve/permit.h. */
struct manifest_permissions {
	bool observe, admin;
	bool restricts_calls;      /* they may call those below only */
	struct field_strings call; /* plugins */
};

struct manifest_method {
	const char *name;
	bool stream, idempotent;
	uint64_t timeout_ms; /* 0: plugd's default */
	const char *description;
};

struct manifest_resources {
	int64_t memory_mb; /* 0: no limit, as for all of these */
	double cpu;
	int64_t pids;
	int64_t open_files;
};

struct manifest_backoff {
	uint64_t min_ms, max_ms;
};

struct manifest_run {
	bool autostart;
	int64_t instances, standby;
	int restart; /* enum restart_policy */
	struct manifest_backoff backoff;
	int64_t max_failures; /* in a row; 0: no limit */
	uint64_t start_timeout_ms, stop_timeout_ms;
	bool watch;
	const char *user; /* NULL: plugd's own */
	int64_t spin_us;
	struct field_pairs env;
	struct field_strings env_inherit; /* names kept of plugd's environment; empty: all */
	int log_level;                    /* as in Log: 0 debug … 3 error */
	struct field_strings under;       /* what starts the program; empty: nothing */
	bool debug;
};

enum manifest_system_calls { MANIFEST_CALLS_ALL, MANIFEST_CALLS_DEFAULT };

struct manifest_sandbox {
	struct field_strings read,
		write;    /* absolute; either given, be it empty: all else is hidden */
	int system_calls; /* enum manifest_system_calls */
	bool new_privileges;
};

struct manifest_probe {
	const char *method; /* NULL: none */
	uint64_t interval_ms, timeout_ms;
};

struct manifest_hang {
	int call, ping, stopped, traced; /* as in struct hang_policy */
	uint64_t grace_ms, ping_timeout_ms;
};

/* What `plugctl install` makes for it, in its folder. */
struct manifest_environment {
	const char *python;  /* a requirements file, absolute; NULL: none */
	uint64_t timeout_ms; /* of all of it */
};

struct manifest_requires {
	struct manifest_host host;
	struct manifest_requirements plugins;
	struct field_strings capabilities; /* that another plugin provides */
	struct field_strings programs;
	struct manifest_packages packages;
};

struct manifest {
	struct arena arena; /* of all below */
	const char *file;
	const char *dir; /* absolute; relative paths are below it */
	bool single;     /* it is inside the file that is executed, which is `file` */
	const struct field_origin *origins;

	const char *plugin;
	struct manifest_version version;
	int type; /* enum manifest_type */
	/* argv.  exec.items[0] with a '/' is absolute here; without one it is looked for in PATH.
	 */
	struct field_strings exec;
	const char *description, *author, *license, *homepage, *repository, *category;
	const char *created, *updated;
	const char *provider; /* what a provider speaks to: openai */
	struct field_strings models;
	struct field_strings tags;
	int64_t priority; /* 0..999; the higher starts first */
	struct manifest_provides provides;
	struct manifest_requires requires;
	struct manifest_environment environment;
	struct schema config;
	struct field_entries methods; /* struct manifest_method */
	struct manifest_resources resources;
	struct manifest_run run;
	struct manifest_sandbox sandbox;
	struct manifest_probe probe;
	struct manifest_hang hang;
	struct field_strings conflicts;
	struct field_entries commands; /* struct command */
	struct manifest_permissions permissions;
};

/* A part of plugd.yaml that is laid over a manifest: see settings.h. */
struct manifest_override {
	const char *file;
	const struct yaml_node *node; /* NULL: nothing */
	const char *path;             /* "plugins.gpt2", for messages */
};

struct manifest_input {
	struct yaml_source source;
	const char *dir;                          /* absolute, of the manifest */
	const struct manifest_override *override; /* or NULL */
	/* The file that holds this manifest and is executed where `exec` is left out; NULL: it is a
	 * plugin.yaml, which has to name a program. */
	const char *program;
};

/*
 * Parse and check.  NULL after at least one error was added to `diags`; warnings may be added in
 * any case.  Nothing of the input is kept.  The caller frees the result with manifest_free().
 */
struct manifest *manifest_parse(const struct manifest_input *input, struct diags *diags);
void manifest_free(struct manifest *manifest);

/*
 * Check an override without its plugin: keys, types and ranges; config
 * keys and methods are checked when the manifest is known.  True when nothing was wrong.
 */
bool manifest_check_override(const struct manifest_override *override, struct diags *diags);

/* True when this plugd satisfies requires.host; else an error at that place. */
bool manifest_fits_host(const struct manifest *manifest, const char *host_version,
			struct diags *diags);

/* Where plugin.yaml or plugd.yaml set "run.backoff.min"; NULL: it is the default. */
const struct diag_pos *manifest_origin(const struct manifest *manifest, const char *path);

const struct manifest_method *manifest_method(const struct manifest *manifest, const char *name);

/* Where the command of this name or alias is declared. */
const struct diag_pos *manifest_command_origin(const struct manifest *manifest, const char *word);

/* Does it provide this capability, shared or exclusive? */
bool manifest_provides(const struct manifest *manifest, const char *capability);

const char *manifest_type_name(int type);
const char *manifest_restart_name(int restart);
extern const char *const manifest_type_words[]; /* NULL-terminated, in the order of the enum */

/* The root table, for the reference pages and the tests. */
extern const struct field_table manifest_table;

#endif
