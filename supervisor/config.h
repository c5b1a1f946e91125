/*
 * Options, plugd.yaml and the plugin directories: from what is on disk to specs.  Main thread;
 * reads files, executes nothing.
 */
#ifndef PLUGD_CONFIG_H
#define PLUGD_CONFIG_H

#include <plug/error.h>

#include "base/list.h"
#include "core/settings.h"
#include "plugin/spec.h"

#define CONFIG_DIRS 64

/* The command line. */
struct options {
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

/* All plugin directories: those of the command line, then those of the file. */
struct config_dirs {
	const char *paths[2 * CONFIG_DIRS];
	size_t count;
};
void config_dirs(const struct options *options, const struct settings *settings,
		 struct config_dirs *ret);

/*
 * Every plugin below the directories.  *ret_specs (count in *ret_count) is the caller's, as are its
 * specs; what cannot be a plugin is appended to `bad` (struct bad_plugin).  PLUG_ENOMEM.
 */
plug_err config_discover(const struct options *options, const struct settings *settings,
			 struct spec ***ret_specs, size_t *ret_count, struct list *bad);

#endif
