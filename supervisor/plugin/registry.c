#include "plugin/registry.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "core/suggest.h"
#include "os/proc.h"
#include "plugin/instance_private.h"
#include "plugin/registry_check.h"
#include "plugin/registry_start.h"
#include "plugin/reload.h"
#include "plugin/slots.h"

#define OOM_LOOK_TICKS 10

static void
on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct registry *registry = w->data;
	struct host *host = registry->host;

	(void)loop;
	(void)revents;
	if (++host->ticks % OOM_LOOK_TICKS == 0)
		host->oom_kills = proc_oom_kills();
	LIST_FOREACH (plugin, &registry->plugins, struct plugin, node)
		LIST_FOREACH_SAFE (in, &plugin->instances, struct instance, node)
			instance_tick(in);
	LIST_FOREACH (plugin, &registry->plugins, struct plugin, node)
		LIST_FOREACH (slot, &plugin->slots, struct slot, node)
			reload_tick(slot);
}

static bool
is_child(void *user, pid_t pid)
{
	return registry_has_pid(user, pid);
}

#define STOPPING_OR_DOWN (SLOTS_DOWN | SLOT_IN(STOPPING))

static void on_pump(struct ev_loop *loop, ev_idle *w, int revents);

void
registry_init(struct registry *registry, struct host *host)
{
	*registry = (struct registry){.host = host};
	host->is_child = is_child;
	host->is_child_user = registry;
	host->oom_kills = proc_oom_kills();
	list_init(&registry->plugins);
	list_init(&registry->bad);
	ev_timer_init(&registry->tick_w, on_tick, 1., 1.);
	ev_idle_init(&registry->pump_w, on_pump);
	registry->tick_w.data = registry->pump_w.data = registry;
	ev_timer_start(host->loop, &registry->tick_w);
}

/* plugd ends in a hurry: the processes are dead by now, and nobody waits for their events. */
static void
abandon_instances(struct plugin *plugin)
{
	LIST_FOREACH (slot, &plugin->slots, struct slot, node)
		slot->current = slot->next = slot->old = NULL;
	LIST_FOREACH_SAFE (in, &plugin->instances, struct instance, node) {
		plugin->host->ops->on_ended(plugin->host->ops_user, in);
		plugin->host->ops->on_gone(plugin->host->ops_user, in, "plugd ends");
		instance_free(in);
	}
}

static void drop(struct registry *registry, struct plugin *plugin);

void
registry_fini(struct registry *registry)
{
	ev_timer_stop(registry->host->loop, &registry->tick_w);
	ev_idle_stop(registry->host->loop, &registry->pump_w);
	LIST_FOREACH_SAFE (plugin, &registry->plugins, struct plugin, node) {
		abandon_instances(plugin);
		drop(registry, plugin);
	}
	idmap_fini(&registry->by_name);
	bad_plugins_free(&registry->bad);
}

static uint64_t
id_of(const char *name)
{
	return hash_text(HASH_START, name);
}

/* Before the first that comes behind it; most come in order. */
static struct list *
place_for(struct registry *registry, const char *name)
{
	struct list *last = registry->plugins.prev;

	if (last == &registry->plugins ||
	    strcmp(plugin_name(LIST_ENTRY(last, struct plugin, node)), name) < 0)
		return &registry->plugins;
	LIST_FOREACH (other, &registry->plugins, struct plugin, node)
		if (strcmp(plugin_name(other), name) > 0)
			return &other->node;
	return &registry->plugins;
}

void
registry_add(struct registry *registry, struct plugin *plugin)
{
	uint64_t id = id_of(plugin_name(plugin));

	list_append(place_for(registry, plugin_name(plugin)), &plugin->node);
	registry->count++;
	if (!id || idmap_get(&registry->by_name, id) || !idmap_put(&registry->by_name, id, plugin))
		registry->unindexed++;
}

static void
drop(struct registry *registry, struct plugin *plugin)
{
	uint64_t id = id_of(plugin_name(plugin));

	if (idmap_get(&registry->by_name, id) == plugin)
		idmap_take(&registry->by_name, id);
	else
		registry->unindexed--;
	registry->count--;
	registry->host->ops->on_forget(registry->host->ops_user, plugin);
	plugin_free(plugin);
}

struct plugin *
registry_find(const struct registry *registry, const char *name)
{
	struct plugin *found = idmap_get(&registry->by_name, id_of(name));

	if (found && !strcmp(plugin_name(found), name))
		return found;
	if (!registry->unindexed)
		return NULL;
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
		LIST_FOREACH (in, &plugin->instances, struct instance, node)
			if (in->pid == pid)
				return true;
	return graves_has(&registry->host->graves, pid);
}

/* ---- stopping ---- */

static bool
is_required_by_another(const struct registry *registry, const struct plugin *plugin)
{
	LIST_FOREACH (other, &registry->plugins, struct plugin, node) {
		if (other == plugin || plugin_is_down(other))
			continue;
		for (size_t i = 0; i < requirements_count(other); i++)
			if (requirements_at(registry, other, i) == plugin)
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
		if (!plugin_is_down(plugin) && !plugin_is_stuck(plugin) &&
		    (!up || plugin_all(plugin, STOPPING_OR_DOWN)))
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
		if (plugin_all(plugin, STOPPING_OR_DOWN) ||
		    is_required_by_another(registry, plugin))
			continue;
		acted = true;
		plugin_handle(plugin, SE_STOP);
	}
	up = one_that_is_up(registry);
	/* Processes of older and of newer manifests may require each other: one has to be first. */
	if (up && !acted && !plugin_all(up, STOPPING_OR_DOWN))
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
		if (!plugin_is_down(plugin)) {
			if (!registry->keep_removed && !plugin_all(plugin, STOPPING_OR_DOWN))
				plugin_handle(plugin, SE_STOP);
			continue;
		}
		events_add(&registry->host->events, plugin_name(plugin), "removed",
			   plugin->last_generation, 0, "its folder is gone");
		drop(registry, plugin);
	}
}

static void
on_pump(struct ev_loop *loop, ev_idle *w, int revents)
{
	struct registry *registry = w->data;

	(void)revents;
	ev_idle_stop(loop, w);
	forget_removed(registry);
	LIST_FOREACH (plugin, &registry->plugins, struct plugin, node)
		slots_adjust(plugin);
	if (registry->host->shutting_down)
		stop_all(registry);
	else
		registry_start_wanted(registry);
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
