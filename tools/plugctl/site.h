/*
 * A plugd of our own for one plugin: a temporary directory, a configuration, a child process.  What
 * is looked at with it is never in the way of a plugd that serves somebody.
 */
#ifndef PLUGCTL_SITE_H
#define PLUGCTL_SITE_H

#include <limits.h>
#include <sys/types.h>

#include "ctl.h"

#define SITE_PATH_BYTES 128
#define SITE_WHY_BYTES  512

struct site_config {
	const char *plugin;      /* its folder, or its single file; absolute */
	const char *name;        /* of the plugin */
	json_t *override;        /* laid over its manifest, as in plugd.yaml; borrowed */
	const char *const *sets; /* KEY=VALUE of its configuration */
	size_t set_count;
	const char *const *with; /* more plugin directories, for what it requires */
	size_t with_count;
	const char *log_level; /* of plugd; NULL: info */
};

struct site {
	char root[SITE_PATH_BYTES];    /* "": there is none */
	char runtime[SITE_PATH_BYTES]; /* for --runtime-dir */
	char log[SITE_PATH_BYTES];     /* of plugd itself */
	char name[64];
	pid_t pid; /* of plugd's guardian; 0: it does not run */
};

/*
 * Start plugd and wait until it answers; the plugin is being started then.  Blocks for 30 s at
 * most.  False after the reason was written to `why`; nothing is left then.
 */
bool site_open(const struct site_config *config, struct site *ret, char why[SITE_WHY_BYTES]);

/* Stop plugd in order, wait for its end, remove the directory.  Blocks for as long as the plugin
 * takes to stop. */
void site_close(struct site *site);

/* Ask plugd to stop.  Async-signal-safe; a second time, a second later, it kills its plugins. */
void site_stop(const struct site *site);

/* The plugd that is started: beside this program, where a build or an installation puts it, else
 * "plugd", to be looked for in $PATH. */
void site_find_plugd(char path[PATH_MAX]);

/* The last lines of plugd's own log, to stderr. */
void site_print_log(const struct site *site);

#endif
