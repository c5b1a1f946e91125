/* `size` is what the file holds for us: a write that failed half way is cut off again. */
#include "os/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define FIRST_BYTES 512u

void
logfile_init(struct logfile *file, int dir_fd, const char *name, uint64_t max_bytes, unsigned files)
{
	*file = (struct logfile){
		.dir_fd = dir_fd, .fd = -1, .max_bytes = max_bytes, .files = files};
	snprintf(file->name, sizeof(file->name), "%s.log", name);
}

static size_t
count_lines(const char *text, size_t length)
{
	size_t lines = 0;

	for (const char *at = text; (at = memchr(at, '\n', length - (size_t)(at - text))); at++)
		lines++;
	return lines;
}

static bool
ensure_open(struct logfile *file)
{
	struct stat info;

	if (file->fd >= 0)
		return true;
	/* O_NONBLOCK: a fifo put there must not stop the daemon. */
	file->fd =
		openat(file->dir_fd, file->name,
		       O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (file->fd >= 0 && fstat(file->fd, &info) == 0 && S_ISREG(info.st_mode)) {
		file->size = (uint64_t)info.st_size;
		return true;
	}
	file->error = file->fd < 0 ? errno : EINVAL;
	close_fd(&file->fd);
	return false;
}

static bool
write_whole(struct logfile *file, const char *text, size_t length)
{
	ssize_t written = write(file->fd, text, length);

	if (written == (ssize_t)length) {
		file->size += length;
		return true;
	}
	file->error = written < 0 ? errno : ENOSPC;
	if (written > 0 && ftruncate(file->fd, (off_t)file->size) < 0)
		file->size += (uint64_t)written;
	return false;
}

static void
rotated_name(const struct logfile *file, unsigned number, char *ret, size_t size)
{
	if (number)
		snprintf(ret, size, "%s.%u", file->name, number);
	else
		snprintf(ret, size, "%s", file->name);
}

static bool
rotate(struct logfile *file)
{
	char from[sizeof(file->name) + 12], to[sizeof(file->name) + 12];

	if (!file->files) {
		if (ftruncate(file->fd, 0) < 0) {
			file->error = errno;
			return false;
		}
		file->size = 0;
		return true;
	}
	for (unsigned i = file->files; i > 0; i--) {
		rotated_name(file, i - 1, from, sizeof(from));
		rotated_name(file, i, to, sizeof(to));
		if (renameat(file->dir_fd, from, file->dir_fd, to) < 0 && errno != ENOENT) {
			file->error = errno;
			return false;
		}
	}
	close_fd(&file->fd);
	return ensure_open(file);
}

/* What is missing is told where it is missing. */
static bool
announce_dropped(struct logfile *file)
{
	const char *why = file->error ? strerrordesc_np(file->error) : NULL;
	char text[160];
	int length;

	if (file->announced == file->dropped)
		return true;
	length = snprintf(text, sizeof(text), "-- %llu lines are missing here: %s --\n",
			  (unsigned long long)(file->dropped - file->announced),
			  why ? why : "they could not be written");
	if (!write_whole(file, text, (size_t)length))
		return false;
	file->announced = file->dropped;
	return true;
}

/* As many whole lines as still fit into the file, but at least one in an empty file. */
static size_t
next_part(const struct logfile *file, const char *text, size_t length)
{
	uint64_t room = file->max_bytes > file->size ? file->max_bytes - file->size : 0;
	const char *end;

	if (!file->max_bytes || length <= room)
		return length;
	end = room ? memrchr(text, '\n', (size_t)room) : NULL;
	if (!end && !file->size)
		end = memchr(text, '\n', length);
	return end ? (size_t)(end - text) + 1 : 0;
}

static size_t
write_part(struct logfile *file, const char *text, size_t length)
{
	size_t part;

	if (!ensure_open(file))
		return 0;
	part = next_part(file, text, length);
	if (!part && rotate(file))
		part = next_part(file, text, length);
	if (!part || !announce_dropped(file) || !write_whole(file, text, part))
		return 0;
	return part;
}

void
logfile_flush(struct logfile *file)
{
	size_t done = 0;

	while (done < file->used) {
		size_t part = write_part(file, file->buffer + done, file->used - done);

		if (!part) {
			file->dropped += count_lines(file->buffer + done, file->used - done);
			break;
		}
		file->error = 0;
		done += part;
	}
	free(file->buffer);
	file->buffer = NULL;
	file->used = file->capacity = 0;
}

static bool
reserve(struct logfile *file, size_t size)
{
	size_t capacity = file->capacity ? file->capacity : FIRST_BYTES;
	char *grown;

	while (capacity < size)
		capacity *= 2;
	if (capacity == file->capacity)
		return true;
	grown = realloc(file->buffer, capacity);
	if (!grown)
		return false;
	file->buffer = grown;
	file->capacity = capacity;
	return true;
}

void
logfile_append(struct logfile *file, const char *line, size_t length)
{
	if (file->used && file->used + length + 1 > LOGFILE_BUFFER_BYTES)
		logfile_flush(file);
	if (!reserve(file, file->used + length + 1)) {
		file->error = ENOMEM;
		file->dropped++;
		return;
	}
	memcpy(file->buffer + file->used, line, length);
	file->used += length;
	file->buffer[file->used++] = '\n';
}

void
logfile_reopen(struct logfile *file)
{
	logfile_flush(file);
	close_fd(&file->fd);
}

void
logfile_fini(struct logfile *file)
{
	logfile_reopen(file);
}
