/*
 * Finding plugins: every folder with a plugin.yaml below the plugin directories.  Nothing is
 * executed or parsed.
 *
 * Skipped: names that begin with a dot or an underscore, and *.template.  A folder that is a plugin
 * is not searched for others.  A symbolic link to a folder is followed; every folder is visited
 * once, by device and inode, so links can make neither loops nor doubles.  plugin.yaml itself must
 * be a regular file, not a link.  What cannot be read is reported with its path and hides nothing
 * else.
 */
#ifndef PLUGD_SCAN_H
#define PLUGD_SCAN_H

#include <stddef.h>

#include <plug/error.h>

#include "os/reason.h"

#define SCAN_MANIFEST       "plugin.yaml"
#define SCAN_MANIFEST_BYTES (256u * 1024)
#define SCAN_DEPTH          8     /* folders below a plugin directory */
#define SCAN_FOLDERS        16384 /* visited in one scan */
#define SCAN_PLUGINS        4096  /* found in one scan */

struct scan_plugin {
	char *folder;   /* absolute, links resolved */
	char *manifest; /* folder + "/plugin.yaml" */
	char *text;     /* its bytes, not validated; NUL after the last */
	size_t size;
	size_t root; /* index of the plugin directory it was found in */
};

struct scan_error {
	char *path;
	plug_err code; /* PLUG_ENOTFOUND: a plugin directory that is missing */
	struct reason why;
};

struct scan {
	struct scan_plugin *plugins; /* in the order of the roots, then sorted by folder */
	size_t plugin_count;
	struct scan_error *errors;
	size_t error_count;
};

/* PLUG_ENOMEM is the only failure; *ret is then untouched. */
plug_err scan_run(const char *const *roots, size_t root_count, struct scan *ret);

void scan_fini(struct scan *scan);

#endif
