/*
 * Invariants
 *  - What is still to be visited is on `pending`; a step takes the last one, so a walk needs one
 *    descriptor at a time, however deep it goes.
 *  - A folder that is pending and vanishes was removed: nothing is said.  A plugin directory that
 *    is not there is reported.
 */
#include "os/scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "core/place.h"
#include "os/dir.h"
#include "os/scan_private.h"

struct pending {
	char *path;
	int depth;
	bool link; /* its path is to be resolved; a plugin directory's is, too */
};

struct scan_walk {
	struct scan result;
	struct scan_visited visited;
	char **roots;
	size_t root_count, root; /* the one that is being searched */
	char *real;              /* its path, links resolved */
	struct pending *pending;
	size_t pending_count;
	size_t first; /* of the root's plugins */
	size_t files, entries;
	bool too_deep, full, no_memory;

	const char *path; /* of the folder that is being listed */
	int depth;
};

static void
check(struct scan_walk *walk, bool has_memory)
{
	walk->no_memory = walk->no_memory || !has_memory;
}

#define REPORT(walk, ...) check(walk, scan_report(&(walk)->result, __VA_ARGS__))

static bool
is_skipped(const char *name)
{
	size_t length = strlen(name);

	return *name == '.' || *name == '_' || name[length - 1] == '~' ||
	       !fnmatch("*.template", name, 0) || !fnmatch("*.template.*", name, 0);
}

/* ---- what is found ---- */

static void
add_plugin(struct scan_walk *walk, const char *folder, const char *name, char *text, size_t size)
{
	struct scan_plugin plugin = {.text = text, .size = size, .root = walk->root};

	if (walk->result.plugin_count >= SCAN_PLUGINS) {
		free(text);
		walk->full = true;
		return;
	}
	check(walk, scan_add_plugin(&walk->result, &plugin, folder, name));
}

/* true: there is one, if maybe a broken one. */
static bool
take(struct scan_walk *walk, int fd, const char *folder, const char *name)
{
	struct reason why = {""};
	char path[PATH_MAX], *text;
	size_t size;
	plug_err err = plugin_file_read(fd, name, &text, &size, &why);
	int saved = errno;

	if (err == PLUG_ENOTFOUND)
		return false;
	if (!err) {
		add_plugin(walk, folder, name, text, size);
		return true;
	}
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	errno = saved;
	if (err == PLUG_ENOMEM)
		walk->no_memory = true;
	else
		REPORT(walk, path, err, "%s", why.text);
	return true;
}

static void
take_file(struct scan_walk *walk, int dir_fd, const char *name)
{
	if (!strcmp(name, SCAN_MANIFEST)) /* it was looked for */
		return;
	if (walk->files++ >= SCAN_FILES)
		walk->full = true;
	else
		take(walk, dir_fd, walk->path, name);
}

/* ---- folders ---- */

static void
push(struct scan_walk *walk, const char *path, int depth, bool link)
{
	struct pending one = {strdup(path), depth, link};

	if (one.path &&
	    scan_grow((void **)&walk->pending, walk->pending_count, sizeof(*walk->pending))) {
		walk->pending[walk->pending_count++] = one;
		return;
	}
	free(one.path);
	walk->no_memory = true;
}

/* DT_DIR, DT_REG, or what is none of the business; *ret_link: it is reached through a link. */
static int
kind_of(struct scan_walk *walk, int dir_fd, const char *name, const char *path, int type,
	bool *ret_link)
{
	struct stat info;

	*ret_link = false;
	if (type == DT_DIR || type == DT_REG)
		return type;
	if (type != DT_LNK && type != DT_UNKNOWN)
		return DT_UNKNOWN;
	if (fstatat(dir_fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
		return DT_UNKNOWN; /* gone */
	*ret_link = S_ISLNK(info.st_mode);
	if (*ret_link && fstatat(dir_fd, name, &info, 0) < 0) {
		REPORT(walk, path, PLUG_ESYS, "a link that leads nowhere: %s",
		       strerrordesc_np(errno));
		return DT_UNKNOWN;
	}
	return S_ISDIR(info.st_mode) ? DT_DIR : S_ISREG(info.st_mode) ? DT_REG : DT_UNKNOWN;
}

static bool
on_entry(void *context, int dir_fd, const char *name, int type)
{
	struct scan_walk *walk = context;
	char path[PATH_MAX];
	bool link;
	int kind;

	walk->entries++;
	if (is_skipped(name))
		return true;
	if (snprintf(path, sizeof(path), "%s/%s", walk->path, name) >= (int)sizeof(path)) {
		REPORT(walk, walk->path, PLUG_ETOOLARGE, "the paths below it are too long");
		return true;
	}
	kind = kind_of(walk, dir_fd, name, path, type, &link);
	if (kind == DT_REG)
		take_file(walk, dir_fd, name);
	else if (kind == DT_DIR && walk->depth == SCAN_DEPTH)
		walk->too_deep = true;
	else if (kind == DT_DIR)
		push(walk, path, walk->depth + 1, link);
	return !walk->no_memory && !walk->full;
}

static void
visit(struct scan_walk *walk, int fd, const char *path, int depth)
{
	struct stat info;
	int first;

	if (fstat(fd, &info) < 0)
		return;
	first = scan_visit(&walk->visited, &info);
	check(walk, first >= 0);
	if (first <= 0)
		return;
	if (walk->visited.count > SCAN_FOLDERS) {
		walk->full = true;
		return;
	}
	if (take(walk, fd, path, SCAN_MANIFEST))
		return;
	walk->path = path;
	walk->depth = depth;
	if (dir_each(fd, ".", on_entry, walk) < 0)
		REPORT(walk, path, PLUG_ESYS, "cannot be listed: %s", strerrordesc_np(errno));
}

/* A link's folder is known by where it really is, so that paths do not depend on the order. */
static void
visit_pending(struct scan_walk *walk, const struct pending *one)
{
	AUTO_FREE char *real = one->link ? realpath(one->path, NULL) : NULL;
	const char *path = real ? real : one->path;
	AUTO_CLOSE int fd = -1;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0)
		visit(walk, fd, path, one->depth);
	else if (errno != ENOENT)
		REPORT(walk, one->path, PLUG_ESYS, "%s%s", one->link ? "link to a folder: " : "",
		       strerrordesc_np(errno));
}

/* ---- plugin directories ---- */

static int
by_place(const void *a, const void *b)
{
	const struct scan_plugin *left = a, *right = b;

	if (left->store != right->store)
		return left->store < right->store ? -1 : 1;
	return strcmp(left->manifest, right->manifest);
}

/* A plugin directory that is a file: that one, which is somebody's wish, so what is wrong is told.
 */
static void
take_root_file(struct scan_walk *walk, const char *root)
{
	char folder[PATH_MAX], *slash, *text;
	struct reason why = {""};
	size_t size;
	plug_err err = plugin_file_read(AT_FDCWD, walk->real, &text, &size, &why);

	if (err) {
		check(walk, err != PLUG_ENOMEM);
		REPORT(walk, root, err, "%s", why.text);
		return;
	}
	snprintf(folder, sizeof(folder), "%s", walk->real);
	slash = strrchr(folder, '/');
	*slash = '\0';
	add_plugin(walk, *folder ? folder : "/", slash + 1, text, size);
}

static void
begin_root(struct scan_walk *walk)
{
	const char *root = walk->roots[walk->root];
	struct stat info;

	walk->first = walk->result.plugin_count;
	walk->too_deep = walk->full = false;
	free(walk->real);
	walk->real = realpath(root, NULL);
	if (!walk->real || stat(walk->real, &info) < 0)
		REPORT(walk, root, errno == ENOENT ? PLUG_ENOTFOUND : PLUG_ESYS,
		       "plugin directory: %s", strerrordesc_np(errno));
	else if (S_ISDIR(info.st_mode))
		push(walk, walk->real, 0, false);
	else
		take_root_file(walk, root);
}

static void
drop_pending(struct scan_walk *walk)
{
	while (walk->pending_count)
		free(walk->pending[--walk->pending_count].path);
}

static void
end_root(struct scan_walk *walk)
{
	const char *root = walk->roots[walk->root];
	struct scan *result = &walk->result;
	struct place place;

	drop_pending(walk);
	if (walk->too_deep)
		REPORT(walk, root, PLUG_ETOOLARGE,
		       "folders more than %d levels below it were not searched", SCAN_DEPTH);
	if (walk->full)
		REPORT(walk, root, PLUG_ETOOLARGE,
		       "not searched to its end: more than %u folders, %u executables or %u "
		       "plugins in all",
		       SCAN_FOLDERS, SCAN_FILES, SCAN_PLUGINS);
	for (size_t i = walk->first; walk->real && i < result->plugin_count; i++)
		result->plugins[i].store = place_of(walk->real, result->plugins[i].manifest, &place)
						   ? (int)place.store
						   : PLACE_NONE;
	if (result->plugin_count > walk->first)
		qsort(result->plugins + walk->first, result->plugin_count - walk->first,
		      sizeof(*result->plugins), by_place);
	walk->root++;
}

/* ---- the walk ---- */

struct scan_walk *
scan_begin(const char *const *roots, size_t root_count)
{
	struct scan_walk *walk = calloc(1, sizeof(*walk));

	if (!walk)
		return NULL;
	walk->roots = calloc(root_count + 1, sizeof(char *));
	for (size_t i = 0; walk->roots && i < root_count; i++) {
		walk->roots[i] = strdup(roots[i]);
		check(walk, walk->roots[i] != NULL);
		walk->root_count++;
	}
	check(walk, walk->roots != NULL);
	if (!walk->no_memory && root_count)
		begin_root(walk);
	if (!walk->no_memory)
		return walk;
	scan_end(walk, NULL);
	return NULL;
}

bool
scan_step(struct scan_walk *walk, unsigned entries)
{
	walk->entries = 0;
	while (walk->entries < entries && walk->root < walk->root_count && !walk->no_memory) {
		walk->entries++;
		if (walk->pending_count && !walk->full) {
			struct pending one = walk->pending[--walk->pending_count];

			visit_pending(walk, &one);
			free(one.path);
			continue;
		}
		end_root(walk);
		if (walk->root < walk->root_count)
			begin_root(walk);
	}
	return walk->no_memory || walk->root == walk->root_count;
}

plug_err
scan_end(struct scan_walk *walk, struct scan *ret)
{
	plug_err err = walk && walk->no_memory ? PLUG_ENOMEM : PLUG_OK;

	if (!walk)
		return PLUG_OK;
	drop_pending(walk);
	free(walk->pending);
	for (size_t i = 0; i < walk->root_count; i++)
		free(walk->roots[i]);
	free(walk->roots);
	free(walk->real);
	free(walk->visited.table);
	if (ret && !err)
		*ret = walk->result;
	else
		scan_fini(&walk->result);
	free(walk);
	return err;
}

plug_err
scan_run(const char *const *roots, size_t root_count, struct scan *ret)
{
	struct scan_walk *walk = scan_begin(roots, root_count);

	if (!walk)
		return PLUG_ENOMEM;
	while (!scan_step(walk, SCAN_FOLDERS))
		;
	return scan_end(walk, ret);
}
