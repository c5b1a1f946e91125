#include "plugin/registry.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "core/suggest.h"
#include "plugin/instance_private.h"
#include "plugin/registry_check.h"

static void
on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct registry *registry = w->data;

	(void)loop;
	(void)revents;
	LIST_FOREACH (plugin, &registry->plugins, struct plugin, node)
		if (plugin->instance)
			instance_tick(plugin->instance);
}

static bool
is_child(void *user, pid_t pid)
{
	return registry_has_pid(user, pid);
}

static void on_pump(struct ev_loop *loop, ev_idle *w, int revents);

void
registry_init(struct registry *registry, struct host *host)
{
	*registry = (struct registry){.host = host};
	host->is_child = is_child;
	host->is_child_user = registry;
	list_init(&registry->plugins);
	list_init(&registry->bad);
	ev_timer_init(&registry->tick_w, on_tick, 1., 1.);
	ev_idle_init(&registry->pump_w, on_pump);
	registry->tick_w.data = registry->pump_w.data = registry;
	ev_timer_start(host->loop, &registry->tick_w);
}

static void
drop_bad(struct registry *registry)
{
	LIST_FOREACH_SAFE (bad, &registry->bad, struct bad_plugin, node) {
		list_remove(&bad->node);
		bad_plugin_free(bad);
	}
}

/* plugd ends in a hurry: the process is dead by now, and nobody waits for its event. */
static void
abandon_instance(struct plugin *plugin)
{
	struct instance *in = plugin->instance;

	if (!in)
		return;
	plugin->host->ops->on_gone(plugin->host->ops_user, in);
	plugin->instance = NULL;
	instance_free(in);
}

void
registry_fini(struct registry *registry)
{
	ev_timer_stop(registry->host->loop, &registry->tick_w);
	ev_idle_stop(registry->host->loop, &registry->pump_w);
	LIST_FOREACH_SAFE (plugin, &registry->plugins, struct plugin, node) {
		abandon_instance(plugin);
		registry->host->ops->on_forget(registry->host->ops_user, plugin);
		plugin_free(plugin);
	}
	drop_bad(registry);
}

struct plugin *
registry_find(const struct registry *registry, const char *name)
{
	LIST_FOREACH (plugin, &registry->plugins, struct plugin, node)
		if (!strcmp(plugin_name(plugin), name))
			return plugin;
	return NULL;
}

const char *
registry_suggest(const struct registry *registry, const char *name)
{
	struct suggest suggest;

	suggest_start(&suggest, name);
	LIST_FOREACH (plugin, &registry->plugins, struct plugin, node)
		suggest_offer(&suggest, plugin_name(plugin));
	return suggest.best;
}

const struct bad_plugin *
registry_bad_in_folder(const struct registry *registry, const char *name)
{
	size_t length = strlen(name);

	LIST_FOREACH (bad, &registry->bad, struct bad_plugin, node) {
		const char *file = bad->path ? strrchr(bad->path, '/') : NULL;
		size_t before = file ? (size_t)(file - bad->path) : 0;

		if (before > length && bad->path[before - length - 1] == '/' &&
		    !strncmp(file - length, name, length))
			return bad;
	}
	return NULL;
}

bool
registry_has_pid(const struct registry *registry, pid_t pid)
{
	LIST_FOREACH (plugin, &registry->plugins, struct plugin, node)
		if (plugin->instance && plugin->instance->pid == pid)
			return true;
	return graves_has(&registry->host->graves, pid);
}

/* ---- bad ones ---- */

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

struct bad_plugin *
bad_plugin_new(const char *path, const struct diags *diags)
{
	struct bad_plugin *bad = calloc(1, sizeof(*bad));

	if (!bad)
		return NULL;
	bad->path = strdup(path);
	list_init(&bad->node);
	diags_each(diags, add_error, bad);
	return bad;
}

void
bad_plugin_free(struct bad_plugin *bad)
{
	for (size_t i = 0; i < bad->error_count; i++)
		free(bad->errors[i]);
	free(bad->errors);
	free(bad->path);
	free(bad);
}

/* ---- what a scan found ---- */

static void
insert_sorted(struct registry *registry, struct plugin *plugin)
{
	struct list *at = &registry->plugins;

	LIST_FOREACH (other, &registry->plugins, struct plugin, node)
		if (strcmp(plugin_name(other), plugin_name(plugin)) > 0) {
			at = &other->node;
			break;
		}
	list_append(at, &plugin->node); /* before `at` */
	registry->count++;
}

static void
take_spec(struct registry *registry, struct spec *spec)
{
	struct plugin *known = registry_find(registry, spec->name);

	if (known) {
		known->removed = false;
		plugin_update(known, spec);
		return;
	}
	known = plugin_new(registry->host, spec);
	if (known)
		insert_sorted(registry, known);
	else
		log_error("out of memory: a plugin is left out");
}

/* Its manifest is still there but cannot be used now: what it was before stays in force. */
static void
keep_those_that_became_bad(struct registry *registry)
{
	LIST_FOREACH (plugin, &registry->plugins, struct plugin, node)
		LIST_FOREACH (one, &registry->bad, struct bad_plugin, node)
			if (one->path && !strcmp(one->path, plugin->spec->path))
				plugin->removed = false;
}

void
registry_update(struct registry *registry, struct spec **specs, size_t count, size_t limit,
		struct list *bad)
{
	drop_bad(registry);
	list_splice(&registry->bad, bad);
	count = registry_check(specs, count, limit, &registry->bad);
	LIST_FOREACH (plugin, &registry->plugins, struct plugin, node)
		plugin->removed = true;
	keep_those_that_became_bad(registry);
	for (size_t i = 0; i < count; i++)
		take_spec(registry, specs[i]);
	LIST_FOREACH (one, &registry->bad, struct bad_plugin, node)
		for (size_t i = 0; i < one->error_count; i++)
			log_warn("%s", one->errors[i]);
	registry_changed(registry);
}

/* ---- starting ---- */

struct plugin *
registry_waits_for(const struct registry *registry, const struct plugin *plugin)
{
	const struct manifest_requirements *requires = &plugin->spec->manifest->requires.plugins;

	for (size_t i = 0; i < requires->count; i++) {
		struct plugin *other = registry_find(registry, requires->items[i].name);

		if (other && (other->slot != SS_READY || !other->instance ||
			      !instance_takes_calls(other->instance)))
			return other;
	}
	return NULL;
}

static bool
is_down(const struct plugin *plugin)
{
	return plugin->slot == SS_STOPPED || plugin->slot == SS_FAILED ||
	       plugin->slot == SS_QUARANTINED;
}

void
registry_autostart(struct registry *registry)
{
	LIST_FOREACH (plugin, &registry->plugins, struct plugin, node)
		if (plugin->spec->autostart && plugin->slot == SS_STOPPED && !plugin->removed &&
		    !plugin->last_generation)
			plugin->start_wanted = true;
	registry_changed(registry);
}

static void
want_with_requirements(struct registry *registry, struct plugin *plugin)
{
	const struct manifest_requirements *requires = &plugin->spec->manifest->requires.plugins;

	plugin->start_wanted = true;
	for (size_t i = 0; i < requires->count; i++) {
		struct plugin *other = registry_find(registry, requires->items[i].name);

		if (other && is_down(other) && !other->start_wanted)
			want_with_requirements(registry, other);
	}
}

void
registry_start(struct registry *registry, struct plugin *plugin)
{
	if (!is_down(plugin)) {
		plugin_handle(plugin, SE_START);
		return;
	}
	want_with_requirements(registry, plugin);
	registry_changed(registry);
}

/* The best that may start now: what it requires is ready; then by priority, then by name. */
static struct plugin *
next_to_start(struct registry *registry)
{
	struct plugin *best = NULL;

	LIST_FOREACH (plugin, &registry->plugins, struct plugin, node)
		if (plugin->start_wanted && !registry_waits_for(registry, plugin) &&
		    (!best || plugin->spec->priority > best->spec->priority))
			best = plugin;
	return best;
}

/* A plugin waits for one that will not come: say so instead of waiting for ever. */
static void
give_up_waiting(struct registry *registry)
{
	LIST_FOREACH (plugin, &registry->plugins, struct plugin, node) {
		struct plugin *other =
			plugin->start_wanted ? registry_waits_for(registry, plugin) : NULL;

		if (!other || !is_down(other) || other->start_wanted)
			continue;
		plugin->start_wanted = false;
		snprintf(plugin->why, sizeof(plugin->why), "it requires %s, which is %s",
			 plugin_name(other), plugin_word(other));
		events_add(&registry->host->events, plugin_name(plugin), "failed",
			   plugin->last_generation, 0, "not started: %s", plugin->why);
		registry->host->ops->on_settled(registry->host->ops_user, plugin);
	}
}

static void
start_wanted(struct registry *registry)
{
	struct plugin *plugin;

	while ((plugin = next_to_start(registry))) {
		plugin->start_wanted = false;
		plugin_handle(plugin, SE_START);
	}
	give_up_waiting(registry);
}

/* ---- stopping ---- */

static bool
is_required_by_another(const struct registry *registry, const struct plugin *plugin)
{
	LIST_FOREACH (other, &registry->plugins, struct plugin, node) {
		const struct manifest_requirements *requires =
			&other->spec->manifest->requires.plugins;

		if (other == plugin || is_down(other))
			continue;
		for (size_t i = 0; i < requires->count; i++)
			if (!strcmp(requires->items[i].name, plugin_name(plugin)))
				return true;
	}
	return false;
}

/* What plugd's end waits for: not for a process that SIGKILL does not end.  One that is being
 * stopped comes before any other; NULL when there is none. */
static struct plugin *
one_that_is_up(const struct registry *registry)
{
	struct plugin *up = NULL;

	LIST_FOREACH (plugin, &registry->plugins, struct plugin, node)
		if (!is_down(plugin) &&
		    !(plugin->instance && plugin->instance->state == PS_STUCK) &&
		    (!up || plugin->slot == SS_STOPPING))
			up = plugin;
	return up;
}

static void
stop_all(struct registry *registry)
{
	bool acted = false;
	struct plugin *up;

	LIST_FOREACH (plugin, &registry->plugins, struct plugin, node) {
		plugin->start_wanted = false;
		if (is_down(plugin) || plugin->slot == SS_STOPPING ||
		    is_required_by_another(registry, plugin))
			continue;
		acted = true;
		plugin_handle(plugin, SE_STOP);
	}
	up = one_that_is_up(registry);
	/* Processes of older and of newer manifests may require each other: one has to be first. */
	if (up && !acted && up->slot != SS_STOPPING)
		plugin_handle(up, SE_STOP);
	if (!up && registry->on_all_stopped) {
		void (*done)(void *) = registry->on_all_stopped;

		registry->on_all_stopped = NULL;
		done(registry->on_all_stopped_user);
	}
}

void
registry_shutdown(struct registry *registry, void (*done)(void *user), void *user)
{
	registry->host->shutting_down = true;
	registry->on_all_stopped = done;
	registry->on_all_stopped_user = user;
	registry_changed(registry);
}

static void
forget_removed(struct registry *registry)
{
	LIST_FOREACH_SAFE (plugin, &registry->plugins, struct plugin, node) {
		if (!plugin->removed)
			continue;
		if (!is_down(plugin)) {
			if (plugin->slot != SS_STOPPING)
				plugin_handle(plugin, SE_STOP);
			continue;
		}
		events_add(&registry->host->events, plugin_name(plugin), "removed",
			   plugin->last_generation, 0, "its folder is gone");
		registry->count--;
		registry->host->ops->on_forget(registry->host->ops_user, plugin);
		plugin_free(plugin);
	}
}

static void
on_pump(struct ev_loop *loop, ev_idle *w, int revents)
{
	struct registry *registry = w->data;

	(void)revents;
	ev_idle_stop(loop, w);
	forget_removed(registry);
	if (registry->host->shutting_down)
		stop_all(registry);
	else
		start_wanted(registry);
}

void
registry_changed(struct registry *registry)
{
	/* Idle, at the highest priority: it runs in the same turn of the loop, after what is
	 * pending. */
	ev_idle_stop(registry->host->loop, &registry->pump_w);
	ev_set_priority(&registry->pump_w, EV_MAXPRI);
	ev_idle_start(registry->host->loop, &registry->pump_w);
}
