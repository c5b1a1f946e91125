#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/dir.h"
#include "store/layout.h"

#define DEPTH_MAX 128 /* of folders in each other; what is installed has fewer */

struct removal {
	unsigned depth;
	bool left;
};

static bool remove_entry(struct removal *removal, int dir_fd, const char *name);

static bool
on_entry(void *context, int dir_fd, const char *name, int type)
{
	(void)type;
	remove_entry(context, dir_fd, name);
	return true;
}

/* A build tool may have made a folder that its owner cannot list. */
static void
empty_folder(struct removal *removal, int dir_fd, const char *name)
{
	removal->depth++;
	if (dir_each(dir_fd, name, on_entry, removal) < 0 && errno == EACCES &&
	    !fchmodat(dir_fd, name, 0700, 0))
		dir_each(dir_fd, name, on_entry, removal);
	removal->depth--;
}

static bool
remove_entry(struct removal *removal, int dir_fd, const char *name)
{
	if (!unlinkat(dir_fd, name, 0) || errno == ENOENT)
		return true;
	if (errno == EISDIR && removal->depth < DEPTH_MAX)
		empty_folder(removal, dir_fd, name);
	if (!unlinkat(dir_fd, name, AT_REMOVEDIR) || errno == ENOENT)
		return true;
	removal->left = true;
	return false;
}

bool
store_remove_tree(int dir_fd, const char *path)
{
	struct removal removal = {0};

	return remove_entry(&removal, dir_fd, path) && !removal.left;
}

static plug_err
take_out(const struct store *store, const char *path, char stage[32])
{
	char parent[PATH_MAX];
	const char *slash = strrchr(path, '/');
	plug_err err = store_stage_name(stage);

	if (err)
		return err;
	if (renameat(store->fd, path, store->fd, stage) < 0)
		return PLUG_ESYS;
	snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - path) : 1,
		 slash ? path : ".");
	store_sync(store->fd, parent);
	return PLUG_OK;
}

plug_err
store_discard(const struct store *store, const char *path)
{
	char stage[32];
	plug_err err = take_out(store, path, stage);

	if (!err)
		store_remove_tree(store->fd, stage);
	return err;
}

static bool
is_chosen(const struct store *store, const char *name, const char *version)
{
	char chosen[STORE_VERSION_BYTES];

	return !store_current(store->fd, name, chosen) && !strcmp(chosen, version);
}

plug_err
store_remove_version(const struct store *store, const char *name, const char *version)
{
	char path[STORE_PATH_BYTES], stage[32];
	plug_err err;

	if (is_chosen(store, name, version))
		return PLUG_ESTATE;
	snprintf(path, sizeof(path), "%s/" STORE_VERSIONS "/%s", name, version);
	err = take_out(store, path, stage);
	if (err)
		return err;
	if (is_chosen(store, name, version) && !renameat(store->fd, stage, store->fd, path))
		return PLUG_ESTATE;
	store_remove_tree(store->fd, stage);
	return PLUG_OK;
}
