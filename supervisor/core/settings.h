/*
 * plugd.yaml: the daemon's settings, and what it lays over plugins' manifests.
 *
 * Immutable after parsing, owns all its text and the tree of `plugins:`; read by any thread.  What
 * asks for behaviour that does not exist is refused as "not supported yet: …".  An empty or missing
 * file is valid: settings_default() gives the same.
 */
#ifndef PLUGD_SETTINGS_H
#define PLUGD_SETTINGS_H

#include "base/log.h"
#include "core/fields.h"
#include "core/manifest.h"

struct settings_log {
	int level;          /* enum log_level */
	int format;         /* enum log_format */
	const char *dir;    /* of the plugins' log files; NULL: "log" in the state directory */
	uint64_t max_bytes; /* of a file before it is rotated */
	int64_t files;      /* rotated ones kept */
};

struct settings_limits {
	int64_t clients;         /* connections in all */
	int64_t clients_per_uid; /* of one user that is neither plugd's own nor root */
	int64_t calls_per_client;
	int64_t calls_per_instance;
	int64_t queue_calls;
	uint64_t call_timeout_ms;
	uint64_t client_queue_bytes; /* replies that wait for one client */
	uint64_t call_bytes;         /* payload of a call or a reply, chunks joined */
	uint64_t log_ring_bytes;     /* last output of one plugin, in memory */
	int64_t plugins;
};

struct settings_plugin {
	const char *name;
	struct manifest_override override;
};

struct settings_plugins {
	struct settings_plugin *items;
	size_t count;
};

struct settings_scheme {
	struct field_strings required_devices;
	struct field_pairs memory_mb; /* device -> number */
	struct field_pairs config;
	struct field_strings command;
};

struct settings_model {
	const char *name;
	const char *plugin;
	struct field_strings aliases;
	const char *mode;
	int64_t port;
	bool auto_start;
	uint64_t alive_time_ms;        /* 0: for ever */
	struct field_sections schemes; /* struct settings_scheme */
};

struct settings {
	struct arena arena; /* of all below */
	const char *file;   /* NULL: made by settings_default() */
	const char *dir;
	const struct field_origin *origins;

	struct field_strings plugin_dirs; /* absolute */
	const char *runtime_dir;          /* absolute, or NULL: the built-in choice */
	const char *state_dir;            /* likewise */
	struct settings_log log;
	struct settings_limits limits;
	bool watch;
	struct field_strings load_order; /* of manifest types */
	bool allow_unsafe;
	bool metrics;
	struct settings_plugins plugins;
	struct field_entries models; /* struct settings_model */
};

struct settings_input {
	struct yaml_source source;
	const char *dir; /* absolute, of the file: relative paths are below it */
};

/* NULL after at least one error was added.  The caller frees with settings_free(). */
struct settings *settings_parse(const struct settings_input *input, struct diags *diags);

/* The settings of an empty file; NULL only when memory runs out. */
struct settings *settings_default(void);

void settings_free(struct settings *settings);

/* What plugd.yaml lays over this plugin's manifest, or NULL.  Lives as long as the settings. */
const struct manifest_override *settings_override(const struct settings *settings,
						  const char *plugin);

/* Where plugd.yaml set "log.level"; NULL: it is the default. */
const struct diag_pos *settings_origin(const struct settings *settings, const char *path);

/* The root table, for the reference pages and the tests. */
extern const struct field_table settings_table;

#endif
