#include "os/value_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Bytes read, or -1: errno says why. */
static ssize_t
read_whole(int fd, char *text, size_t size)
{
	size_t used = 0;

	while (used < size) {
		ssize_t got = read(fd, text + used, size - used);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (!got)
			break;
		used += (size_t)got;
	}
	return (ssize_t)used;
}

static const char *
give_up(char *why, size_t size, const char *text)
{
	snprintf(why, size, "%s", text);
	return NULL;
}

const char *
value_file_read(const char *path, struct arena *arena, char *why, size_t size)
{
	/* O_NONBLOCK: opening a fifo must not wait for a writer. */
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat info;
	ssize_t used;
	char *text;

	if (fd < 0 || fstat(fd, &info) < 0)
		return give_up(why, size, strerrordesc_np(errno));
	if (!S_ISREG(info.st_mode))
		return give_up(why, size, "expected a regular file");
	if (info.st_size > VALUE_FILE_BYTES)
		return give_up(why, size, "expected at most 48 KiB");
	text = arena_alloc(arena, (size_t)info.st_size + 2);
	if (!text)
		return give_up(why, size, "out of memory");
	used = read_whole(fd, text, (size_t)info.st_size + 1);
	if (used < 0)
		return give_up(why, size, strerrordesc_np(errno));
	if (used > info.st_size)
		return give_up(why, size, "it grows while it is read");
	if (memchr(text, '\0', (size_t)used))
		return give_up(why, size, "expected text without NUL");
	if (used && text[used - 1] == '\n')
		text[--used] = '\0';
	if (used && text[used - 1] == '\r')
		text[--used] = '\0';
	return text;
}
