#include "core/place.h"

#include <stdio.h>
#include <string.h>

static const char *const names[PLACE_COUNT] = {[PLACE_BUILTIN] = "builtin",
					       [PLACE_NONE] = "",
					       [PLACE_OPTIONAL] = "optional",
					       [PLACE_COMMUNITY] = "community"};

const char *
place_store_name(enum place_store store)
{
	return store < PLACE_COUNT ? names[store] : "";
}

static enum place_store
store_of(const char *name, size_t length)
{
	for (int store = 0; store < PLACE_COUNT; store++)
		if (length && strlen(names[store]) == length &&
		    !strncmp(names[store], name, length))
			return (enum place_store)store;
	return PLACE_NONE;
}

/* The part of a path after the last '/' that is not its last byte. */
static const char *
last_part(const char *path, size_t *ret_length)
{
	size_t end = strlen(path), start;

	while (end > 1 && path[end - 1] == '/')
		end--;
	for (start = end; start && path[start - 1] != '/'; start--)
		;
	*ret_length = end - start;
	return path + start;
}

/* How much of `path`, relative to its plugin directory, is folders around the plugin. */
static size_t
length_around(const char *path)
{
	const char *file = strrchr(path, '/');
	size_t length = file ? (size_t)(file - path) : 0;

	if (!file || strcmp(file + 1, "plugin.yaml"))
		return length;
	while (length && path[length - 1] != '/')
		length--;
	return length ? length - 1 : 0;
}

bool
place_of(const char *root, const char *path, struct place *ret)
{
	size_t length = strlen(root), around, part;

	while (length > 1 && root[length - 1] == '/')
		length--;
	if (strncmp(path, root, length) || (path[length] != '/' && length > 1))
		return false;
	path += length;
	path += strspn(path, "/");
	around = length_around(path);
	root = last_part(root, &length);
	*ret = (struct place){.store = store_of(root, length)};
	part = strcspn(path, "/") < around ? strcspn(path, "/") : around;
	if (ret->store == PLACE_NONE && store_of(path, part) != PLACE_NONE) {
		ret->store = store_of(path, part);
		around -= part + (around > part);
		path += part + 1;
		part = strcspn(path, "/") < around ? strcspn(path, "/") : around;
	}
	snprintf(ret->category, sizeof(ret->category), "%.*s", (int)part, path);
	return true;
}
