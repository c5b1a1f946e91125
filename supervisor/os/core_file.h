/* Where the core of a process is, or why there is none. */
#ifndef PLUGD_CORE_FILE_H
#define PLUGD_CORE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "os/exit_status.h"

#define CORE_PATH_BYTES 512
#define CORE_NOTE_BYTES 256

struct core_of {
	pid_t pid; /* not reaped: its limit is still to be read */
	uid_t uid;
	gid_t gid;
	struct exit_status status;
	const char *folder; /* where it was started: a relative name is looked for there */
	time_t started;     /* an older file is another's */
};

/*
 * `pattern` (/proc/sys/kernel/core_pattern) as a pattern of glob(3): what is not known of the
 * process becomes "*".  `path` gets "" when it does not fit, or names no file.
 */
void core_glob(const char *pattern, const struct core_of *of, char *path, size_t size);

/*
 * `path` gets the file's, or "".  `note` gets what is to be said instead, or "" also when the
 * process ended in a way that makes no core.
 */
void core_find(const struct core_of *of, char path[CORE_PATH_BYTES], char note[CORE_NOTE_BYTES]);

#endif
