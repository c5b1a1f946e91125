/*
 * Finding plugins below the plugin directories: every folder with a plugin.yaml, and every
 * executable file that holds its own manifest (plugin_file.h).  Nothing is executed or parsed.
 *
 * Skipped: names that begin with a dot or an underscore or end with a tilde, *.template and
 * *.template.*.  A folder that is a plugin is not searched for others.  A symbolic link is
 * followed; every folder is visited once, by device and inode, so links can make neither loops nor
 * doubles.  plugin.yaml itself must be a regular file, not a link.  An executable without a
 * manifest is no plugin, and not a word is said about it.  What cannot be read is reported with
 * its path and hides nothing else.  A plugin directory may be a plugin itself, its folder or its
 * single file.
 *
 * A scan goes in steps of bounded work, for a loop that has to turn meanwhile; scan_run() is all of
 * them at once.
 */
#ifndef PLUGD_SCAN_H
#define PLUGD_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include <plug/error.h>

#include "os/plugin_file.h"
#include "os/reason.h"

#define SCAN_MANIFEST       PLUGIN_MANIFEST
#define SCAN_MANIFEST_BYTES PLUGIN_MANIFEST_BYTES
#define SCAN_DEPTH          8     /* folders below a plugin directory */
#define SCAN_FOLDERS        16384 /* visited in one scan */
#define SCAN_FILES          65536 /* executables looked into in one scan */
#define SCAN_PLUGINS        4096  /* found in one scan */

struct scan_plugin {
	char *folder;   /* absolute, links resolved */
	char *manifest; /* folder + "/plugin.yaml", or folder + "/" + the single file's name */
	char *text;     /* the manifest's bytes, not validated; NUL after the last */
	size_t size;
	size_t root; /* index of the plugin directory it was found in */
	int store;   /* enum place_store, of its place there */
};

struct scan_error {
	char *path;
	plug_err code; /* PLUG_ENOTFOUND: a plugin directory that is missing */
	bool unseen;   /* descriptors or memory ran out: nobody knows what is there, and below */
	struct reason why;
};

struct scan {
	/* In the order of the roots, within each by store, then by path. */
	struct scan_plugin *plugins;
	size_t plugin_count;
	struct scan_error *errors;
	size_t error_count;
};

/* PLUG_ENOMEM is the only failure; *ret is then untouched. */
plug_err scan_run(const char *const *roots, size_t root_count, struct scan *ret);

struct scan_walk;

/* The paths are copied.  NULL when memory is short. */
struct scan_walk *scan_begin(const char *const *roots, size_t root_count);

/* So many entries of folders, about.  True when it is done: then scan_end(). */
bool scan_step(struct scan_walk *walk, unsigned entries);

/* Frees the walk (NULL is allowed); its result so far goes to *ret, as from scan_run(), or
 * nowhere: NULL. */
plug_err scan_end(struct scan_walk *walk, struct scan *ret);

void scan_fini(struct scan *scan);

#endif
