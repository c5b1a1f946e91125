#include "daemon_discover.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "daemon_private.h"

#define STEP_ENTRIES 48 /* of folders; a millisecond or two */
#define STEP_SPECS   4  /* manifests that are parsed */

/* ---- what is known already ---- */

static void
index_known(struct daemon *d)
{
	struct daemon_discover *found = &d->found;

	if (found->known_changes == d->host.spec_changes &&
	    found->known_count == d->registry.count && found->known.count)
		return;
	idmap_fini(&found->known);
	found->known = (struct idmap){0};
	LIST_FOREACH (plugin, &d->registry.plugins, struct plugin, node) {
		uint64_t id = hash_text(HASH_START, plugin->spec->path);

		if (id && !idmap_get(&found->known, id))
			idmap_put(&found->known, id, plugin);
	}
	found->known_changes = d->host.spec_changes;
	found->known_count = d->registry.count;
}

static struct spec *
find_known(void *user, const char *path)
{
	struct daemon *d = user;
	const struct plugin *plugin;
	struct spec *spec;

	index_known(d);
	plugin = idmap_get(&d->found.known, hash_text(HASH_START, path));
	if (!plugin)
		return NULL;
	spec = plugin->next_spec ? plugin->next_spec : plugin->spec;
	return strcmp(spec->path, path) ? NULL : spec;
}

static struct config_present
present_of(struct daemon *d)
{
	return (struct config_present){d->host.state_fd, &d->registry, find_known, d};
}

/* ---- by themselves ---- */

static bool
said_in_settings(const struct daemon *d, const struct plugin *plugin)
{
	const struct diag_pos *pos = manifest_origin(plugin->spec->manifest, "run.autostart");

	return pos && pos->file && d->settings->file && !strcmp(pos->file, d->settings->file);
}

void
daemon_place(void *user, const struct plugin *plugin, struct place *ret)
{
	struct daemon *d = user;

	config_place(&d->dirs, plugin->spec->path, ret);
}

static bool
may_start(void *user, const struct plugin *plugin)
{
	struct daemon *d = user;
	struct place place;

	if (d->settings->discovery.autoload == AUTOLOAD_ALL || said_in_settings(d, plugin))
		return true;
	if (d->settings->discovery.autoload == AUTOLOAD_ENABLED)
		return false;
	daemon_place(d, plugin, &place);
	return place.store == PLACE_BUILTIN || place.store == PLACE_NONE;
}

void
daemon_autostart(struct daemon *d)
{
	registry_autostart(&d->registry, may_start, d);
}

/* ---- now ---- */

static void
give(struct daemon *d, struct spec **specs, size_t count, struct list *bad, bool noticed)
{
	struct registry_found found = {.specs = specs,
				       .count = count,
				       .limit = (size_t)d->settings->limits.plugins,
				       .bad = bad,
				       .noticed = noticed};

	registry_update(&d->registry, &found);
}

static void drop_search(struct daemon *d);

/* A search that is under way knows less than this one: it would take away what is found now. */
plug_err
daemon_discover(struct daemon *d)
{
	const struct config_present present = present_of(d);
	struct list bad = LIST_INIT(bad);
	struct spec **specs;
	size_t count;
	plug_err err;

	drop_search(d);
	daemon_set_dirs(d);
	err = config_discover(d->options, &d->dirs, d->settings, &present, &specs, &count, &bad);
	if (err)
		return err;
	give(d, specs, count, &bad, false);
	free(specs);
	return PLUG_OK;
}

/* ---- in steps ---- */

static void
drop_search(struct daemon *d)
{
	struct daemon_discover *found = &d->found;

	ev_timer_stop(d->loop, &found->step_w);
	scan_end(found->walk, NULL);
	found->walk = NULL;
	scan_fini(&found->scan);
	for (size_t i = 0; i < found->count; i++)
		spec_free(found->specs[i]);
	free(found->specs);
	found->specs = NULL;
	found->count = found->next = 0;
	found->making = false;
	bad_plugins_free(&found->bad);
}

static void
give_up(struct daemon *d)
{
	drop_search(d);
	log_error("out of memory while looking for plugins; those known before stay");
}

static void
step_later(struct daemon *d)
{
	ev_timer_set(&d->found.step_w, 0., 0.);
	ev_timer_start(d->loop, &d->found.step_w);
}

static void
finish(struct daemon *d)
{
	struct daemon_discover *found = &d->found;
	size_t before = d->registry.count;

	config_scan_errors(&found->scan, &found->bad);
	give(d, found->specs, found->count, &found->bad, true);
	found->count = 0; /* they were taken */
	drop_search(d);
	daemon_autostart(d);
	if (d->registry.count != before)
		events_add(&d->host.events, NULL, "config", 0, 0,
			   "plugin directories re-read; %zu plugins", d->registry.count);
	daemon_watch_sync(d);
	if (found->again)
		daemon_discover_begin(d);
}

static void
step_making(struct daemon *d)
{
	struct daemon_discover *found = &d->found;
	const struct config_present present = present_of(d);
	struct config_making making;

	config_making_init(&making, d->options, d->settings, &present);
	for (unsigned made = 0; made < STEP_SPECS && found->next < found->scan.plugin_count;) {
		const struct scan_plugin *one = &found->scan.plugins[found->next++];
		struct spec *spec = config_make(&making, one, &found->bad);

		made += !spec || spec->refs == 1; /* the others are known and cost little */
		if (spec)
			found->specs[found->count++] = spec;
	}
	config_making_fini(&making);
	if (found->next < found->scan.plugin_count)
		step_later(d);
	else
		finish(d);
}

static void
on_step(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct daemon *d = w->data;
	struct daemon_discover *found = &d->found;

	(void)loop;
	(void)revents;
	if (d->host.shutting_down) {
		drop_search(d);
		return;
	}
	if (found->making) {
		step_making(d);
		return;
	}
	if (!scan_step(found->walk, STEP_ENTRIES)) {
		step_later(d);
		return;
	}
	found->making = true;
	if (!scan_end(found->walk, &found->scan))
		found->specs = calloc(found->scan.plugin_count + 1, sizeof(struct spec *));
	found->walk = NULL;
	if (found->specs)
		step_later(d);
	else
		give_up(d);
}

void
daemon_discover_begin(struct daemon *d)
{
	struct daemon_discover *found = &d->found;

	found->again = found->walk || found->making;
	if (found->again || d->host.shutting_down)
		return;
	daemon_set_dirs(d);
	found->walk = scan_begin(d->dirs.paths, d->dirs.count);
	if (found->walk)
		step_later(d);
	else
		give_up(d);
}

/* ---- itself ---- */

void
daemon_discover_init(struct daemon *d)
{
	list_init(&d->found.bad);
	ev_timer_init(&d->found.step_w, on_step, 0., 0.);
	d->found.step_w.data = d;
}

void
daemon_discover_fini(struct daemon *d)
{
	drop_search(d);
	idmap_fini(&d->found.known);
	d->found.known = (struct idmap){0};
	config_dirs_fini(&d->dirs);
	kept_list_fini(&d->found.added);
	kept_list_fini(&d->found.loaded);
}
