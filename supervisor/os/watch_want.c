/* Which directories have to be watched for a file, a tree, a folder. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/dir.h"
#include "os/watch_private.h"

#define TREE_DEPTH     8
#define LINKS_MAX      40
#define FOLDERS_WITHIN 16 /* of one that is watched with all that is in it */

/* "/a/b" -> "/a" and "b"; false for "/". */
static bool
split(const char *path, char folder[PATH_MAX], const char **ret_name)
{
	const char *slash = strrchr(path, '/');

	if (!slash || !slash[1])
		return false;
	snprintf(folder, PATH_MAX, "%.*s", slash == path ? 1 : (int)(slash - path), path);
	*ret_name = slash + 1;
	return true;
}

struct goal {
	struct watch *watch;
	uint32_t mask; /* of the folder that it is in */
	bool tree;     /* it is the beginning of one */
};

static void
want_name(const struct goal *goal, const char *folder, const char *name, uint32_t mask)
{
	struct watch_dir *dir = watch_name(goal->watch, folder, name, mask);

	if (dir && goal->tree)
		dir->way = true;
}

/* The name in its directory, that in the one above, and if it is missing the nearest that is
 * there. */
static void
want_place(const struct goal *goal, const char *path, uint32_t mask)
{
	char folder[PATH_MAX], above[PATH_MAX];
	const char *name, *folder_name;

	if (!split(path, folder, &name))
		return;
	want_name(goal, folder, name, mask);
	if (!split(folder, above, &folder_name))
		return;
	want_name(goal, above, folder_name, WATCH_NAMES);
	while (access(above, F_OK) && split(above, folder, &name)) {
		want_name(goal, folder, name, WATCH_NAMES);
		snprintf(above, sizeof(above), "%s", folder);
	}
}

/* Where the symbolic link at `link` leads, with what follows it on the path. */
static bool
follow(const char *link, const char *rest, char path[PATH_MAX])
{
	char target[PATH_MAX], folder[PATH_MAX];
	ssize_t length = readlink(link, target, sizeof(target) - 1);
	const char *name;
	int made;

	if (length <= 0 || !split(link, folder, &name))
		return false;
	target[length] = '\0';
	made = snprintf(path, PATH_MAX, "%s%s%s%s", *target == '/' ? "" : folder,
			*target == '/' ? "" : "/", target, rest);
	return made < PATH_MAX;
}

/* The first symbolic link on the path: where its name ends; 0: there is none. */
static size_t
first_link(const char *path)
{
	char prefix[PATH_MAX];
	struct stat st;

	for (size_t at = 1; path[at - 1]; at++) {
		if (path[at] && path[at] != '/')
			continue;
		snprintf(prefix, sizeof(prefix), "%.*s", (int)at, path);
		if (!lstat(prefix, &st) && S_ISLNK(st.st_mode))
			return at;
		if (!path[at])
			break;
	}
	return 0;
}

static bool
make_absolute(const char *path, char ret[PATH_MAX])
{
	char here[PATH_MAX] = "";

	if (*path != '/' && !getcwd(here, sizeof(here)))
		return false;
	return snprintf(ret, PATH_MAX, "%s%s%s", here, *here ? "/" : "", path) < PATH_MAX;
}

static void
want_path(const struct goal *goal, const char *path)
{
	char at[PATH_MAX], link[PATH_MAX], rest[PATH_MAX];

	if (!make_absolute(path, at)) {
		watch_fail(goal->watch, "%s is not watched: its path is too long", path);
		return;
	}
	want_place(goal, at, goal->mask);
	for (int links = 0; links < LINKS_MAX; links++) {
		size_t end = first_link(at);

		if (!end)
			break;
		snprintf(link, sizeof(link), "%.*s", (int)end, at);
		snprintf(rest, sizeof(rest), "%s", at + end);
		want_place(goal, link, WATCH_NAMES);
		if (!follow(link, rest, at))
			return;
		want_place(goal, at, goal->mask);
	}
}

void
watch_want_file(struct watch *watch, const char *path)
{
	const struct goal goal = {watch, WATCH_CONTENT, false};

	want_path(&goal, path);
}

struct tree {
	struct watch *watch;
	const char *path, *name;
	int depth;
};

static void want_tree(struct watch *watch, const char *path, const char *name, int depth);

static bool
on_entry(void *context, int dir_fd, const char *name, int type)
{
	struct tree *tree = context;
	char path[PATH_MAX];
	struct stat st;

	if (*name == '.' || *name == '_')
		return true;
	if (type != DT_DIR && (fstatat(dir_fd, name, &st, 0) || !S_ISDIR(st.st_mode)))
		return true;
	if (snprintf(path, sizeof(path), "%s/%s", tree->path, name) < (int)sizeof(path))
		want_tree(tree->watch, path, tree->name, tree->depth + 1);
	return true;
}

static void
want_tree(struct watch *watch, const char *path, const char *name, int depth)
{
	struct tree tree = {watch, path, name, depth};
	struct watch_dir *dir;
	char file[PATH_MAX];

	watch_name(watch, path, name, WATCH_CONTENT);
	dir = watch_find(watch, path);
	if (!dir)
		return;
	dir->tree = true;
	if (snprintf(file, sizeof(file), "%s/%s", path, name) >= (int)sizeof(file) ||
	    !access(file, F_OK))
		return;
	dir->any = true;
	if (depth < TREE_DEPTH)
		dir_each(AT_FDCWD, path, on_entry, &tree);
}

void
watch_want_tree(struct watch *watch, const char *path, const char *name)
{
	char resolved[PATH_MAX];
	struct stat st;
	bool is_file = !stat(path, &st) && S_ISREG(st.st_mode);
	const struct goal goal = {watch, is_file ? WATCH_CONTENT : WATCH_NAMES, true};

	want_path(&goal, path); /* it may come, and go */
	if (realpath(path, resolved))
		want_tree(watch, resolved, name, 0);
}

static bool
want_any(struct watch *watch, const char *path)
{
	struct watch_dir *dir = watch_dir(watch, path, WATCH_CONTENT);

	if (dir)
		dir->any = dir->tree = true;
	return dir;
}

static bool
on_inner(void *context, int dir_fd, const char *name, int type)
{
	struct tree *tree = context;
	char path[PATH_MAX];

	(void)dir_fd;
	if (*name == '.' || *name == '_' || type != DT_DIR)
		return true;
	if (tree->depth++ < FOLDERS_WITHIN &&
	    snprintf(path, sizeof(path), "%s/%s", tree->path, name) < (int)sizeof(path))
		want_any(tree->watch, path);
	return true;
}

void
watch_want_folder(struct watch *watch, const char *path)
{
	struct tree tree = {.watch = watch, .path = path};

	if (want_any(watch, path))
		dir_each(AT_FDCWD, path, on_inner, &tree);
}
