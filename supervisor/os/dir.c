#include "os/dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"

int
dir_each(int dir_fd, const char *path, dir_on_entry on_entry, void *context)
{
	_Alignas(struct dirent64) char buffer[2048];
	AUTO_CLOSE int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return -1;
	while ((got = getdents64(fd, buffer, sizeof(buffer))) > 0)
		for (ssize_t at = 0; at < got;) {
			const struct dirent64 *entry = (const void *)(buffer + at);

			at += entry->d_reclen;
			if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
				continue;
			if (!on_entry(context, fd, entry->d_name, entry->d_type))
				return 0;
		}
	return got < 0 ? -1 : 0;
}
