#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/scan_private.h"

#define MAX_ERRORS 1024

struct scan_identity {
	dev_t device;
	ino_t inode;
};

bool
scan_grow(void **items, size_t count, size_t item_size)
{
	void *grown;

	if (count & (count - 1)) /* room is made at every power of two */
		return true;
	grown = realloc(*items, (count ? 2 * count : 1) * item_size);
	if (grown)
		*items = grown;
	return grown != NULL;
}

bool
scan_add_plugin(struct scan *scan, const struct scan_plugin *plugin, const char *folder,
		const char *name)
{
	struct scan_plugin one = *plugin;

	one.folder = strdup(folder);
	if (asprintf(&one.manifest, "%s/%s", strcmp(folder, "/") ? folder : "", name) < 0)
		one.manifest = NULL;
	if (one.folder && one.manifest &&
	    scan_grow((void **)&scan->plugins, scan->plugin_count, sizeof(*scan->plugins))) {
		scan->plugins[scan->plugin_count++] = one;
		return true;
	}
	free(one.folder);
	free(one.manifest);
	free(one.text);
	return false;
}

static bool
is_shortage(int number)
{
	return number == EMFILE || number == ENFILE || number == ENOMEM || number == EIO;
}

bool
scan_report(struct scan *scan, const char *path, plug_err code, const char *format, ...)
{
	bool short_of = code == PLUG_ESYS && is_shortage(errno);
	struct scan_error *error;
	va_list ap;

	if (scan->error_count == MAX_ERRORS)
		return true;
	if (!scan_grow((void **)&scan->errors, scan->error_count, sizeof(*scan->errors)))
		return false;
	error = &scan->errors[scan->error_count];
	error->path = strdup(path);
	error->code = code;
	error->unseen = short_of;
	va_start(ap, format);
	vsnprintf(error->why.text, sizeof(error->why.text), format, ap);
	va_end(ap);
	scan->error_count += error->path != NULL;
	return error->path != NULL;
}

static struct scan_identity *
place(struct scan_identity *table, size_t size, struct scan_identity id)
{
	uint64_t hash = ((uint64_t)id.inode ^ (uint64_t)id.device << 40) * 0x9e3779b97f4a7c15u;
	size_t at = (size_t)(hash >> 32) & (size - 1);

	while (table[at].inode && (table[at].inode != id.inode || table[at].device != id.device))
		at = (at + 1) & (size - 1);
	return &table[at];
}

static bool
grow_visited(struct scan_visited *visited)
{
	size_t size = visited->size ? 2 * visited->size : 64;
	struct scan_identity *table = calloc(size, sizeof(*table));

	if (!table)
		return false;
	for (size_t i = 0; i < visited->size; i++)
		if (visited->table[i].inode)
			*place(table, size, visited->table[i]) = visited->table[i];
	free(visited->table);
	visited->table = table;
	visited->size = size;
	return true;
}

int
scan_visit(struct scan_visited *visited, const struct stat *info)
{
	struct scan_identity id = {.device = info->st_dev, .inode = info->st_ino}, *at;

	if (2 * visited->count >= visited->size && !grow_visited(visited))
		return -1;
	at = place(visited->table, visited->size, id);
	if (at->inode)
		return 0;
	*at = id;
	visited->count++;
	return 1;
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
