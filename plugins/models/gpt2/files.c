#include "files.h"

#include "scope.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

char *
path_join(const char *dir, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

static int
open_sized(const char *path, size_t limit, size_t *ret_size, struct failure *failure)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return failf(failure, "%s: %s", path, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return failf(failure, "%s: not a regular file", path);
	}
	if ((uintmax_t)st.st_size > limit) {
		close(fd);
		return failf(failure, "%s: %jd bytes, expected at most %zu", path,
			     (intmax_t)st.st_size, limit);
	}
	*ret_size = (size_t)st.st_size;
	return fd;
}

static int
read_exactly(int fd, char *data, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = read(fd, data + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		done += (size_t)n;
	}
	return 0;
}

int
file_read(const char *path, size_t limit, char **ret_data, size_t *ret_size,
	  struct failure *failure)
{
	AUTO_FREE char *data = NULL;
	AUTO_CLOSE int fd = -1;
	size_t size = 0;

	fd = open_sized(path, limit, &size, failure);
	if (fd < 0)
		return -1;
	data = malloc(size + 1);
	if (!data)
		return fail_memory(failure, path);
	if (read_exactly(fd, data, size) < 0)
		return failf(failure, "%s: cannot read its %zu bytes: %s", path, size,
			     errno ? strerror(errno) : "it became shorter");
	data[size] = '\0';
	*ret_data = STEAL(data);
	*ret_size = size;
	return 0;
}

int
file_read_json(const char *path, size_t limit, json_t **ret_object, struct failure *failure)
{
	AUTO_FREE char *data = NULL;
	AUTO_JSON json_t *object = NULL;
	json_error_t error;
	size_t size;

	if (file_read(path, limit, &data, &size, failure) < 0)
		return -1;
	object = json_loadb(data, size, JSON_REJECT_DUPLICATES, &error);
	if (!object)
		return failf(failure, "%s:%d:%d: not valid JSON: %s", path, error.line,
			     error.column, error.text);
	if (!json_is_object(object))
		return failf(failure, "%s: expected a JSON object", path);
	*ret_object = STEAL(object);
	return 0;
}
