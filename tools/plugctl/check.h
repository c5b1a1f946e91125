/* A manifest from a path, checked as plugd would and a little further.  plugd need not run. */
#ifndef PLUGCTL_CHECK_H
#define PLUGCTL_CHECK_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/manifest.h"

#define CHECK_MANIFEST "plugin.yaml"

/*
 * Parse a manifest file and look at what it names on this machine: program, interpreter, required
 * programs, user, paths.  NULL after at least one error was added; there may be errors also when
 * there is a manifest.  The caller frees it with manifest_free().
 */
struct manifest *check_manifest(const char *path, struct diags *diags);

/* Only parse it, and see that this plugd satisfies requires.host and that what its environment is
 * made of is there.  As check_manifest(). */
struct manifest *check_parse(const char *path, struct diags *diags);

/* The manifest file that a PATH of the command line means: itself, or plugin.yaml in that folder.
 */
void check_manifest_path(const char *path, char *ret, size_t size);

/* What plugd finds it by: its folder, or its single file; absolute.  In the manifest or in `path`.
 */
const char *check_plugin_path(const struct manifest *manifest, char path[PATH_MAX]);

/* Is it a program in a folder of $PATH, or, with a '/', a file that can be executed? */
bool check_program(const char *name);

/* "/usr/bin/python3" of a file that begins with #!; false: it does not. */
bool check_interpreter(const char *path, char *ret, size_t size);

/* What is kept of `diags`, each on a line of stderr. */
void check_print(const struct diags *diags);

#endif
