/* Asking plugd to do something: start, stop, restart, reload, reread, shutdown. */
#ifndef PLUGCTL_ACT_H
#define PLUGCTL_ACT_H

#include "verb.h"

#define ACT_SETS_MAX ARGS_OPTIONS_MAX

/*
 * Do it to every plugin named, one after the other, also after one failed.  Prints the results; the
 * exit status of the first failure.
 */
int act_on_plugins(struct ctl *ctl, const struct args *args, Plug__Action action);

/* The one plugin that is named: so many instances; 0: as many as its manifest says. */
int act_scale(struct ctl *ctl, const struct args *args, unsigned instances);

/* The plugin at an absolute path. */
int act_load(struct ctl *ctl, const struct args *args, const char *path);

/* One action on plugd itself. */
int act_on_daemon(struct ctl *ctl, Plug__Action action, uint64_t timeout_ms,
		  plug_on_response on_response, void *user);

extern const struct option_spec act_options[]; /* --no-wait */

#endif
