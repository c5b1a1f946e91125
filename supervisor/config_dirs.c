/* Where plugins are looked for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config.h"

void
config_dirs_fini(struct config_dirs *dirs)
{
	for (size_t i = 0; i < dirs->count; i++)
		free(dirs->real[i]);
	dirs->count = 0;
}

void
config_dirs_add(struct config_dirs *dirs, const char *path, enum dir_origin origin)
{
	if (dirs->count == CONFIG_ROOTS)
		return;
	dirs->paths[dirs->count] = path;
	dirs->real[dirs->count] = NULL;
	dirs->origin[dirs->count++] = (unsigned char)origin;
}

static void
add_store(const struct options *options, const struct settings *settings, struct config_dirs *ret)
{
	struct config_store store;
	struct stat info;

	config_store_init(&store, options, settings);
	snprintf(ret->store, sizeof(ret->store), "%s", store.dir);
	snprintf(ret->keys, sizeof(ret->keys), "%s", store.keys_dir);
	config_store_fini(&store);
	if (!stat(ret->store, &info) && S_ISDIR(info.st_mode))
		config_dirs_add(ret, ret->store, DIR_STORE);
}

void
config_dirs(const struct options *options, const struct settings *settings, struct config_dirs *ret)
{
	config_dirs_fini(ret);
	for (size_t i = 0; i < options->plugin_dir_count; i++)
		config_dirs_add(ret, options->plugin_dirs[i], DIR_OPTION);
	for (size_t i = 0; i < settings->plugin_dirs.count && i < CONFIG_DIRS; i++)
		config_dirs_add(ret, settings->plugin_dirs.items[i], DIR_SETTINGS);
	add_store(options, settings, ret);
}

void
config_dirs_resolve(struct config_dirs *dirs)
{
	for (size_t i = 0; i < dirs->count; i++) {
		free(dirs->real[i]);
		dirs->real[i] = realpath(dirs->paths[i], NULL);
	}
}

size_t
config_place(const struct config_dirs *dirs, const char *path, struct place *ret)
{
	size_t i = 0;

	*ret = (struct place){.store = PLACE_NONE};
	while (i < dirs->count && (!dirs->real[i] || (strcmp(dirs->real[i], path) &&
						      !place_of(dirs->real[i], path, ret))))
		i++;
	if (i < dirs->count &&
	    dirs->origin[i] == DIR_STORE) /* its folders are names and versions */
		*ret = (struct place){.store = PLACE_NONE};
	return i;
}
