/* The runtime layer of a plugin's configuration, kept in the state directory as config.NAME. */
#ifndef PLUGD_RUNTIME_FILE_H
#define PLUGD_RUNTIME_FILE_H

#include <plug/error.h>

#include "core/runtime.h"

/* An empty one where nothing is kept.  `state_fd` -1: nothing is kept anywhere.  NULL after an
 * error was added. */
struct runtime *runtime_file_load(int state_fd, const char *plugin, struct diags *diags);

/* Whole or not at all; waits for the disk.  PLUG_ENOMEM.  PLUG_ESYS: errno says why. */
plug_err runtime_file_store(int state_fd, const char *plugin, const struct runtime *runtime);

/*
 * The same in two steps: what may fail for want of space or rights comes first.  The second without
 * the first stores as the one above; runtime_file_discard() instead of it leaves what was there.
 */
plug_err runtime_file_prepare(int state_fd, const char *plugin, const struct runtime *runtime);
plug_err runtime_file_commit(int state_fd, const char *plugin, const struct runtime *runtime);
void runtime_file_discard(int state_fd, const char *plugin);

#endif
