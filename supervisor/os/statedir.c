#include "os/statedir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

static plug_err
make_with_parents(const char *path, struct reason *why)
{
	char part[PATH_MAX];

	if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part))
		return reason_set(why, PLUG_ETOOLARGE, "state directory: path too long");
	for (char *slash = part; slash;) {
		slash = strchr(slash + 1, '/');
		if (slash)
			*slash = '\0';
		if (mkdir(part, 0700) < 0 && errno != EEXIST && errno != EISDIR)
			return reason_set(why, PLUG_ESYS, "state directory %s: %s", part,
					  strerrordesc_np(errno));
		if (slash)
			*slash = '/';
	}
	return PLUG_OK;
}

plug_err
statedir_open(const char *path, int *ret_fd, struct reason *why)
{
	AUTO_CLOSE int fd = -1;
	struct stat info;
	plug_err err = make_with_parents(path, why);

	if (err)
		return err;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &info) < 0)
		return reason_set(why, PLUG_ESYS, "state directory %s: %s", path,
				  strerrordesc_np(errno));
	if (info.st_uid != geteuid())
		return reason_set(why, PLUG_EDENIED,
				  "state directory %s belongs to uid %u, plugd runs as %u: choose "
				  "another with --state-dir, or chown it",
				  path, (unsigned)info.st_uid, (unsigned)geteuid());
	if (info.st_mode & 022)
		return reason_set(
			why, PLUG_EDENIED,
			"state directory %s has mode %04o, so others can change it: chmod "
			"go-w it",
			path, (unsigned)info.st_mode & 07777);
	*ret_fd = steal_fd(&fd);
	return PLUG_OK;
}

static bool
name_is_valid(const char *name)
{
	return *name && *name != '.' && !strchr(name, '/') && strlen(name) < NAME_MAX - 8;
}

static plug_err
write_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t written = write(fd, data, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return PLUG_ESYS;
		data += written;
		size -= (size_t)written;
	}
	return fsync(fd) < 0 ? PLUG_ESYS : PLUG_OK;
}

static plug_err
write_temporary(int dir_fd, const char *name, const void *data, size_t size)
{
	AUTO_CLOSE int fd = -1;

	unlinkat(dir_fd, name, 0); /* of a daemon that died here; may be anything */
	fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd < 0 ? PLUG_ESYS : write_all(fd, data, size);
}

static void
temporary_name(const char *name, char temporary[NAME_MAX + 1])
{
	snprintf(temporary, NAME_MAX + 1, ".%s.tmp", name);
}

plug_err
statedir_prepare(int dir_fd, const char *name, const void *data, size_t size)
{
	char temporary[NAME_MAX + 1];
	int saved;

	if (!name_is_valid(name))
		return PLUG_EINVAL;
	temporary_name(name, temporary);
	if (!write_temporary(dir_fd, temporary, data, size))
		return PLUG_OK;
	saved = errno;
	unlinkat(dir_fd, temporary, 0);
	errno = saved;
	return PLUG_ESYS;
}

plug_err
statedir_commit(int dir_fd, const char *name)
{
	char temporary[NAME_MAX + 1];
	int saved;

	temporary_name(name, temporary);
	if (!renameat(dir_fd, temporary, dir_fd, name))
		return fsync(dir_fd) < 0 ? PLUG_ESYS : PLUG_OK;
	saved = errno;
	unlinkat(dir_fd, temporary, 0);
	errno = saved;
	return PLUG_ESYS;
}

void
statedir_discard(int dir_fd, const char *name)
{
	char temporary[NAME_MAX + 1];

	temporary_name(name, temporary);
	unlinkat(dir_fd, temporary, 0);
}

plug_err
statedir_write(int dir_fd, const char *name, const void *data, size_t size)
{
	plug_err err = statedir_prepare(dir_fd, name, data, size);

	return err ? err : statedir_commit(dir_fd, name);
}

/* One byte more than the cap is asked for, so that a longer file shows. */
static plug_err
read_all(int fd, size_t cap, char **ret_data, size_t *ret_size)
{
	AUTO_FREE char *data = NULL;
	size_t size = 0, capacity = 0;

	for (;;) {
		ssize_t got;

		if (size + 1 >= capacity) {
			char *grown = realloc(data, capacity = capacity ? 2 * capacity : 1024);

			if (!grown)
				return PLUG_ENOMEM;
			data = grown;
		}
		got = read(fd, data + size, capacity - 1 - size);
		if (got < 0 && errno != EINTR)
			return PLUG_ESYS;
		if (got == 0)
			break;
		size += got > 0 ? (size_t)got : 0;
		if (size > cap)
			return PLUG_ETOOLARGE;
	}
	data[size] = '\0';
	*ret_data = data;
	*ret_size = size;
	data = NULL;
	return PLUG_OK;
}

plug_err
statedir_read(int dir_fd, const char *name, size_t cap, char **ret_data, size_t *ret_size)
{
	/* O_NONBLOCK: opening a fifo must not wait for a writer. */
	AUTO_CLOSE int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	struct stat info;

	if (fd < 0 && errno == ENOENT)
		return PLUG_ENOTFOUND;
	if (fd < 0 && errno == ELOOP)
		return PLUG_EINVAL;
	if (fd < 0 || fstat(fd, &info) < 0)
		return PLUG_ESYS;
	if (!S_ISREG(info.st_mode))
		return PLUG_EINVAL;
	return read_all(fd, cap, ret_data, ret_size);
}

plug_err
statedir_remove(int dir_fd, const char *name)
{
	if (!name_is_valid(name))
		return PLUG_EINVAL;
	return unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT ? PLUG_ESYS : PLUG_OK;
}
