/*
 * Options, plugd.yaml and the plugin directories: from what is on disk to specs.  Main thread;
 * reads files, executes nothing.
 */
#ifndef PLUGD_CONFIG_H
#define PLUGD_CONFIG_H

#include <limits.h>
#include <plug/error.h>

#include "base/list.h"
#include "config_store.h"
#include "core/place.h"
#include "core/settings.h"
#include "os/scan.h"
#include "plugin/spec.h"

#define CONFIG_DIRS 64

struct registry;

/* The command line. */
struct options {
	char *const *argv;       /* all of it */
	const char *config_file; /* NULL: none */
	const char *plugin_dirs[CONFIG_DIRS];
	size_t plugin_dir_count;
	const char *runtime_dir, *state_dir; /* NULL: from the file, or the default */
	const char *log_level, *log_format;
	bool check;
};

/* Settings of the file, or the default ones without a file.  NULL after at least one error was
 * added. */
struct settings *config_load(const struct options *options, struct diags *diags);

/*
 * Where plugd keeps what has to survive it: --state-dir, else state_dir of the file, else "state"
 * in a runtime directory that was given, else /var/lib/plugd for root and $XDG_STATE_HOME/plugd
 * (~/.local/state/plugd) for others.
 */
void config_state_dir(const struct options *options, const struct settings *settings, char *path,
		      size_t size);

/* Where a place to look for plugins comes from: in the order of precedence. */
enum dir_origin {
	DIR_OPTION,   /* --plugin-dir */
	DIR_SETTINGS, /* plugin_dirs of plugd.yaml */
	DIR_STORE,    /* where plugctl install puts them */
	DIR_ADDED,    /* plugctl dirs add */
	DIR_LOADED,   /* plugctl load: one plugin */
};

#define CONFIG_LOADED 256
#define CONFIG_ROOTS  (3 * CONFIG_DIRS + 1 + CONFIG_LOADED)

/* The texts are those of options, settings and lists.  Not to be copied.  All zero is none. */
struct config_dirs {
	const char *paths[CONFIG_ROOTS];
	char *real[CONFIG_ROOTS]; /* links resolved when it was last looked at; NULL: not there */
	unsigned char origin[CONFIG_ROOTS];
	size_t count;
	char store[PATH_MAX], keys[PATH_MAX]; /* of the store; neither need be there */
};

/* Those of the command line, those of the file, and the store if it is there.  What was in *ret is
 * freed. */
void config_dirs(const struct options *options, const struct settings *settings,
		 struct config_dirs *ret);

/* One more; beyond the most that there may be it is left out. */
void config_dirs_add(struct config_dirs *dirs, const char *path, enum dir_origin origin);
void config_dirs_fini(struct config_dirs *dirs);

/* Where they really are, as of now. */
void config_dirs_resolve(struct config_dirs *dirs);

/* The first of them that this manifest is below, and what its place there says; dirs->count: none,
 * and *ret is a place in no store. */
size_t config_place(const struct config_dirs *dirs, const char *path, struct place *ret);

/* What is there already. */
struct config_present {
	int state_fd;                 /* the state directory, or -1 */
	const struct registry *known; /* what stays in force where a manifest is wrong; or NULL */
	/* What was made of the manifest at this path before, to be taken again if nothing that it
	 * was made of has changed since; NULL: nothing. */
	struct spec *(*find)(void *user, const char *path);
	void *user;
};

/* For the specs of one search; config_making_fini() in any case. */
struct config_making {
	const struct settings *settings;
	struct config_present present;
	struct config_store store;
};
void config_making_init(struct config_making *making, const struct options *options,
			const struct settings *settings, const struct config_present *present);
void config_making_fini(struct config_making *making);

/* What a scan found: the spec is the caller's, or NULL after a struct bad_plugin was appended to
 * `bad`. */
struct spec *config_make(struct config_making *making, const struct scan_plugin *found,
			 struct list *bad);
void config_scan_errors(const struct scan *scan, struct list *bad);

/*
 * Every plugin in these directories.  *ret_specs (count in *ret_count) is the caller's, as are its
 * specs; what cannot be a plugin is appended to `bad` (struct bad_plugin).  PLUG_ENOMEM.
 */
plug_err config_discover(const struct options *options, const struct config_dirs *dirs,
			 const struct settings *settings, const struct config_present *present,
			 struct spec ***ret_specs, size_t *ret_count, struct list *bad);

/* Of the texts that this plugin is made from, as they are now: its manifest, and what the settings
 * lay over it.  As spec->fingerprint.  0: the manifest cannot be read. */
uint64_t config_fingerprint(const struct settings *settings, const struct spec *spec);

/*
 * One plugin again, from what is on disk now: plugd.yaml and the manifest that `spec` was read
 * from, with the same --set.  In the store it is that of `version`, or with NULL that of the chosen
 * one.  NULL after at least one error was added.
 */
struct spec *config_reread(const struct options *options, const struct spec *spec,
			   const char *version, int state_fd, struct diags *diags);

#endif
