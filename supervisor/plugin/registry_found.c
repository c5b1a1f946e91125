/* What a search found becomes what there is. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "core/excerpt.h"
#include "os/scan.h"
#include "plugin/registry.h"
#include "plugin/registry_check.h"

#define VERSION_PARTS 3 /* of a path in the store, from the version on */

/* ---- bad ones ---- */

const char *
registry_in_force(const struct registry *registry, const char *path,
		  char text[REGISTRY_IN_FORCE_BYTES])
{
	snprintf(text, REGISTRY_IN_FORCE_BYTES, "it is not registered");
	if (!registry)
		return text;
	LIST_FOREACH (plugin, &registry->plugins, struct plugin, node)
		if (!strcmp(plugin->spec->path, path))
			snprintf(text, REGISTRY_IN_FORCE_BYTES,
				 "%s %s, as it was read before, stays in force",
				 plugin_name(plugin), plugin->spec->version);
	return text;
}

static void
add_error(void *context, const char *text)
{
	struct bad_plugin *bad = context;
	char **grown = realloc(bad->errors, (bad->error_count + 1) * sizeof(*grown));

	if (!grown)
		return;
	bad->errors = grown;
	grown[bad->error_count] = strdup(text);
	if (grown[bad->error_count])
		bad->error_count++;
}

static void
add_line(void *context, const char *text)
{
	fprintf(context, "%s\n", text);
}

/* NULL when memory is short: then the plain errors are told. */
static char *
explain(const struct diags *diags)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	excerpt_each(diags, add_line, out);
	if (!fclose(out))
		return text;
	free(text);
	return NULL;
}

struct bad_plugin *
bad_plugin_new(const char *path, const struct diags *diags)
{
	struct bad_plugin *bad = calloc(1, sizeof(*bad));

	if (!bad)
		return NULL;
	bad->path = strdup(path);
	list_init(&bad->node);
	diags_each(diags, add_error, bad);
	bad->explained = explain(diags);
	return bad;
}

void
bad_plugin_free(struct bad_plugin *bad)
{
	for (size_t i = 0; i < bad->error_count; i++)
		free(bad->errors[i]);
	spec_free(bad->spec);
	free(bad->errors);
	free(bad->explained);
	free(bad->path);
	free(bad);
}

void
bad_plugins_free(struct list *list)
{
	LIST_FOREACH_SAFE (bad, list, struct bad_plugin, node) {
		list_remove(&bad->node);
		bad_plugin_free(bad);
	}
}

/* ---- what a scan found ---- */

static void
tell_found(struct registry *registry, const struct plugin *plugin)
{
	events_add(&registry->host->events, plugin_name(plugin), "found", 0, 0, "%s",
		   plugin->spec->path);
}

static struct plugin *
find_by_path(const struct registry *registry, const char *path)
{
	LIST_FOREACH (plugin, &registry->plugins, struct plugin, node)
		if (!strcmp(plugin->spec->path, path))
			return plugin;
	return NULL;
}

/* A manifest that says another name now: that is a change, which is made by whoever asks for it. */
static void
keep_renamed(struct registry *registry, struct plugin *known, struct spec *spec)
{
	struct bad_plugin *one;
	struct diags diags;

	known->removed = known->out_of_reach = false;
	diags_init(&diags);
	diag_error(
		&diags, manifest_origin(spec->manifest, "plugin"),
		"plugin: the name was \"%s\" and is \"%s\" now: that is another plugin; %s stays "
		"in force until plugctl reread",
		plugin_name(known), spec->name, plugin_name(known));
	one = bad_plugin_new(spec->path, &diags);
	if (one)
		list_append(&registry->bad, &one->node);
	diags_fini(&diags);
	spec_free(spec);
}

static void
take_spec(struct registry *registry, struct spec *spec, bool noticed)
{
	struct plugin *known = registry_find(registry, spec->name);
	struct plugin *there = known || !noticed ? NULL : find_by_path(registry, spec->path);

	if (there) {
		keep_renamed(registry, there, spec);
		return;
	}
	if (known) {
		bool same = !strcmp(known->spec->path, spec->path);

		known->removed = known->out_of_reach = false;
		/* While a version is being chosen, another one found is the one before. */
		if (same ? noticed && !known->was_removed : known->choosing != PLUGIN_CHOSEN)
			spec_free(spec);
		else
			plugin_update(known, spec);
		return;
	}
	known = plugin_new(registry->host, spec);
	if (!known) {
		log_error("out of memory: a plugin is left out");
		return;
	}
	registry_add(registry, known);
	if (noticed)
		tell_found(registry, known);
}

static bool
is_below(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	return !strncmp(path, folder, length) && path[length] == '/';
}

/* A folder on its way, or a file system, that is away says nothing about what is in it. */
static bool
is_out_of_reach(const struct plugin *plugin, const struct bad_plugin *folder)
{
	return is_below(plugin->spec->path, folder->path) && access(folder->path, R_OK | X_OK);
}

/* plugd could not look there: there may be what was there before. */
static bool
is_unseen(const struct plugin *plugin, const struct bad_plugin *one)
{
	size_t length = strlen(one->path), tail = strlen("/" SCAN_MANIFEST);

	if (length > tail && !strcmp(one->path + length - tail, "/" SCAN_MANIFEST))
		length -= tail;
	return one->unseen && !strncmp(plugin->spec->path, one->path, length) &&
	       plugin->spec->path[length] == '/';
}

static void
keep_out_of_reach(struct plugin *plugin, const char *folder)
{
	plugin->removed = false;
	if (!plugin->out_of_reach)
		events_add(&plugin->host->events, plugin_name(plugin), "config",
			   plugin->last_generation, 0,
			   "%s cannot be read: the plugin stays as it is, and is looked for again "
			   "when that is back",
			   folder);
	plugin->out_of_reach = true;
}

/* How much of the path is left without so many of its last parts. */
static size_t
without_last(const char *path, int parts)
{
	size_t length = strlen(path);

	while (parts && length)
		parts -= path[--length] == '/';
	return length;
}

/* While a version is being chosen, what the search found, and cannot be used, is the one before:
 * STORE/NAME/.versions/VERSION/NAME/MANIFEST, as this one. */
static bool
is_version_before(const struct plugin *plugin, const char *path)
{
	size_t shared = without_last(path, VERSION_PARTS);

	return plugin->choosing != PLUGIN_CHOSEN && shared &&
	       shared == without_last(plugin->spec->path, VERSION_PARTS) &&
	       !strncmp(path, plugin->spec->path, shared);
}

static void
keep_if_bad(struct registry *registry, struct plugin *plugin)
{
	LIST_FOREACH (one, &registry->bad, struct bad_plugin, node) {
		if (!one->path)
			continue;
		if (!strcmp(one->path, plugin->spec->path) || is_version_before(plugin, one->path))
			plugin->removed = false;
		else if (is_unseen(plugin, one) || is_out_of_reach(plugin, one))
			keep_out_of_reach(plugin, one->path);
	}
}

/* Its manifest is still there but cannot be used now, or nobody knows whether it is: what it was
 * before stays in force, unless it is on its way out already. */
static void
keep_those_that_became_bad(struct registry *registry)
{
	LIST_FOREACH (plugin, &registry->plugins, struct plugin, node)
		if (!plugin->was_removed)
			keep_if_bad(registry, plugin);
}

static bool
was_said(const struct list *before, const struct bad_plugin *one, const char *error)
{
	LIST_FOREACH (other, before, struct bad_plugin, node)
		for (size_t i = 0; other->path && one->path && i < other->error_count; i++)
			if (!strcmp(other->path, one->path) && !strcmp(other->errors[i], error))
				return true;
	return false;
}

/* Once: plugd looks again whenever something has changed. */
static void
log_bad(const struct registry *registry, const struct list *before)
{
	LIST_FOREACH (one, &registry->bad, struct bad_plugin, node)
		for (size_t i = 0; i < one->error_count; i++)
			if (!was_said(before, one, one->errors[i]))
				log_warn("%s", one->errors[i]);
}

void
registry_update(struct registry *registry, const struct registry_found *found)
{
	struct list before = LIST_INIT(before);
	size_t count;

	list_splice(&before, &registry->bad);
	list_splice(&registry->bad, found->bad);
	count = registry_check(found->specs, found->count, found->limit, registry, &registry->bad);
	LIST_FOREACH (plugin, &registry->plugins, struct plugin, node) {
		plugin->was_removed = plugin->removed;
		plugin->removed = true;
	}
	keep_those_that_became_bad(registry);
	for (size_t i = 0; i < count; i++)
		take_spec(registry, found->specs[i], found->noticed);
	log_bad(registry, &before);
	bad_plugins_free(&before);
	registry_changed(registry);
}
