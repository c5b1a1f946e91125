/*
 * plugd.yaml: the daemon's settings, and what it lays over plugins' manifests.
 *
 * Immutable after parsing, owns all its text and the tree of `plugins:`; read by any thread.  An
 * empty or missing file is valid: settings_default() gives the same.
 */
#ifndef PLUGD_SETTINGS_H
#define PLUGD_SETTINGS_H

#include "base/kept_text.h"
#include "base/log.h"
#include "core/fields.h"
#include "core/manifest.h"
#include "core/metrics_setting.h"
#include "core/models.h"

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
	int64_t channels_per_client;
	int64_t channels_per_instance;
	uint64_t channel_bytes; /* largest region */
	int64_t queue_calls;
	uint64_t call_timeout_ms;
	uint64_t client_queue_bytes; /* replies that wait for one client */
	uint64_t call_bytes;         /* payload of a call or a reply, chunks joined */
	uint64_t log_ring_bytes;     /* last output of one plugin, in memory */
	int64_t plugins;
};

struct settings_store {
	const char *dir;  /* absolute, or NULL: "store" in the state directory */
	const char *keys; /* absolute, or NULL: "keys" in the state directory */
	bool require_signature;
};

enum settings_autoload { AUTOLOAD_ALL, AUTOLOAD_BUILTIN, AUTOLOAD_ENABLED };
enum settings_removed { REMOVED_STOP, REMOVED_KEEP };

struct settings_discovery {
	bool live, create;
	int autoload;       /* enum settings_autoload */
	int removed;        /* enum settings_removed */
	uint64_t rescan_ms; /* 0: never */
};

struct settings_plugin {
	const char *name;
	struct manifest_override override;
};

struct settings_plugins {
	struct settings_plugin *items;
	size_t count;
};

struct settings {
	struct arena arena; /* of all below */
	const char *file;   /* NULL: made by settings_default() */
	const char *dir;
	uint64_t fingerprint;   /* of the text; set by who has read it */
	struct kept_text *text; /* likewise, or NULL; goes with the settings */
	const struct field_origin *origins;

	struct field_strings plugin_dirs; /* absolute */
	struct settings_discovery discovery;
	const char *runtime_dir; /* absolute, or NULL: the built-in choice */
	const char *state_dir;   /* likewise */
	struct settings_log log;
	struct settings_limits limits;
	struct settings_store store;
	bool watch;
	uint64_t watch_delay_ms;         /* of quiet after a change, before anything is looked at */
	bool autostart;                  /* of plugins that do not say themselves */
	struct field_strings load_order; /* of manifest types */
	bool allow_unsafe;               /* run what everybody may write to */
	struct settings_metrics metrics;
	struct settings_plugins plugins;
	struct field_entries models;   /* struct model */
	const char *models_file;       /* absolute, or NULL */
	struct kept_text *models_text; /* what it held; goes with the settings */
};

struct settings_input {
	struct yaml_source source;
	const char *dir; /* absolute, of the file: relative paths are below it */
};

/* NULL after at least one error was added.  The caller frees with settings_free(). */
struct settings *settings_parse(const struct settings_input *input, struct diags *diags);

/* The same of a file that was read, to whose text the settings hold a reference; its fingerprint is
 * set. */
struct settings *settings_from_text(struct kept_text *text, struct diags *diags);

/* The models of settings->models_file, which holds `text`; the fingerprint is of both files then.
 * False after at least one error was added: the settings are not to be used. */
bool settings_add_models(struct settings *settings, struct kept_text *text, struct diags *diags);

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
