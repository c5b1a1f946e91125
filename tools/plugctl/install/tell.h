/* What the store's verbs ask of plugd. */
#ifndef PLUGCTL_INSTALL_TELL_H
#define PLUGCTL_INSTALL_TELL_H

#include "ctl.h"

/* A plugin as plugd sees it. */
struct tell_state {
	char state[32];    /* "": plugd has no such plugin */
	char version[128]; /* that is in force */
	char path[4096];   /* of its manifest */
	char why[1024];    /* also: why plugd has no such plugin */
	bool autostart;
};

/* Have plugd look at its directories again.  CTL_DONE, or the exit status after the reason was
 * printed. */
int tell_reread(struct ctl *ctl);

/* Ask.  No such plugin is CTL_DONE. */
int tell_find(struct ctl *ctl, const char *name, struct tell_state *ret);

/* Wait until one that is starting has started, or cannot; then its state.  `is_new`: plugd has just
 * found it, and may not have begun to start it. */
int tell_settle(struct ctl *ctl, const char *name, bool is_new, struct tell_state *state);

/* Stop it, and wait until it has. */
int tell_stop(struct ctl *ctl, const char *name);

/* The plugins that require it, by commas; "": none, or there is no such plugin. */
int tell_dependents(struct ctl *ctl, const char *name, char *text, size_t size);

#endif
