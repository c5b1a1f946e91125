/*
 * Small files that survive: written whole or not at all.  Main thread; a write waits for the disk
 * (fsync), so not for hot paths.
 */
#ifndef PLUGD_STATEDIR_H
#define PLUGD_STATEDIR_H

#include <stddef.h>

#include <plug/error.h>

#include "os/reason.h"

/*
 * Open the directory, creating it and missing parents 0700.  It has to be ours and not writable by
 * others.  *ret_fd is the caller's.  PLUG_EDENIED, PLUG_ESYS, with the reason.
 */
plug_err statedir_open(const char *path, int *ret_fd, struct reason *why);

/*
 * Replace `name` by these bytes: temporary file, fsync, rename, fsync of the directory.  On failure
 * the old content is in force.  PLUG_EINVAL: a name with a slash or a leading dot.  PLUG_ESYS.
 */
plug_err statedir_write(int dir_fd, const char *name, const void *data, size_t size);

/* The same in two steps, for what is to be in force only later, and must not fail then: the first
 * does all but the rename, which the second does.  Or the second is left out. */
plug_err statedir_prepare(int dir_fd, const char *name, const void *data, size_t size);
plug_err statedir_commit(int dir_fd, const char *name);
void statedir_discard(int dir_fd, const char *name);

/*
 * Read a file of at most `cap` bytes into malloc'ed memory, with a NUL after the last byte.
 *
 * PLUG_ENOTFOUND  there is none
 * PLUG_ETOOLARGE  it holds more
 * PLUG_EINVAL     not a regular file
 */
plug_err statedir_read(int dir_fd, const char *name, size_t cap, char **ret_data, size_t *ret_size);

/* PLUG_OK also when there was none. */
plug_err statedir_remove(int dir_fd, const char *name);

#endif
