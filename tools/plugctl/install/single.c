#include "install/single.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define BLOCK_BYTES ((size_t)64 * 1024)

bool
single_file_is(int fd)
{
	char head[4] = "";

	return pread(fd, head, sizeof(head), 0) == sizeof(head) &&
	       (!memcmp(head, "\177ELF", 4) || !memcmp(head, "#!", 2));
}

static bool
copy(int from, int to)
{
	AUTO_FREE char *block = malloc(BLOCK_BYTES);
	off_t at = 0;
	ssize_t got, put;

	while (block && (got = pread(from, block, BLOCK_BYTES, at)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return false;
		put = write(to, block, (size_t)got); /* what is left is read again */
		if (put < 0 && errno != EINTR)
			return false;
		at += put > 0 ? put : 0;
	}
	return block;
}

plug_err
single_file_take(int fd, const char *name, int tree_fd, struct reason *why)
{
	AUTO_CLOSE int to =
		openat(tree_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (to < 0 || !copy(fd, to) || fchmod(to, 0755) < 0)
		return reason_set(why, PLUG_ESYS, "cannot be copied: %s", strerrordesc_np(errno));
	return PLUG_OK;
}
