/*
 * The manifest at a path, wherever it is kept: a file plugin.yaml, or inside a single executable
 * file (core/embedded.h).  Nothing is executed.  Reads files; any thread.
 */
#ifndef PLUGD_PLUGIN_FILE_H
#define PLUGD_PLUGIN_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include <plug/error.h>

#include "os/reason.h"

#define PLUGIN_MANIFEST       "plugin.yaml"
#define PLUGIN_MANIFEST_BYTES (256u * 1024)

/* Does the manifest's path name the file that is executed, rather than a plugin.yaml? */
bool plugin_file_is_single(const char *path);

/*
 * `name`, relative to dir_fd.  *ret_text is malloc'ed, NUL behind its *ret_size bytes; its lines
 * and columns are those of the file, or of the section.
 *
 * PLUG_ENOTFOUND  there is none: no such file, or an executable without a manifest, or no
 *                 executable at all; `why` says which
 * PLUG_ETOOLARGE, PLUG_EINVAL, PLUG_ESYS   with the reason
 * PLUG_ENOMEM
 */
plug_err plugin_file_read(int dir_fd, const char *name, char **ret_text, size_t *ret_size,
			  struct reason *why);

#endif
