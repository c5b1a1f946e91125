/* The text of a manifest, from wherever it is: plugin.yaml, or inside an executable. */
#ifndef PLUGCTL_CHECK_READ_H
#define PLUGCTL_CHECK_READ_H

#include <stdbool.h>
#include <stddef.h>

#include "core/diag.h"

/*
 * NULL after an error was added.  The caller frees it.  *ret_single: the file is an executable that
 * holds its manifest, so that it is what is executed; any other file is taken as the manifest
 * itself.
 */
char *check_read(const char *path, size_t *ret_size, bool *ret_single, struct diags *diags);

/* May plugd find a plugin in this executable file: a manifest, or the damaged rest of one? */
bool check_holds_manifest(const char *path);

#endif
