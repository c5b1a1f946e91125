/* Shared by watch.c (directories and what the kernel tells) and watch_want.c (which of them). */
#ifndef PLUGD_WATCH_PRIVATE_H
#define PLUGD_WATCH_PRIVATE_H

#include <sys/inotify.h>

#include "base/idmap.h"
#include "os/watch.h"

struct watch_dir {
	int wd;        /* -1: none */
	uint32_t mask; /* that it has in the kernel, at least */
	char *path;
	char **names; /* that matter in it */
	size_t name_count;
	bool tree;   /* folders in it matter, too */
	bool way;    /* a name in it leads to a tree */
	bool any;    /* every file in it that comes, goes or was written */
	bool wanted; /* since watch_begin() */
};

struct watch {
	const struct watch_ops *ops;
	void *user;
	int fd;
	struct watch_dir *dirs;
	size_t count, capacity;
	struct idmap index; /* hash of the path -> number in dirs, plus one */
	struct reason why;
};

/* The first reason stays. */
void watch_fail(struct watch *watch, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct watch_dir *watch_find(const struct watch *watch, const char *path);

/* Folders on the way to what is wanted are often busy with other things (/tmp, a home directory),
 * so of these only comings and goings are asked for, and of the others what is written, too. */
#define WATCH_NAMES                                                                         \
	(IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | \
	 IN_MOVE_SELF | IN_ONLYDIR)
#define WATCH_CONTENT (WATCH_NAMES | IN_CLOSE_WRITE | IN_MODIFY)

/* It is wanted from now on.  NULL after watch_fail().  Valid until the next one is added. */
struct watch_dir *watch_dir(struct watch *watch, const char *path, uint32_t mask);

/* And in it this name.  As watch_dir(). */
struct watch_dir *watch_name(struct watch *watch, const char *path, const char *name,
			     uint32_t mask);

#endif
