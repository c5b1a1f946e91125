/*
 * Invariants
 *  - A directory is in `dirs` once for every path that leads to it; entries of one inode share
 *    their wd, as the kernel gives it.
 *  - An entry without a wd is a directory that is not there, or cannot be watched.
 */
#include "os/watch_private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hash.h"

#define DIRS_MAX     4096
#define EVENTS_BYTES 16384
/* ---- entries ---- */

void
watch_fail(struct watch *watch, const char *format, ...)
{
	va_list ap;

	if (*watch->why.text)
		return;
	va_start(ap, format);
	vsnprintf(watch->why.text, sizeof(watch->why.text), format, ap);
	va_end(ap);
}

static void
drop_names(struct watch_dir *dir)
{
	for (size_t i = 0; i < dir->name_count; i++)
		free(dir->names[i]);
	free(dir->names);
	dir->names = NULL;
	dir->name_count = 0;
}

struct watch_dir *
watch_find(const struct watch *watch, const char *path)
{
	uintptr_t at = (uintptr_t)idmap_get(&watch->index, hash_text(HASH_START, path));

	if (!at)
		return NULL;
	if (!strcmp(watch->dirs[at - 1].path, path))
		return &watch->dirs[at - 1];
	for (size_t i = 0; i < watch->count; i++) /* two have one hash */
		if (!strcmp(watch->dirs[i].path, path))
			return &watch->dirs[i];
	return NULL;
}

/* Without memory for it the directory is not found, and added once more: that costs, no more. */
static void
put_into_index(struct watch *watch, size_t number)
{
	uint64_t id = hash_text(HASH_START, watch->dirs[number].path);

	if (id && !idmap_get(&watch->index, id))
		idmap_put(&watch->index, id, (void *)(uintptr_t)(number + 1));
}

static struct watch_dir *
add(struct watch *watch, const char *path)
{
	struct watch_dir *dir;

	if (watch->count == DIRS_MAX) {
		watch_fail(watch, "more than %d directories: %s and others are not watched",
			   DIRS_MAX, path);
		return NULL;
	}
	if (watch->count == watch->capacity) {
		size_t more = watch->capacity ? 2 * watch->capacity : 16;
		struct watch_dir *grown = realloc(watch->dirs, more * sizeof(*grown));

		if (!grown)
			return NULL;
		watch->dirs = grown;
		watch->capacity = more;
	}
	dir = &watch->dirs[watch->count];
	*dir = (struct watch_dir){.wd = -1, .path = strdup(path)};
	if (!dir->path)
		return NULL;
	watch->count++;
	put_into_index(watch, watch->count - 1);
	return dir;
}

static bool
is_shared(const struct watch *watch, const struct watch_dir *than, int wd)
{
	for (size_t i = 0; i < watch->count; i++)
		if (watch->dirs[i].wd == wd && &watch->dirs[i] != than)
			return true;
	return false;
}

/* Adding one that is watched already gives the same wd; a path may lead to another directory by
 * now.  Paths that lead to one share its mask, so it only grows. */
static void
arm(struct watch *watch, struct watch_dir *dir, uint32_t mask)
{
	int before = dir->wd, error;

	dir->wd = inotify_add_watch(watch->fd, dir->path, mask | IN_MASK_ADD);
	error = errno;
	dir->mask = mask | (before == dir->wd ? dir->mask : 0);
	if (before >= 0 && before != dir->wd && !is_shared(watch, dir, before))
		inotify_rm_watch(watch->fd, before);
	if (dir->wd < 0 && error == ENOSPC)
		watch_fail(
			watch,
			"%s is not watched: no more inotify watches (fs.inotify.max_user_watches)",
			dir->path);
	else if (dir->wd < 0 && error != ENOENT && error != ENOTDIR)
		watch_fail(watch, "%s is not watched: %s", dir->path, strerror(error));
}

struct watch_dir *
watch_dir(struct watch *watch, const char *path, uint32_t mask)
{
	struct watch_dir *dir = watch_find(watch, path);

	if (!dir)
		dir = add(watch, path);
	if (!dir) {
		watch_fail(watch, "%s is not watched: out of memory", path);
		return NULL;
	}
	if (!dir->wanted || mask & ~dir->mask)
		arm(watch, dir, mask);
	dir->wanted = true;
	return dir;
}

struct watch_dir *
watch_name(struct watch *watch, const char *path, const char *name, uint32_t mask)
{
	struct watch_dir *dir = watch_dir(watch, path, mask);
	char **grown;

	for (size_t i = 0; dir && i < dir->name_count; i++)
		if (!strcmp(dir->names[i], name))
			return dir;
	grown = dir ? realloc(dir->names, (dir->name_count + 1) * sizeof(*grown)) : NULL;
	if (!grown)
		return dir;
	dir->names = grown;
	grown[dir->name_count] = strdup(name);
	if (grown[dir->name_count])
		dir->name_count++;
	return dir;
}

/* ---- what is wanted ---- */

void
watch_begin(struct watch *watch)
{
	watch->why.text[0] = '\0';
	for (size_t i = 0; i < watch->count; i++) {
		watch->dirs[i].wanted = watch->dirs[i].tree = false;
		watch->dirs[i].way = watch->dirs[i].any = false;
		drop_names(&watch->dirs[i]);
	}
}

bool
watch_end(struct watch *watch, struct reason *why)
{
	size_t kept = 0;

	for (size_t i = 0; i < watch->count; i++) {
		struct watch_dir *dir = &watch->dirs[i];

		if (dir->wanted) {
			watch->dirs[kept++] = *dir;
			continue;
		}
		if (dir->wd >= 0 && !is_shared(watch, dir, dir->wd))
			inotify_rm_watch(watch->fd, dir->wd);
		dir->wd = -1;
		drop_names(dir);
		free(dir->path);
	}
	if (watch->count != kept) {
		watch->count = kept;
		idmap_fini(&watch->index);
		watch->index = (struct idmap){0};
		for (size_t i = 0; i < kept; i++)
			put_into_index(watch, i);
	}
	if (!*watch->why.text)
		return false;
	*why = watch->why;
	return true;
}

size_t
watch_count(const struct watch *watch)
{
	size_t count = 0;

	for (size_t i = 0; i < watch->count; i++)
		count += watch->dirs[i].wd >= 0;
	return count;
}

/* ---- what the kernel tells ---- */

/* What an editor or a copy leaves meanwhile is no plugin, and neither is it here. */
static bool
is_skipped(const char *name)
{
	return *name == '.' || *name == '_' || name[strlen(name) - 1] == '~';
}

#define COMES_OR_GOES \
	(IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ATTRIB)

static bool
matters(const struct watch_dir *dir, const struct inotify_event *event)
{
	if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT))
		return true;
	if (dir->tree && event->mask & IN_ISDIR &&
	    event->mask & (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO))
		return true;
	if (dir->any && event->len && event->mask & COMES_OR_GOES && !is_skipped(event->name))
		return true;
	for (size_t i = 0; event->len && i < dir->name_count; i++)
		if (!strcmp(dir->names[i], event->name))
			return true;
	return false;
}

static void
hand_on(struct watch *watch, const struct inotify_event *event)
{
	bool file = false, tree = false, busy = false;

	if (event->mask & IN_Q_OVERFLOW) {
		watch->ops->on_change(watch->user, WATCH_LOST);
		return;
	}
	for (size_t i = 0; i < watch->count; i++) {
		struct watch_dir *dir = &watch->dirs[i];

		if (dir->wd != event->wd)
			continue;
		busy = busy || (dir->any && event->mask & IN_MODIFY);
		if (!matters(dir, event))
			continue;
		file = true;
		tree = tree || dir->tree || dir->way;
		if (event->mask & IN_IGNORED)
			dir->wd = -1;
	}
	if (tree)
		watch->ops->on_change(watch->user, WATCH_TREE);
	else if (file)
		watch->ops->on_change(watch->user, WATCH_FILE);
	else if (busy)
		watch->ops->on_change(watch->user, WATCH_BUSY);
}

int
watch_fd(const struct watch *watch)
{
	return watch->fd;
}

void
watch_read(struct watch *watch)
{
	char events[EVENTS_BYTES] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t got = read(watch->fd, events, sizeof(events));

	for (char *at = events; got > 0 && at < events + got;) {
		const struct inotify_event *event = (const void *)at;

		hand_on(watch, event);
		at += sizeof(*event) + event->len;
	}
}

/* ---- open and close ---- */

plug_err
watch_open(const struct watch_ops *ops, void *user, struct watch **ret, struct reason *why)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return PLUG_ENOMEM;
	watch->ops = ops;
	watch->user = user;
	watch->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (watch->fd < 0) {
		snprintf(why->text, sizeof(why->text),
			 "nothing is watched: %s (fs.inotify.max_user_instances)", strerror(errno));
		free(watch);
		return PLUG_ESYS;
	}
	*ret = watch;
	return PLUG_OK;
}

void
watch_close(struct watch *watch)
{
	if (!watch)
		return;
	close_fd(&watch->fd);
	for (size_t i = 0; i < watch->count; i++) {
		drop_names(&watch->dirs[i]);
		free(watch->dirs[i].path);
	}
	free(watch->dirs);
	idmap_fini(&watch->index);
	free(watch);
}
