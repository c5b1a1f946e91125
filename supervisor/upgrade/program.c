#include "upgrade/program.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool
is_executed(const char *path)
{
	struct stat this, that;

	return !stat("/proc/self/exe", &this) && !stat(path, &that) && this.st_dev == that.st_dev &&
	       this.st_ino == that.st_ino;
}

static bool
try_path(const char *folder, int length, const char *name, char *path, size_t size)
{
	int used = length ? snprintf(path, size, "%.*s/%s", length, folder, name)
			  : snprintf(path, size, "%s", name);

	return used > 0 && used < (int)size && *path == '/' && is_executed(path);
}

static bool
search(const char *name, char *path, size_t size)
{
	const char *folders = getenv("PATH");

	for (const char *at = folders ? folders : ""; *at;) {
		size_t length = strcspn(at, ":");

		if (length && try_path(at, (int)length, name, path, size))
			return true;
		at += length + (at[length] == ':');
	}
	return false;
}

void
program_find(const char *argv0, char *path, size_t size)
{
	char folder[PATH_MAX] = "";
	ssize_t used;

	if (*argv0 == '/' && try_path("", 0, argv0, path, size))
		return;
	if (strchr(argv0, '/') && getcwd(folder, sizeof(folder)) &&
	    try_path(folder, (int)strlen(folder), argv0, path, size))
		return;
	if (!strchr(argv0, '/') && search(argv0, path, size))
		return;
	used = readlink("/proc/self/exe", path, size - 1);
	path[used > 0 ? used : 0] = '\0';
}
