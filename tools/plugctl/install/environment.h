/*
 * The environment that a manifest declares: for Python, a virtual environment with its
 * requirements.  Programs are executed without a shell, in the plugin's folder, as whoever
 * installs; what they print is kept in a log.
 */
#ifndef PLUGCTL_INSTALL_ENVIRONMENT_H
#define PLUGCTL_INSTALL_ENVIRONMENT_H

#include "core/manifest.h"
#include "os/reason.h"

struct progress;

struct environment {
	const char *folder; /* the plugin's, where it stays: an environment cannot be moved */
	const char *log;    /* file that is written anew */
	int lock_fd;        /* inherited, so that it is held as long as anybody is at work */
	struct progress *progress; /* may be NULL; told what is being done */
};

/* Nothing to do is PLUG_OK.  PLUG_EINVAL: a program failed; PLUG_ETIMEOUT: it was ended;
 * PLUG_ESYS.  The reason quotes the log's last line. */
plug_err environment_make(const struct environment *environment,
			  const struct manifest_environment *wanted, struct reason *why);

#endif
