/* The plugin directories: those of options and settings, and what operators add. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon_discover.h"
#include "daemon_private.h"
#include "os/plugin_file.h"

#define ADDED_FILE  "plugin_dirs"
#define LOADED_FILE "loaded"

/* ---- which there are ---- */

/* As mkdir -p.  0, or -1 with errno. */
static int
make_dir(const char *path)
{
	char part[PATH_MAX];
	int made = 0;

	if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	for (char *slash = part; slash;) {
		slash = strchr(slash + 1, '/');
		if (slash)
			*slash = '\0';
		made = mkdir(part, 0755);
		if (made && errno != EEXIST && errno != EISDIR)
			return -1;
		if (slash)
			*slash = '/';
	}
	return 0;
}

/* What everybody may read: plugd's own mask is for what nobody may. */
static int
make_plugin_dir(const char *path)
{
	mode_t before = umask(022);
	int made = make_dir(path), saved = errno;

	umask(before);
	errno = saved;
	return made;
}

static void
create_missing(struct daemon *d)
{
	for (size_t i = 0; i < d->dirs.count; i++) {
		const char *path = d->dirs.paths[i];

		if (d->dirs.origin[i] > DIR_SETTINGS || access(path, F_OK) == 0 || errno != ENOENT)
			continue;
		if (make_plugin_dir(path))
			log_warn(
				"plugin directory %s cannot be made: %s; it is searched once it is "
				"there",
				path, strerror(errno));
		else
			log_info("plugin directory %s was missing and has been made", path);
	}
}

void
daemon_set_dirs(struct daemon *d)
{
	const struct daemon_discover *found = &d->found;

	config_dirs(d->options, d->settings, &d->dirs);
	for (size_t i = 0; i < found->added.count; i++)
		config_dirs_add(&d->dirs, found->added.items[i], DIR_ADDED);
	for (size_t i = 0; i < found->loaded.count; i++)
		config_dirs_add(&d->dirs, found->loaded.items[i], DIR_LOADED);
	if (d->settings->discovery.create)
		create_missing(d);
	config_dirs_resolve(&d->dirs);
}

static void
load_list(struct daemon *d, struct kept_list *list, const char *name, size_t max)
{
	plug_err err = kept_list_load(list, d->host.state_fd, name, max);

	if (err)
		log_warn("%s in the state directory: %s; it is taken as empty, until plugctl adds "
			 "to it",
			 name, err == PLUG_ESYS ? strerror(errno) : plug_err_text(err));
}

void
daemon_discover_load(struct daemon *d)
{
	load_list(d, &d->found.added, ADDED_FILE, CONFIG_DIRS);
	load_list(d, &d->found.loaded, LOADED_FILE, CONFIG_LOADED);
}

/* ---- for operators ---- */

static const char *
origin_text(enum dir_origin origin)
{
	static const char *const texts[] = {[DIR_OPTION] = "--plugin-dir",
					    [DIR_SETTINGS] = "plugd.yaml",
					    [DIR_STORE] = "store",
					    [DIR_ADDED] = "added",
					    [DIR_LOADED] = "loaded"};

	return texts[origin];
}

static void
count_plugins(struct daemon *d, Plug__Dir *dirs)
{
	LIST_FOREACH (plugin, &d->registry.plugins, struct plugin, node) {
		struct place place;
		size_t at = config_place(&d->dirs, plugin->spec->path, &place);

		if (at < d->dirs.count)
			dirs[at].plugins++;
	}
}

void
daemon_list_dirs(void *user, Plug__Dirs *ret, struct arena *arena)
{
	struct daemon *d = user;
	Plug__Dir *dirs = arena_array(arena, d->dirs.count + 1, sizeof(*dirs));
	Plug__Dir **pointers = arena_array(arena, d->dirs.count + 1, sizeof(Plug__Dir *));

	if (!dirs || !pointers)
		return;
	for (size_t i = 0; i < d->dirs.count; i++) {
		plug__dir__init(&dirs[i]);
		dirs[i].path = (char *)d->dirs.paths[i];
		dirs[i].origin = (char *)origin_text(d->dirs.origin[i]);
		if (access(d->dirs.paths[i], R_OK))
			dirs[i].error = arena_strdup(arena, strerror(errno));
		pointers[i] = &dirs[i];
	}
	count_plugins(d, dirs);
	ret->dirs = pointers;
	ret->n_dirs = d->dirs.count;
}

static void
search_now(struct daemon *d)
{
	if (daemon_discover(d))
		log_error("out of memory while looking for plugins; those known before stay");
	daemon_autostart(d);
	daemon_watch_sync(d);
}

/* Where a list cannot be kept it is as it was before. */
static plug_err
keep(struct daemon *d, struct kept_list *list, const char *name, const char *path, bool added,
     struct reason *why)
{
	plug_err err = kept_list_store(list, d->host.state_fd, name);

	if (err && added)
		kept_list_remove(list, path);
	else if (err)
		kept_list_add(list, path, SIZE_MAX);
	daemon_set_dirs(d); /* they point into the list */
	if (!err)
		return err;
	return reason_set(why, err,
			  "cannot be kept in the state directory: %s; nothing was changed",
			  err == PLUG_ESYS ? strerrordesc_np(errno) : plug_err_text(err));
}

static plug_err
add_to(struct daemon *d, struct kept_list *list, const char *name, const char *path,
       struct reason *why)
{
	size_t max = list == &d->found.loaded ? CONFIG_LOADED : CONFIG_DIRS;
	plug_err err = kept_list_add(list, path, max);

	if (!err)
		return keep(d, list, name, path, true, why);
	return reason_set(why, err,
			  "%s; expected a path without a newline, and at most %zu of them",
			  plug_err_text(err), max);
}

static bool
is_dir_already(const struct daemon *d, const char *path, size_t *ret_at)
{
	for (*ret_at = 0; *ret_at < d->dirs.count; ++*ret_at)
		if (d->dirs.origin[*ret_at] != DIR_LOADED && !strcmp(d->dirs.paths[*ret_at], path))
			return true;
	return false;
}

static plug_err
add_dir(struct daemon *d, const char *path, bool create, struct reason *why)
{
	struct stat info;
	size_t at;
	plug_err err;

	if (*path != '/')
		return reason_set(why, PLUG_EINVAL, "expected an absolute path; found \"%s\"",
				  path);
	if (is_dir_already(d, path, &at))
		return reason_set(why, PLUG_ESTATE, "%s is searched already (%s)", path,
				  origin_text(d->dirs.origin[at]));
	if (create && access(path, F_OK) && make_plugin_dir(path))
		return reason_set(why, PLUG_ESYS, "%s cannot be made: %s", path,
				  strerrordesc_np(errno));
	if (stat(path, &info) || access(path, R_OK | X_OK))
		return reason_set(why, PLUG_ESYS, "%s: %s; nothing was added; --create makes it",
				  path, strerrordesc_np(errno));
	if (!S_ISDIR(info.st_mode))
		return reason_set(why, PLUG_EINVAL,
				  "%s is no folder; for a single file, plugctl load", path);
	err = add_to(d, &d->found.added, ADDED_FILE, path, why);
	if (!err)
		search_now(d);
	return err;
}

static plug_err
remove_dir(struct daemon *d, const char *path, struct reason *why)
{
	size_t at;
	plug_err err;

	if (!kept_list_remove(&d->found.added, path)) {
		if (!is_dir_already(d, path, &at))
			return reason_set(why, PLUG_EINVAL,
					  "%s is no plugin directory; plugctl dirs list shows them",
					  path);
		return reason_set(why, PLUG_ESTATE,
				  "%s was not added by plugctl: it is from %s; take it out there%s",
				  path, origin_text(d->dirs.origin[at]),
				  d->dirs.origin[at] == DIR_SETTINGS ? ", then plugctl reread"
								     : " and start plugd anew");
	}
	err = keep(d, &d->found.added, ADDED_FILE, path, false, why);
	if (!err)
		search_now(d);
	return err;
}

plug_err
daemon_change_dirs(void *user, const Plug__DirsRequest *request, struct reason *why)
{
	const char *path = request->path ? request->path : "";

	if (request->action == PLUG__DIRS_ACTION__DIRS_ADD)
		return add_dir(user, path, request->create, why);
	if (request->action == PLUG__DIRS_ACTION__DIRS_REMOVE)
		return remove_dir(user, path, why);
	return reason_set(why, PLUG_EINVAL, "an action that this plugd does not know: update it");
}

/* ---- one by its path ---- */

struct target {
	char manifest[PATH_MAX];
	char root[PATH_MAX]; /* what is searched for it: its folder, or its single file */
};

/* What a path that somebody types means.  Whatever is there is looked into, so that nothing is
 * added that is no plugin. */
static plug_err
find_target(const char *path, struct target *ret, struct reason *why)
{
	struct reason inner = {""};
	char *text, *slash;
	struct stat info;
	size_t size;
	plug_err err;

	if (*path != '/')
		return reason_set(why, PLUG_EINVAL, "expected an absolute path; found \"%s\"",
				  path);
	if (!realpath(path, ret->root) || stat(ret->root, &info))
		return reason_set(why, PLUG_EINVAL, "%s: %s", path, strerrordesc_np(errno));
	if (snprintf(ret->manifest, PATH_MAX, "%s%s", ret->root,
		     S_ISDIR(info.st_mode) ? "/" PLUGIN_MANIFEST : "") >= PATH_MAX)
		return reason_set(why, PLUG_ETOOLARGE, "the path is too long");
	slash = strrchr(ret->root, '/');
	if (!S_ISDIR(info.st_mode) && !plugin_file_is_single(ret->manifest))
		slash[slash == ret->root] = '\0';
	err = plugin_file_read(AT_FDCWD, ret->manifest, &text, &size, &inner);
	if (!err)
		free(text);
	else /* PLUG_ENOTFOUND would be: no such plugin */
		reason_set(why, err = err == PLUG_ENOTFOUND ? PLUG_EINVAL : err, "%.200s: %.160s",
			   ret->manifest, inner.text);
	return err;
}

/* A single file may have been found by a link. */
static bool
is_same_file(const struct plugin *plugin, const char *manifest)
{
	struct stat one, other;

	if (!strcmp(plugin->spec->path, manifest))
		return true;
	return plugin->spec->manifest->single && !stat(plugin->spec->path, &one) &&
	       !stat(manifest, &other) && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

static struct plugin *
find_by_path(const struct daemon *d, const char *manifest)
{
	LIST_FOREACH (plugin, &d->registry.plugins, struct plugin, node)
		if (!plugin->removed && is_same_file(plugin, manifest))
			return plugin;
	return NULL;
}

/* Why there is no plugin there, after a search. */
static void
explain(const struct daemon *d, const char *manifest, struct reason *why)
{
	reason_set(why, PLUG_EINVAL, "%s: no plugin was found there", manifest);
	LIST_FOREACH (bad, &d->registry.bad, struct bad_plugin, node)
		if (bad->path && !strcmp(bad->path, manifest) && bad->error_count)
			reason_set(why, PLUG_EINVAL, "%s", bad->errors[0]);
}

struct plugin *
daemon_load(void *user, const char *path, plug_err *ret_err, struct reason *why)
{
	struct daemon *d = user;
	struct target target;
	struct plugin *plugin;

	*ret_err = find_target(path, &target, why);
	if (*ret_err)
		return NULL;
	search_now(d); /* it may be in a plugin directory */
	plugin = find_by_path(d, target.manifest);
	if (plugin)
		return plugin;
	*ret_err = add_to(d, &d->found.loaded, LOADED_FILE, target.root, why);
	if (*ret_err)
		return NULL;
	search_now(d);
	plugin = find_by_path(d, target.manifest);
	if (plugin)
		return plugin;
	explain(d, target.manifest, why);
	kept_list_remove(&d->found.loaded, target.root);
	kept_list_store(&d->found.loaded, d->host.state_fd, LOADED_FILE);
	search_now(d);
	*ret_err = PLUG_EINVAL;
	return NULL;
}

plug_err
daemon_unload(void *user, struct plugin *plugin, struct reason *why)
{
	struct daemon *d = user;
	struct place place;
	size_t at = config_place(&d->dirs, plugin->spec->path, &place);
	char path[PATH_MAX];
	plug_err err;

	if (at == d->dirs.count || d->dirs.origin[at] != DIR_LOADED)
		return reason_set(
			why, PLUG_ESTATE,
			"was not loaded by path: it is in the plugin directory %s; plugctl "
			"disable keeps it from running",
			at < d->dirs.count ? d->dirs.paths[at] : "");
	snprintf(path, sizeof(path), "%s", d->dirs.paths[at]);
	kept_list_remove(&d->found.loaded, path);
	err = keep(d, &d->found.loaded, LOADED_FILE, path, false, why);
	if (!err)
		search_now(d);
	return err;
}
