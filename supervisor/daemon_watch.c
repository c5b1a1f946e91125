#include "daemon_watch.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "daemon_private.h"
#include "os/plugin_file.h"
#include "os/remote.h"
#include "os/statedir.h"

#define LONGEST      25  /* delays that changes one after the other may put off a look */
#define TREE_SHARE   0.4 /* of the delay: whoever drops a plugin waits for it */
#define YAML_BYTES   ((size_t)256 * 1024)
#define BASE_SECONDS 0.05 /* until what a reload changed is watched */

/* Seconds in which nothing has to change. */
static double
quiet(const struct daemon *d)
{
	return (double)d->settings->watch_delay_ms / 1e3;
}

static double
tree_quiet(const struct daemon *d)
{
	return TREE_SHARE * quiet(d);
}

static void
start_timer(struct daemon *d, ev_timer *w, double seconds)
{
	ev_timer_stop(d->loop, w);
	ev_now_update(d->loop);
	ev_timer_set(w, seconds, 0.);
	ev_timer_start(d->loop, w);
}

static void
look_later(struct daemon *d, double seconds)
{
	start_timer(d, &d->watch.quiet_w, seconds);
}

/* Once more, unless it was put off for too long. */
static void
put_off(struct daemon *d, ev_timer *w, uint64_t *since_ms, double seconds)
{
	uint64_t now = clock_mono_ms();

	if (!*since_ms)
		*since_ms = now;
	if (now - *since_ms < LONGEST * d->settings->watch_delay_ms || !ev_is_active(w))
		start_timer(d, w, seconds);
}

/* ---- what is to be watched ---- */

static bool
is_watched(const struct daemon *d, const struct plugin *plugin)
{
	const struct spec *spec = plugin->spec;

	if (spec->watch)
		return true;
	return d->settings->watch && !manifest_origin(spec->manifest, "run.watch");
}

static bool
anything_is_watched(const struct daemon *d)
{
	LIST_FOREACH (plugin, &d->registry.plugins, struct plugin, node)
		if (is_watched(d, plugin))
			return true;
	return d->settings->watch || (d->settings->discovery.live && d->dirs.count);
}

static void
want_file(void *context, const char *path)
{
	watch_want_file(context, path);
}

/* One that is on its way: its program comes after its manifest. */
static void
want_bad(struct watch *watch, const char *path)
{
	char folder[PATH_MAX], *slash;

	snprintf(folder, sizeof(folder), "%s", path);
	slash = strrchr(folder, '/');
	if (!slash || slash == folder || plugin_file_is_single(path))
		return;
	*slash = '\0';
	watch_want_folder(watch, folder);
}

static void
want_dirs(struct daemon *d)
{
	for (size_t i = 0; i < d->dirs.count; i++)
		watch_want_tree(d->watch.watch, d->dirs.paths[i], SCAN_MANIFEST);
	LIST_FOREACH (bad, &d->registry.bad, struct bad_plugin, node)
		if (bad->path)
			want_bad(d->watch.watch, bad->path);
}

static void
want_all(struct daemon *d)
{
	struct watch *watch = d->watch.watch;

	if (d->settings->watch && d->settings->file)
		watch_want_file(watch, d->settings->file);
	if (d->settings->watch && d->settings->models_file)
		watch_want_file(watch, d->settings->models_file);
	if (d->settings->discovery.live)
		want_dirs(d);
	LIST_FOREACH (plugin, &d->registry.plugins, struct plugin, node) {
		if (!is_watched(d, plugin))
			continue;
		watch_want_file(watch, plugin->spec->path);
		version_each_file(plugin->spec, want_file, watch);
	}
}

static void
say(struct daemon *d, const char *text)
{
	if (strcmp(d->watch.text, text) && *text)
		log_warn("%s", text);
	snprintf(d->watch.text, sizeof(d->watch.text), "%s", text);
}

static void on_change(void *user, enum watch_kind kind);

static const struct watch_ops watch_ops = {.on_change = on_change};

static void
close_watch(struct daemon *d)
{
	if (d->watch.watch)
		ev_io_stop(d->loop, &d->watch.news_w);
	watch_close(d->watch.watch);
	d->watch.watch = NULL;
}

static bool
open_watch(struct daemon *d, struct reason *why)
{
	if (d->watch.watch)
		return true;
	if (watch_open(&watch_ops, d, &d->watch.watch, why))
		return false;
	ev_io_set(&d->watch.news_w, watch_fd(d->watch.watch), EV_READ);
	ev_io_start(d->loop, &d->watch.news_w);
	return true;
}

static bool
is_any_remote(const struct daemon *d)
{
	for (size_t i = 0; i < d->dirs.count; i++)
		if (remote_is(d->dirs.paths[i]))
			return true;
	return false;
}

/* How to know what inotify does not tell. */
static void
set_rescan(struct daemon *d, bool incomplete)
{
	ev_timer *w = &d->watch.rescan_w;
	double seconds = (double)d->settings->discovery.rescan_ms / 1e3;
	bool wanted = seconds > 0 && anything_is_watched(d) && (incomplete || is_any_remote(d));

	if (wanted == ev_is_active(w) && (!wanted || w->repeat == seconds))
		return;
	ev_timer_stop(d->loop, w);
	if (!wanted)
		return;
	ev_now_update(d->loop);
	ev_timer_set(w, seconds, seconds);
	ev_timer_start(d->loop, w);
}

static void
say_incomplete(struct daemon *d, const struct reason *why)
{
	uint64_t ms = d->settings->discovery.rescan_ms;
	char text[sizeof(d->watch.text)];

	if (ms)
		snprintf(text, sizeof(text), "%.300s; all is looked at every %.1f s instead",
			 why->text, (double)ms / 1e3);
	else
		snprintf(text, sizeof(text), "%.300s; plugctl reread looks", why->text);
	say(d, text);
}

void
daemon_watch_sync(struct daemon *d)
{
	struct reason why = {"nothing is watched: out of memory"};
	bool incomplete = false;

	d->watch.specs_seen = d->host.spec_changes;
	if (!anything_is_watched(d)) {
		close_watch(d);
	} else if (!open_watch(d, &why)) {
		incomplete = true;
	} else {
		watch_begin(d->watch.watch);
		want_all(d);
		incomplete = watch_end(d->watch.watch, &why);
	}
	set_rescan(d, incomplete);
	if (incomplete)
		say_incomplete(d, &why);
	else
		say(d, "");
}

static void
look_at_dirs_later(struct daemon *d)
{
	if (d->settings->discovery.live)
		start_timer(d, &d->watch.tree_w, tree_quiet(d));
}

void
daemon_watch_look(struct daemon *d)
{
	daemon_watch_sync(d);
	look_at_dirs_later(d);
	if (anything_is_watched(d))
		look_later(d, quiet(d));
}

void
daemon_watch_settled(struct daemon *d)
{
	if (d->watch.specs_seen != d->host.spec_changes && !ev_is_active(&d->watch.quiet_w))
		look_later(d, BASE_SECONDS);
}

/* ---- changes ---- */

static void
on_change(void *user, enum watch_kind kind)
{
	struct daemon *d = user;
	struct daemon_watch *watch = &d->watch;

	if (kind == WATCH_BUSY) {
		if (ev_is_active(&watch->tree_w))
			put_off(d, &watch->tree_w, &watch->tree_since_ms, tree_quiet(d));
		return;
	}
	if (kind == WATCH_LOST)
		log_warn("more changed than inotify could tell: everything watched is looked at");
	if (kind != WATCH_FILE && d->settings->discovery.live)
		put_off(d, &watch->tree_w, &watch->tree_since_ms, tree_quiet(d));
	put_off(d, &watch->quiet_w, &watch->since_ms, quiet(d));
}

static void
on_news(struct ev_loop *loop, ev_io *w, int revents)
{
	struct daemon *d = w->data;

	(void)loop;
	(void)revents;
	watch_read(d->watch.watch);
}

/* 0: it cannot be read now, and may be on its way. */
static uint64_t
text_hash(uint64_t before, const char *path)
{
	AUTO_FREE char *text = NULL;
	size_t size;

	if (statedir_read(AT_FDCWD, path, YAML_BYTES, &text, &size))
		return 0;
	return hash_bytes(before, text, size);
}

/* As the fingerprint of the settings that are in force. */
static uint64_t
settings_hash(const struct settings *settings)
{
	uint64_t hash =
		settings->watch && settings->file ? text_hash(HASH_START, settings->file) : 0;

	return hash && settings->models_file ? text_hash(hash, settings->models_file) : hash;
}

static void
look_at_settings(struct daemon *d)
{
	uint64_t now = settings_hash(d->settings);

	if (!now || now == d->settings->fingerprint) {
		d->watch.refused_yaml = 0;
		return;
	}
	if (now == d->watch.refused_yaml)
		return;
	daemon_reread(d);
	d->watch.refused_yaml = now == d->settings->fingerprint ? 0 : now;
}

/* Of what is on disk; 0: it is not complete, and may be on its way. */
static uint64_t
digest_on_disk(const struct daemon *d, const struct plugin *plugin)
{
	uint64_t fingerprint = config_fingerprint(d->settings, plugin->spec), digest;

	if (!fingerprint)
		return 0;
	digest = version_digest(plugin->spec, fingerprint);
	/* Another manifest may name another program. */
	return digest || fingerprint == plugin->spec->fingerprint ? digest : fingerprint;
}

static uint64_t
digest_in_force(const struct daemon *d, const struct plugin *plugin)
{
	(void)d;
	if (plugin->version && plugin->version->spec == plugin->spec)
		return plugin->version->digest;
	return version_digest(plugin->spec, plugin->spec->fingerprint);
}

static void
look_at_plugin(struct daemon *d, struct plugin *plugin)
{
	uint64_t digest = digest_on_disk(d, plugin);
	char text[CONTROL_ERRORS_BYTES];
	plug_err err;

	if (!digest || plugin->removed)
		return;
	if (digest == digest_in_force(d, plugin)) {
		plugin->tried = 0;
		return;
	}
	if (digest == plugin->tried)
		return;
	if (plugin->rollout || plugin->change) {
		look_later(d, quiet(d));
		return;
	}
	plugin->tried = digest;
	events_add(&d->host.events, plugin_name(plugin), "changed", plugin->last_generation, 0,
		   "its files on disk are others than those in force");
	err = control_begin_reload(&d->control, plugin, NULL, false, text);
	if (err)
		rollout_refuse(plugin, *text ? text : plug_err_text(err));
}

static void
on_quiet(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct daemon *d = w->data;

	(void)loop;
	(void)revents;
	d->watch.since_ms = 0;
	if (d->host.shutting_down)
		return;
	daemon_watch_sync(d); /* first: what changes from here on is told again */
	look_at_settings(d);
	LIST_FOREACH (plugin, &d->registry.plugins, struct plugin, node)
		if (is_watched(d, plugin))
			look_at_plugin(d, plugin);
	daemon_watch_sync(d);
}

static void
on_tree_quiet(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct daemon *d = w->data;

	(void)loop;
	(void)revents;
	d->watch.tree_since_ms = 0;
	if (d->host.shutting_down)
		return;
	daemon_watch_sync(d);
	daemon_discover_begin(d);
}

static void
on_rescan(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct daemon *d = w->data;

	(void)loop;
	(void)revents;
	look_at_dirs_later(d);
	look_later(d, quiet(d));
}

/* ---- the watcher itself ---- */

void
daemon_watch_init(struct daemon *d)
{
	ev_io_init(&d->watch.news_w, on_news, -1, EV_READ);
	ev_timer_init(&d->watch.quiet_w, on_quiet, 0., 0.);
	ev_timer_init(&d->watch.tree_w, on_tree_quiet, 0., 0.);
	ev_timer_init(&d->watch.rescan_w, on_rescan, 0., 0.);
	d->watch.news_w.data = d->watch.quiet_w.data = d;
	d->watch.tree_w.data = d->watch.rescan_w.data = d;
}

void
daemon_watch_fini(struct daemon *d)
{
	ev_timer_stop(d->loop, &d->watch.quiet_w);
	ev_timer_stop(d->loop, &d->watch.tree_w);
	ev_timer_stop(d->loop, &d->watch.rescan_w);
	close_watch(d);
}
