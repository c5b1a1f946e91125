/* A plugin, and the registry of all, over an upgrade of plugd. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/turn.h"
#include "plugin/registry.h"
#include "plugin/saved.h"

/* ---- a reload under way ---- */

static Plugd__SavedRollout *
save_rollout(const struct rollout *rollout, struct plugins_out *po)
{
	Plugd__SavedRollout *saved = state_out_message(po->out, &plugd__saved_rollout__descriptor);

	saved->backward = rollout->phase == ROLLOUT_BACKWARD;
	saved->target = plugins_out_version(po, rollout->target);
	saved->origin = plugins_out_version(po, rollout->origin);
	saved->instead = rollout->instead;
	saved->no_way_back = rollout->no_way_back;
	saved->outcome = rollout->outcome;
	saved->how = state_out_text(rollout->how);
	saved->why = state_out_text(rollout->why);
	return saved;
}

static void
restore_rollout(struct plugin *plugin, const Plugd__SavedRollout *saved, struct plugins_in *pi)
{
	struct rollout *rollout = calloc(1, sizeof(*rollout));

	if (!rollout) {
		state_in_fail(pi->in, "out of memory");
		return;
	}
	plugin->rollout = rollout;
	rollout->phase = saved->backward ? ROLLOUT_BACKWARD : ROLLOUT_FORWARD;
	rollout->target = plugins_in_version(pi, saved->target);
	rollout->origin = plugins_in_version(pi, saved->origin);
	rollout->instead = saved->instead;
	rollout->no_way_back = saved->no_way_back;
	rollout->outcome = (plug_err)saved->outcome;
	snprintf(rollout->how, sizeof(rollout->how), "%s", saved->how);
	snprintf(rollout->why, sizeof(rollout->why), "%s", saved->why);
	if (!rollout->target)
		state_in_fail(pi->in, "a reload of %s that leads nowhere", plugin_name(plugin));
}

/* ---- a plugin ---- */

Plugd__SavedPlugin *
plugin_save(struct plugin *plugin, struct plugins_out *po)
{
	struct state_out *out = po->out;
	Plugd__SavedPlugin *saved = state_out_message(out, &plugd__saved_plugin__descriptor);

	saved->spec = plugins_out_spec(po, plugin->spec);
	saved->next_spec = plugins_out_spec(po, plugin->next_spec);
	saved->version = plugins_out_version(po, plugin->version);
	saved->removed = plugin->removed;
	saved->out_of_reach = plugin->out_of_reach;
	saved->log_level = (uint32_t)(plugin->log_level + 1);
	saved->choosing = plugin->choosing;
	saved->scale = plugin->scale;
	saved->enabled = plugin->enabled;
	LIST_FOREACH (slot, &plugin->slots, struct slot, node)
		state_out_append(out, &saved->n_slots, &saved->slots, slot_save(slot, po));
	LIST_FOREACH (in, &plugin->instances, struct instance, node)
		state_out_append(out, &saved->n_instances, &saved->instances,
				 instance_save(in, po));
	saved->last_generation = plugin->last_generation;
	saved->restarts = plugin->restarts;
	saved->crashes_seen = plugin->crashes_seen;
	saved->last_start_ms = plugin->last_start_ms;
	saved->cpu_ended_ms = plugin->cpu_ended_ms;
	saved->start_wanted = plugin->start_wanted;
	saved->wanted_ns = plugin->wanted_ns;
	saved->acted_ns = plugin->acted_ns;
	if (plugin->rollout)
		saved->rollout = save_rollout(plugin->rollout, po);
	saved->reloaded_outcome = plugin->reloaded.outcome;
	saved->reloaded_text = state_out_text(plugin->reloaded.text);
	saved->tried = plugin->tried;
	saved->output = output_save(&plugin->output, out);
	crashes_save(&plugin->crashes, saved, out);
	saved->stats = stats_save(&plugin->stats, out);
	saved->data = data_stats_save(&plugin->data, out);
	saved->channels_opened = plugin->channels_opened;
	saved->channel_violations = plugin->channel_violations;
	saved->turns = plugin->turns;
	return saved;
}

static void
restore_numbers(struct plugin *plugin, const Plugd__SavedPlugin *saved, struct state_in *in)
{
	plugin->removed = saved->removed;
	plugin->out_of_reach = saved->out_of_reach;
	if (saved->choosing <= PLUGIN_CHOICE_SETTLES)
		plugin->choosing = (enum plugin_choosing)saved->choosing;
	plugin->log_level =
		state_in_index(in, "log level", saved->log_level, LOG_ERROR + 1); /* none: -1 */
	plugin->scale = saved->scale;
	if (saved->enabled < ENABLED_COUNT)
		plugin->enabled = (enum enabled)saved->enabled;
	else
		state_in_fail(in, "a plugin that is neither enabled nor disabled");
	plugin->last_generation = saved->last_generation;
	plugin->restarts = saved->restarts;
	plugin->crashes_seen = saved->crashes_seen;
	plugin->last_start_ms = saved->last_start_ms;
	plugin->cpu_ended_ms = saved->cpu_ended_ms;
	plugin->start_wanted = saved->start_wanted;
	plugin->wanted_ns = saved->wanted_ns;
	plugin->acted_ns = saved->acted_ns;
	plugin->reloaded.outcome = (plug_err)saved->reloaded_outcome;
	if (*saved->reloaded_text)
		plugin->reloaded.text = strdup(saved->reloaded_text);
	plugin->tried = saved->tried;
	plugin->channels_opened = saved->channels_opened;
	plugin->channel_violations = saved->channel_violations;
	plugin->turns = saved->turns;
}

static void
restore_processes(struct plugin *plugin, const Plugd__SavedPlugin *saved, struct plugins_in *pi)
{
	struct slot **slots = calloc(saved->n_slots + 1, sizeof(struct slot *));

	if (!slots || !saved->n_slots)
		state_in_fail(pi->in, "%s has no slot, or out of memory", plugin_name(plugin));
	for (size_t i = 0; !pi->in->failed && i < saved->n_slots; i++)
		slots[i] = slot_restore(plugin, saved->slots[i], pi);
	for (size_t i = 0; !pi->in->failed && i < saved->n_instances; i++)
		instance_restore(plugin, saved->instances[i], pi);
	for (size_t i = 0; !pi->in->failed && i < saved->n_slots; i++)
		slot_restore_processes(slots[i], saved->slots[i], pi);
	free(slots);
}

struct plugin *
plugin_restore(const Plugd__SavedPlugin *saved, struct plugins_in *pi)
{
	struct spec *spec = plugins_in_spec(pi, saved->spec);
	struct plugin *plugin = spec ? plugin_alloc(pi->host, spec) : NULL;

	if (!plugin) {
		state_in_fail(pi->in, "a plugin without a manifest, or out of memory");
		return NULL;
	}
	plugin->next_spec = plugins_in_spec(pi, saved->next_spec);
	plugin->version = plugins_in_version(pi, saved->version);
	restore_numbers(plugin, saved, pi->in);
	restore_processes(plugin, saved, pi);
	if (saved->rollout)
		restore_rollout(plugin, saved->rollout, pi);
	output_restore(&plugin->output, saved->output, pi->in);
	crashes_restore(&plugin->crashes, saved, pi->in);
	stats_restore(&plugin->stats, saved->stats, pi->in);
	data_stats_restore(&plugin->data, saved->data, pi->in);
	return plugin;
}

struct instance *
plugin_instance(const struct plugin *plugin, uint32_t generation)
{
	LIST_FOREACH (in, &plugin->instances, struct instance, node)
		if (in->generation == generation)
			return in;
	return NULL;
}

/* ---- the registry ---- */

static Plugd__SavedBad *
save_bad(const struct bad_plugin *bad, struct plugins_out *po)
{
	struct state_out *out = po->out;
	Plugd__SavedBad *saved = state_out_message(out, &plugd__saved_bad__descriptor);

	saved->path = state_out_text(bad->path);
	for (size_t i = 0; i < bad->error_count; i++)
		state_out_append(out, &saved->n_errors, &saved->errors, bad->errors[i]);
	saved->spec = plugins_out_spec(po, bad->spec);
	return saved;
}

void
registry_save(struct registry *registry, struct plugins_out *po)
{
	Plugd__Saved *saved = po->saved;

	LIST_FOREACH (plugin, &registry->plugins, struct plugin, node)
		state_out_append(po->out, &saved->n_plugins, &saved->plugins,
				 plugin_save(plugin, po));
	LIST_FOREACH (bad, &registry->bad, struct bad_plugin, node)
		state_out_append(po->out, &saved->n_bad, &saved->bad, save_bad(bad, po));
}

static void
restore_bad(struct registry *registry, const Plugd__SavedBad *saved, struct plugins_in *pi)
{
	struct bad_plugin *bad = calloc(1, sizeof(*bad));

	if (!bad) {
		state_in_fail(pi->in, "out of memory");
		return;
	}
	bad->path = strdup(saved->path);
	bad->spec = plugins_in_spec(pi, saved->spec);
	list_append(&registry->bad, &bad->node);
	bad->errors = calloc(saved->n_errors + 1, sizeof(char *));
	for (size_t i = 0; bad->errors && i < saved->n_errors; i++) {
		bad->errors[bad->error_count] = strdup(saved->errors[i]);
		bad->error_count += bad->errors[bad->error_count] != NULL;
	}
}

void
registry_restore(struct registry *registry, struct plugins_in *pi)
{
	const Plugd__Saved *saved = pi->in->saved;

	for (size_t i = 0; !pi->in->failed && i < saved->n_plugins; i++) {
		struct plugin *plugin = plugin_restore(saved->plugins[i], pi);

		if (!plugin)
			return;
		registry_add(registry, plugin);
		turn_offer();
	}
	for (size_t i = 0; i < saved->n_bad; i++)
		restore_bad(registry, saved->bad[i], pi);
}
