#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "os/dir.h"
#include "store/layout.h"

struct syncing {
	int error; /* the first; 0: none */
};

static void sync_entry(struct syncing *syncing, int dir_fd, const char *name, bool is_folder);

static bool
on_entry(void *context, int dir_fd, const char *name, int type)
{
	struct syncing *syncing = context;

	if (type != DT_LNK) /* what a link says is in its folder */
		sync_entry(syncing, dir_fd, name, type != DT_REG);
	return !syncing->error;
}

static void
sync_entry(struct syncing *syncing, int dir_fd, const char *name, bool is_folder)
{
	AUTO_CLOSE int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0) {
		syncing->error = errno == ELOOP ? syncing->error : errno;
		return;
	}
	if (is_folder && dir_each(fd, ".", on_entry, syncing) < 0 && errno != ENOTDIR)
		syncing->error = errno;
	if (!syncing->error && fsync(fd) < 0)
		syncing->error = errno;
}

plug_err
store_sync_tree(int dir_fd, const char *path)
{
	struct syncing syncing = {0};

	sync_entry(&syncing, dir_fd, path, true);
	errno = syncing.error;
	return syncing.error ? PLUG_ESYS : PLUG_OK;
}
