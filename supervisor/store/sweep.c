/* What a killed process left.  One that is at work holds the lock, so it is nobody's. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/dir.h"
#include "store/layout.h"

struct sweep {
	const struct store *store;
	const char *plugin;
	unsigned swept, versions;
};

static void
discard(struct sweep *sweep, const char *path)
{
	if (!store_discard(sweep->store, path))
		sweep->swept++;
}

static bool
on_version(void *context, const char *version)
{
	struct sweep *sweep = context;
	char path[PATH_MAX];

	if (store_has(sweep->store->fd, sweep->plugin, version)) {
		sweep->versions++;
		return true;
	}
	snprintf(path, sizeof(path), "%s/" STORE_VERSIONS "/%s", sweep->plugin, version);
	discard(sweep, path);
	return true;
}

/* What is not ours is left alone: somebody may keep a folder of his own in a store. */
static void
sweep_plugin(struct sweep *sweep)
{
	int fd = sweep->store->fd;
	char version[STORE_VERSION_BYTES], path[PATH_MAX];
	plug_err err;

	sweep->versions = 0;
	if (store_each_version(fd, sweep->plugin, on_version, sweep))
		return;
	snprintf(path, sizeof(path), "%s/." STORE_CURRENT ".new", sweep->plugin);
	sweep->swept += !unlinkat(fd, path, 0);
	err = store_current(fd, sweep->plugin, version);
	snprintf(path, sizeof(path), "%s/" STORE_CURRENT, sweep->plugin);
	if (!err && !store_has(fd, sweep->plugin, version) && !unlinkat(fd, path, 0))
		sweep->swept++;
	if (sweep->versions)
		return;
	snprintf(path, sizeof(path), "%s/" STORE_VERSIONS, sweep->plugin);
	if (!unlinkat(fd, path, AT_REMOVEDIR) && !unlinkat(fd, sweep->plugin, AT_REMOVEDIR))
		sweep->swept++;
}

static bool
on_entry(void *context, int dir_fd, const char *name, int type)
{
	struct sweep *sweep = context;

	(void)dir_fd;
	(void)type;
	if (!strncmp(name, STORE_STAGE, sizeof(STORE_STAGE) - 1)) {
		sweep->swept += store_remove_tree(sweep->store->fd, name);
		return true;
	}
	if (*name == '.')
		return true;
	sweep->plugin = name;
	sweep_plugin(sweep);
	return true;
}

unsigned
store_sweep(const struct store *store)
{
	struct sweep sweep = {.store = store};

	dir_each(store->fd, ".", on_entry, &sweep);
	return sweep.swept;
}
