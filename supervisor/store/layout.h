/*
 * The store on disk: plugins that were installed, their versions side by side.
 *
 *   STORE/.lock                          held by whoever changes the store
 *   STORE/.stage-XXXX                    on its way in, or out; nobody's once the lock is free
 *   STORE/NAME/current                   a link to .versions/V/NAME: the chosen version
 *   STORE/NAME/.versions/V/NAME/         the plugin's folder, with its plugin.yaml
 *   STORE/NAME/.versions/V/pinned.yaml   written last: with it the version is installed
 *   STORE/NAME/.versions/V/SHA256SUMS    of every file, for `sha256sum -c` in that folder
 *
 * A search for plugins skips names that begin with a dot and follows the link, so that a store is a
 * plugin directory of which it sees the chosen versions only.
 *
 * Invariants, at every moment and after every kill:
 *  - `current` leads to a version that is installed;
 *  - a version that is installed is whole; one without pinned.yaml is a leftover.
 * Each step that matters is one rename(2), after what it shows was synced.
 *
 * Everything blocks on the disk.  plugd calls what is quick; the rest is plugctl's.
 */
#ifndef PLUGD_STORE_LAYOUT_H
#define PLUGD_STORE_LAYOUT_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include <plug/error.h>

#include "os/reason.h"

#define STORE_CURRENT       "current"
#define STORE_VERSIONS      ".versions"
#define STORE_RECORD        "pinned.yaml"
#define STORE_SUMS          "SHA256SUMS"
#define STORE_LOCK          ".lock"
#define STORE_STAGE         ".stage-"
#define STORE_LOG           ".%s.environment.log" /* what making a plugin's environment printed */
#define STORE_VERSION_BYTES 128                   /* NUL included */
#define STORE_NAME_BYTES    64
#define STORE_PATH_BYTES    512 /* of what is ours, below the store */

struct store {
	char path[PATH_MAX]; /* absolute, links resolved */
	int fd, lock_fd;     /* -1: none */
};

#define STORE_INIT         \
	{                  \
		"", -1, -1 \
	}

/*
 * Open the directory; `create` makes it, 0755.  It has to be ours and not writable by others.
 * PLUG_ENOTFOUND: there is none.  PLUG_EDENIED, PLUG_ESYS, PLUG_ETOOLARGE, with the reason.
 */
plug_err store_open(const char *path, bool create, struct store *ret, struct reason *why);
void store_close(struct store *store); /* gives the lock back */

/* Wait for at most wait_ms.  PLUG_EBUSY: another process changes the store. */
plug_err store_lock(struct store *store, uint64_t wait_ms, struct reason *why);

/* May this be a version's folder: a semantic version of less than STORE_VERSION_BYTES? */
bool store_version_ok(const char *version);

/* The chosen version.  PLUG_ENOTFOUND: none is.  PLUG_EINVAL: the link is none of ours. */
plug_err store_current(int store_fd, const char *name, char version[STORE_VERSION_BYTES]);

/* Is it installed? */
bool store_has(int store_fd, const char *name, const char *version);

/*
 * Choose it: from one version to the other in one step.  PLUG_ENOTFOUND: it is not installed, or
 * was removed meanwhile; the one before is chosen.  PLUG_ESYS.
 */
plug_err store_choose(int store_fd, const char *name, const char *version);

/* Call for each version of a plugin, installed or not; false ends it.  PLUG_ENOTFOUND, PLUG_ESYS.
 */
plug_err store_each_version(int store_fd, const char *name,
			    bool (*on_version)(void *context, const char *version), void *context);

/* "STORE/NAME/.versions/V/NAME" below `root` ("" for a relative path); false: too long. */
bool store_folder(const char *root, const char *name, const char *version, char path[PATH_MAX]);

/* The other way round: false when `folder` is no version's folder below `root`. */
bool store_parse_folder(const char *root, const char *folder, char name[STORE_NAME_BYTES],
			char version[STORE_VERSION_BYTES]);

/* A new name for a stage, unused by anybody.  PLUG_ESYS */
plug_err store_stage_name(char name[32]);

/* Make names in a directory last. */
plug_err store_sync(int dir_fd, const char *path);

/* Make a whole tree last, file by file. */
plug_err store_sync_tree(int dir_fd, const char *path);

/*
 * Remove what a killed install or uninstall left: stages, versions without a record, folders
 * without versions, a link that leads nowhere.  Needs the lock.  Returns how many things.
 */
unsigned store_sweep(const struct store *store);

/*
 * Remove a version that is not the chosen one.  Needs the lock, which plugd does not take when it
 * chooses: PLUG_ESTATE: it is the chosen one, or became it meanwhile, and is where it was.
 * PLUG_ESYS.
 */
plug_err store_remove_version(const struct store *store, const char *name, const char *version);

/* Take it out of the store in one step, then remove it.  `path` is relative to the store.  Needs
 * the lock.  PLUG_ESYS: it is where it was. */
plug_err store_discard(const struct store *store, const char *path);

/* A file or a whole tree, links not followed; as far as it goes.  False: something is left. */
bool store_remove_tree(int dir_fd, const char *path);

#endif
