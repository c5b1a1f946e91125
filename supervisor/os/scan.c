#include "os/scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "os/dir.h"
#include "os/statedir.h"

#define MAX_ERRORS 1024

struct identity {
	dev_t device;
	ino_t inode;
};

struct walk {
	struct scan result;
	struct identity *visited; /* open addressing; an inode of 0 is a free place */
	size_t visited_size, visited_count;
	size_t root;
	const char *path; /* of the folder that is being read */
	int depth;
	bool too_deep, full, no_memory;
};

static bool
grow_by_one(void **items, size_t count, size_t item_size)
{
	void *grown;

	if (count & (count - 1)) /* room is made at every power of two */
		return true;
	grown = realloc(*items, (count ? 2 * count : 1) * item_size);
	if (grown)
		*items = grown;
	return grown != NULL;
}

__attribute__((format(printf, 4, 5))) static void
report(struct walk *walk, const char *path, plug_err code, const char *format, ...)
{
	struct scan *result = &walk->result;
	struct scan_error *error;
	va_list ap;

	if (result->error_count == MAX_ERRORS)
		return;
	if (!grow_by_one((void **)&result->errors, result->error_count, sizeof(*result->errors))) {
		walk->no_memory = true;
		return;
	}
	error = &result->errors[result->error_count];
	error->path = strdup(path);
	error->code = code;
	va_start(ap, format);
	vsnprintf(error->why.text, sizeof(error->why.text), format, ap);
	va_end(ap);
	if (error->path)
		result->error_count++;
	else
		walk->no_memory = true;
}

static struct identity *
place_of(struct identity *table, size_t size, struct identity id)
{
	uint64_t hash = ((uint64_t)id.inode ^ (uint64_t)id.device << 40) * 0x9e3779b97f4a7c15u;
	size_t at = (size_t)(hash >> 32) & (size - 1);

	while (table[at].inode && (table[at].inode != id.inode || table[at].device != id.device))
		at = (at + 1) & (size - 1);
	return &table[at];
}

static bool
grow_visited(struct walk *walk)
{
	size_t size = walk->visited_size ? 2 * walk->visited_size : 64;
	struct identity *table = calloc(size, sizeof(*table));

	if (!table)
		return false;
	for (size_t i = 0; i < walk->visited_size; i++)
		if (walk->visited[i].inode)
			*place_of(table, size, walk->visited[i]) = walk->visited[i];
	free(walk->visited);
	walk->visited = table;
	walk->visited_size = size;
	return true;
}

/* true the first time only. */
static bool
visit(struct walk *walk, const struct stat *info)
{
	struct identity id = {.device = info->st_dev, .inode = info->st_ino}, *place;

	if (2 * walk->visited_count >= walk->visited_size && !grow_visited(walk)) {
		walk->no_memory = true;
		return false;
	}
	place = place_of(walk->visited, walk->visited_size, id);
	if (place->inode)
		return false;
	*place = id;
	walk->visited_count++;
	return true;
}

static void
add_plugin(struct walk *walk, const char *folder, char *text, size_t size)
{
	struct scan *result = &walk->result;
	struct scan_plugin plugin = {.text = text, .size = size, .root = walk->root};

	plugin.folder = strdup(folder);
	if (asprintf(&plugin.manifest, "%s/" SCAN_MANIFEST, folder) < 0)
		plugin.manifest = NULL;
	if (plugin.folder && plugin.manifest &&
	    grow_by_one((void **)&result->plugins, result->plugin_count,
			sizeof(*result->plugins))) {
		result->plugins[result->plugin_count++] = plugin;
		return;
	}
	walk->no_memory = true;
	free(plugin.folder);
	free(plugin.manifest);
	free(text);
}

static void
report_manifest(struct walk *walk, const char *folder, plug_err err)
{
	const char *system = strerrordesc_np(errno);
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/" SCAN_MANIFEST, folder);
	if (err == PLUG_ETOOLARGE)
		report(walk, path, err, "larger than %u KiB, the most that a manifest may have",
		       SCAN_MANIFEST_BYTES / 1024);
	else if (err == PLUG_EINVAL)
		report(walk, path, err,
		       "not a regular file; to put a plugin into a second place, link its folder");
	else
		report(walk, path, err, "cannot be read: %s", system);
}

/* true: the folder is a plugin, if maybe a broken one, and is not searched. */
static bool
take_manifest(struct walk *walk, int fd, const char *folder)
{
	char *text;
	size_t size;
	plug_err err = statedir_read(fd, SCAN_MANIFEST, SCAN_MANIFEST_BYTES, &text, &size);

	if (err == PLUG_ENOTFOUND)
		return false;
	if (err == PLUG_ENOMEM)
		walk->no_memory = true;
	else if (err)
		report_manifest(walk, folder, err);
	else if (walk->result.plugin_count < SCAN_PLUGINS)
		add_plugin(walk, folder, text, size);
	else {
		free(text);
		walk->full = true;
	}
	return true;
}

static bool
is_skipped(const char *name)
{
	return *name == '.' || *name == '_' || fnmatch("*.template", name, 0) == 0;
}

static bool on_entry(void *context, int dir_fd, const char *name, int type);

static void
scan_folder(struct walk *walk, int fd, const char *path)
{
	const char *above = walk->path;
	struct stat info;

	if (fstat(fd, &info) < 0 || !visit(walk, &info))
		return;
	if (walk->visited_count > SCAN_FOLDERS) {
		walk->full = true;
		return;
	}
	if (take_manifest(walk, fd, path))
		return;
	walk->path = path;
	walk->depth++;
	if (dir_each(fd, ".", on_entry, walk) < 0)
		report(walk, path, PLUG_ESYS, "cannot be listed: %s", strerrordesc_np(errno));
	walk->depth--;
	walk->path = above;
}

/* A link's folder is known by where it really is, so that paths do not depend on the order. */
static void
scan_link(struct walk *walk, int fd, const char *path)
{
	char *real = realpath(path, NULL);

	if (real)
		scan_folder(walk, fd, real);
	else
		report(walk, path, PLUG_ESYS, "%s", strerrordesc_np(errno));
	free(real);
}

static bool
on_entry(void *context, int dir_fd, const char *name, int type)
{
	struct walk *walk = context;
	AUTO_CLOSE int fd = -1;
	char path[PATH_MAX];
	bool is_link;

	if (is_skipped(name) || (type != DT_DIR && type != DT_LNK && type != DT_UNKNOWN))
		return true;
	if (snprintf(path, sizeof(path), "%s/%s", walk->path, name) >= (int)sizeof(path)) {
		report(walk, walk->path, PLUG_ETOOLARGE, "the paths below it are too long");
		return true;
	}
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	is_link = fd < 0 && type != DT_DIR;
	if (is_link)
		fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno != ENOTDIR)
		report(walk, path, PLUG_ESYS, "%s%s", is_link ? "link to a folder: " : "",
		       strerrordesc_np(errno));
	else if (fd >= 0 && walk->depth > SCAN_DEPTH)
		walk->too_deep = true;
	else if (fd >= 0 && is_link)
		scan_link(walk, fd, path);
	else if (fd >= 0)
		scan_folder(walk, fd, path);
	return !walk->no_memory && !walk->full;
}

static int
by_folder(const void *a, const void *b)
{
	const struct scan_plugin *left = a, *right = b;

	return strcmp(left->folder, right->folder);
}

static void
scan_root(struct walk *walk, const char *root)
{
	AUTO_CLOSE int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t first = walk->result.plugin_count;

	if (fd < 0) {
		report(walk, root, errno == ENOENT ? PLUG_ENOTFOUND : PLUG_ESYS,
		       "plugin directory: %s", strerrordesc_np(errno));
		return;
	}
	walk->depth = 0;
	walk->too_deep = walk->full = false;
	scan_link(walk, fd, root);
	if (walk->too_deep)
		report(walk, root, PLUG_ETOOLARGE,
		       "folders more than %d levels below it were not searched", SCAN_DEPTH);
	if (walk->full)
		report(walk, root, PLUG_ETOOLARGE,
		       "not searched to its end: more than %u folders or %u plugins in all",
		       SCAN_FOLDERS, SCAN_PLUGINS);
	if (walk->result.plugin_count > first)
		qsort(walk->result.plugins + first, walk->result.plugin_count - first,
		      sizeof(*walk->result.plugins), by_folder);
}

plug_err
scan_run(const char *const *roots, size_t root_count, struct scan *ret)
{
	struct walk walk = {0};

	for (; walk.root < root_count && !walk.no_memory; walk.root++)
		scan_root(&walk, roots[walk.root]);
	free(walk.visited);
	if (walk.no_memory) {
		scan_fini(&walk.result);
		return PLUG_ENOMEM;
	}
	*ret = walk.result;
	return PLUG_OK;
}

void
scan_fini(struct scan *scan)
{
	for (size_t i = 0; i < scan->plugin_count; i++) {
		free(scan->plugins[i].folder);
		free(scan->plugins[i].manifest);
		free(scan->plugins[i].text);
	}
	for (size_t i = 0; i < scan->error_count; i++)
		free(scan->errors[i].path);
	free(scan->plugins);
	free(scan->errors);
	*scan = (struct scan){0};
}
