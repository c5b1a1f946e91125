/*
 * What starts, and when: what a plugin requires goes first, and no two of them run that must not
 * run side by side.  A plugin that cannot start is told why, once, and does not wait for ever.
 */
#include "plugin/registry_start.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "plugin/rivals.h"

/* ---- what is required ---- */

size_t
requirements_count(const struct plugin *plugin)
{
	const struct manifest_requires *requires = &plugin->spec->manifest->requires;

	return requires->plugins.count + requires->capabilities.count;
}

/* `other` was started, given up or told to stop since `plugin` is wanted: it is not started again
 * for that.  (So each that could serve is tried once: nothing goes round in a circle.) */
static bool
was_tried(const struct plugin *other, const struct plugin *plugin)
{
	return plugin->start_wanted && other->acted_ns >= plugin->wanted_ns;
}

/* How good the chances are that `other` serves `plugin`: it does, it will, it may be started, it
 * has failed or was tried, it must not be started. */
static int
chances(const struct plugin *other, const struct plugin *plugin)
{
	if (plugin_takes_calls(other))
		return 4;
	if (!plugin_is_down(other) || other->start_wanted)
		return 3;
	if (other->enabled == ENABLED_NO)
		return 0;
	return plugin_all(other, SLOT_IN(STOPPED)) && !was_tried(other, plugin) ? 2 : 1;
}

/* `left` goes before `right`, of two that may both serve `plugin`. */
static bool
serves_better(const struct plugin *left, const struct plugin *right, const struct plugin *plugin)
{
	int before = chances(left, plugin), after = chances(right, plugin);

	if (before != after)
		return before > after;
	return left->spec->priority > right->spec->priority;
}

static struct plugin *
provider_of(const struct registry *registry, const struct plugin *plugin, const char *capability)
{
	struct plugin *best = NULL;

	LIST_FOREACH (other, &registry->plugins, struct plugin, node)
		if (other != plugin && !other->removed &&
		    manifest_provides(other->spec->manifest, capability) &&
		    (!best || serves_better(other, best, plugin)))
			best = other;
	return best;
}

struct plugin *
requirements_at(const struct registry *registry, const struct plugin *plugin, size_t i)
{
	const struct manifest_requires *requires = &plugin->spec->manifest->requires;

	if (i < requires->plugins.count)
		return registry_find(registry, requires->plugins.items[i].name);
	return provider_of(registry, plugin,
			   requires->capabilities.items[i - requires->plugins.count]);
}

struct plugin *
registry_waits_for(const struct registry *registry, const struct plugin *plugin)
{
	for (size_t i = 0; i < requirements_count(plugin); i++) {
		struct plugin *other = requirements_at(registry, plugin, i);

		if (other && !plugin_takes_calls(other))
			return other;
	}
	return NULL;
}

/* It is starting, or will be as soon as its turn comes. */
static bool
is_about_to_start(const struct registry *registry, const struct plugin *plugin)
{
	return plugin_any(plugin, SLOT_ACTIVE, SLOT_IN(STARTING)) ||
	       (plugin->start_wanted && !registry_waits_for(registry, plugin));
}

struct plugin *
registry_comes_after(const struct registry *registry, const struct plugin *plugin)
{
	const unsigned char *rank = registry->host->start_rank;

	if (!rank[plugin->spec->manifest->type]) /* the first, or there is no order */
		return NULL;
	LIST_FOREACH (other, &registry->plugins, struct plugin, node)
		if (rank[other->spec->manifest->type] < rank[plugin->spec->manifest->type] &&
		    is_about_to_start(registry, other))
			return other;
	return NULL;
}

/* ---- starting ---- */

static bool
starts_by_itself(const struct plugin *plugin,
		 bool (*wanted)(void *user, const struct plugin *plugin), void *user)
{
	return plugin_starts_by_itself(plugin) &&
	       (!wanted || plugin->enabled == ENABLED_YES || wanted(user, plugin));
}

void
registry_autostart(struct registry *registry,
		   bool (*wanted)(void *user, const struct plugin *plugin), void *user)
{
	LIST_FOREACH (plugin, &registry->plugins, struct plugin, node) {
		bool fresh = plugin_all(plugin, SLOT_IN(STOPPED)) && !plugin->last_generation;
		bool back = plugin->was_removed;

		plugin->was_removed = false;
		if (plugin->removed || !(fresh || back) || !starts_by_itself(plugin, wanted, user))
			continue;
		if (plugin->start_wanted)
			continue; /* by an operator, perhaps, who wants what it requires, too */
		plugin->wanted_ns = 0;
		if (plugin_is_down(plugin))
			plugin->start_wanted = true;
		else
			plugin_handle(plugin, SE_START); /* on its way out: then it comes back */
	}
	registry_changed(registry);
}

static void
want_with_requirements(struct registry *registry, struct plugin *plugin)
{
	plugin->start_wanted = true;
	plugin->wanted_ns = clock_mono_ns();
	for (size_t i = 0; i < requirements_count(plugin); i++) {
		struct plugin *other = requirements_at(registry, plugin, i);

		if (other && plugin_is_down(other) && !other->start_wanted &&
		    other->enabled != ENABLED_NO)
			want_with_requirements(registry, other);
	}
}

void
registry_restart(struct registry *registry, struct plugin *plugin)
{
	if (plugin_is_down(plugin))
		registry_start(registry, plugin);
	else
		plugin_handle(plugin, SE_RESTART);
}

void
registry_stop(struct plugin *plugin)
{
	plugin->start_wanted = false;
	plugin->acted_ns = clock_mono_ns();
	plugin_handle(plugin, SE_STOP);
}

void
registry_start(struct registry *registry, struct plugin *plugin)
{
	if (!plugin_is_down(plugin)) {
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
		    !registry_comes_after(registry, plugin) &&
		    (!best || plugin->spec->priority > best->spec->priority))
			best = plugin;
	return best;
}

static void
give_up(struct plugin *plugin, const char *why)
{
	bool is_news = strcmp(plugin_why(plugin), why); /* it is tried at every search */

	plugin->start_wanted = false;
	plugin->acted_ns = clock_mono_ns();
	plugin_set_why(plugin, why);
	if (is_news)
		events_add(&plugin->host->events, plugin_name(plugin), "failed",
			   plugin->last_generation, 0, "not started: %s", why);
	plugin_slot_settled(plugin);
}

/* Plugins wait for each other, `plugin` among them: the one that was wanted last, or NULL.
 * Manifests are refused for a circle through those that serve best, not for one through the next.
 */
static struct plugin *
last_of_circle(const struct registry *registry, struct plugin *plugin)
{
	struct plugin *last = plugin, *at = plugin;

	for (size_t steps = 0; steps < registry->count && at && at->start_wanted; steps++) {
		at = registry_waits_for(registry, at);
		if (at == plugin)
			return last;
		if (at && at->wanted_ns > last->wanted_ns)
			last = at;
	}
	return NULL;
}

/* A plugin waits for one that will not come: another is started that serves as well, or it is said
 * so instead of waiting for ever.  Returns whether there is something to start or to give up now
 * that was not. */
static bool
give_up_waiting(struct registry *registry)
{
	bool stepped_on = false;
	char why[256];

	LIST_FOREACH (plugin, &registry->plugins, struct plugin, node) {
		struct plugin *other =
			plugin->start_wanted ? registry_waits_for(registry, plugin) : NULL;
		struct plugin *last = other ? last_of_circle(registry, plugin) : NULL;

		if (last) {
			snprintf(why, sizeof(why), "it requires %s, which waits for it",
				 plugin_name(registry_waits_for(registry, last)));
			give_up(last, why);
			stepped_on = true;
			continue;
		}
		if (!other || !plugin_is_down(other) || other->start_wanted)
			continue;
		/* What it counted on has gone, and this serves as well. */
		if (chances(other, plugin) == 2) {
			want_with_requirements(registry, other);
			stepped_on = true;
			continue;
		}
		snprintf(why, sizeof(why), "it requires %s, which is %s", plugin_name(other),
			 plugin_word(other));
		give_up(plugin, why);
	}
	return stepped_on;
}

/* The first that has a process, or will have one by itself, beside which `plugin` must not run. */
static bool
has_rival(const struct registry *registry, const struct plugin *plugin, char why[RIVALS_TEXT_BYTES])
{
	LIST_FOREACH (other, &registry->plugins, struct plugin, node)
		if (other != plugin && !plugin_is_down(other) &&
		    rivals_text(plugin->spec, other->spec, plugin_word(other), why))
			return true;
	return false;
}

void
registry_start_wanted(struct registry *registry)
{
	char why[RIVALS_TEXT_BYTES];
	struct plugin *plugin;

	do {
		while ((plugin = next_to_start(registry))) {
			if (has_rival(registry, plugin, why)) {
				give_up(plugin, why);
				continue;
			}
			plugin->start_wanted = false;
			plugin->acted_ns = clock_mono_ns();
			plugin_handle(plugin, SE_START);
		}
	} while (give_up_waiting(registry));
}
