#include "plugin/plugin.h"

#include "plugin/scale.h"
#include "plugin/slots.h"

#include <stdio.h>
#include <string.h>

struct plugin *
plugin_alloc(struct host *host, struct spec *spec)
{
	struct plugin *plugin = calloc(1, sizeof(*plugin));

	if (!plugin) {
		spec_free(spec);
		return NULL;
	}
	plugin->host = host;
	plugin->spec = spec;
	plugin->log_level = -1;
	list_init(&plugin->node);
	list_init(&plugin->slots);
	list_init(&plugin->instances);
	list_init(&plugin->incoming);
	list_init(&plugin->held);
	list_init(&plugin->queue);
	list_init(&plugin->suspects);
	list_init(&plugin->waiters);
	crashes_init(&plugin->crashes);
	output_init(&plugin->output, &host->lull, host->log_dir_fd, spec->name,
		    host->limits.log_ring_bytes, host->limits.log_file_bytes,
		    host->limits.log_files);
	return plugin;
}

struct plugin *
plugin_new(struct host *host, struct spec *spec)
{
	struct plugin *plugin = plugin_alloc(host, spec);

	if (!plugin)
		return NULL;
	plugin->scale = scale_load(host->state_fd, spec->name);
	plugin->enabled = enabled_load(host->state_fd, spec->name);
	host->spec_changes++;
	slots_adjust(plugin);
	if (!list_empty(&plugin->slots))
		return plugin;
	plugin_free(plugin);
	return NULL;
}

void
plugin_free(struct plugin *plugin)
{
	LIST_FOREACH_SAFE (slot, &plugin->slots, struct slot, node)
		slot_free(slot);
	list_remove(&plugin->node);
	rollout_free(plugin);
	free(plugin->reloaded.text);
	output_fini(&plugin->output);
	crashes_fini(&plugin->crashes);
	stats_fini(&plugin->stats);
	version_unref(plugin->version);
	spec_free(plugin->spec);
	spec_free(plugin->next_spec);
	free(plugin);
}

const char *
plugin_name(const struct plugin *plugin)
{
	return plugin->spec->name;
}

unsigned
plugin_log_level(const struct plugin *plugin)
{
	return plugin->log_level < 0 ? plugin->spec->log_level : (unsigned)plugin->log_level;
}

void
plugin_set_log_level(struct plugin *plugin, unsigned level)
{
	plugin->log_level = (int)level;
	LIST_FOREACH (in, &plugin->instances, struct instance, node)
		instance_tell_log_level(in);
}

bool
plugin_is_new(const struct plugin *plugin)
{
	return !plugin->last_generation && plugin->enabled != ENABLED_NO &&
	       plugin_is_down(plugin) && !plugin->start_wanted;
}

/* ---- its slots ---- */

void
plugin_handle(struct plugin *plugin, enum slot_event event)
{
	plugin->handling++;
	if (event == SE_STOP || event == SE_RESTART)
		rollout_cancel(plugin, event == SE_STOP ? "called off: the plugin is stopped"
							: "called off: the plugin is restarted");
	LIST_FOREACH (slot, &plugin->slots, struct slot, node)
		slot_handle(slot, event);
	plugin->handling--;
	plugin_slot_settled(plugin);
}

bool
plugin_all(const struct plugin *plugin, unsigned states)
{
	LIST_FOREACH (slot, &plugin->slots, struct slot, node)
		if (!(states & 1u << slot->state))
			return false;
	return true;
}

bool
plugin_all_active(const struct plugin *plugin, unsigned states)
{
	LIST_FOREACH (slot, &plugin->slots, struct slot, node)
		if (slot->kind == SLOT_ACTIVE && !(states & 1u << slot->state))
			return false;
	return true;
}

bool
plugin_any(const struct plugin *plugin, enum slot_kind kind, unsigned states)
{
	LIST_FOREACH (slot, &plugin->slots, struct slot, node)
		if (slot->kind == kind && states & 1u << slot->state)
			return true;
	return false;
}

bool
plugin_starts_by_itself(const struct plugin *plugin)
{
	const struct spec *spec = plugin->spec;

	if (plugin->enabled != ENABLED_UNSAID)
		return plugin->enabled == ENABLED_YES;
	return spec->autostart &&
	       (plugin->host->autostart || manifest_origin(spec->manifest, "run.autostart"));
}

bool
plugin_is_down(const struct plugin *plugin)
{
	return list_empty(&plugin->instances) && plugin_all(plugin, SLOTS_DOWN);
}

bool
plugin_takes_calls(const struct plugin *plugin)
{
	LIST_FOREACH (slot, &plugin->slots, struct slot, node)
		if (slot->current && instance_takes_calls(slot->current))
			return true;
	return false;
}

bool
plugin_may_take_calls(const struct plugin *plugin)
{
	return plugin_any(plugin, SLOT_ACTIVE,
			  SLOT_IN(STARTING) | SLOT_IN(READY) | SLOT_IN(BACKOFF) |
				  SLOT_IN(RESTARTING));
}

bool
plugin_lets_calls_wait(const struct plugin *plugin)
{
	return plugin_may_take_calls(plugin) && !plugin->host->shutting_down;
}

static bool
is_stuck(const struct slot *slot)
{
	return slot->current && slot->current->state == PS_STUCK;
}

static bool
all_that_runs_is_stuck(const struct plugin *plugin)
{
	LIST_FOREACH (in, &plugin->instances, struct instance, node)
		if (in->state != PS_STUCK)
			return false;
	return true;
}

bool
plugin_is_stuck(const struct plugin *plugin)
{
	LIST_FOREACH (slot, &plugin->slots, struct slot, node)
		if (!(SLOTS_DOWN & 1u << slot->state) && !is_stuck(slot))
			return false;
	return !list_empty(&plugin->instances) && all_that_runs_is_stuck(plugin);
}

bool
plugin_slot_is_settled(const struct slot *slot)
{
	if (slot->state == SS_READY)
		return slot->current &&
		       (slot->current->state == PS_READY || slot->current->state == PS_STUCK);
	return SLOTS_DOWN & 1u << slot->state || is_stuck(slot);
}

bool
plugin_slots_settled(const struct plugin *plugin)
{
	if (plugin_all_active(plugin, SLOTS_DOWN))
		return plugin_all(plugin, SLOTS_DOWN) && all_that_runs_is_stuck(plugin);
	LIST_FOREACH (slot, &plugin->slots, struct slot, node)
		if (slot->kind == SLOT_ACTIVE && !plugin_slot_is_settled(slot))
			return false;
	return true;
}

bool
plugin_is_paused(const struct plugin *plugin)
{
	return plugin_any(plugin, SLOT_ACTIVE, SLOT_IN(BACKOFF));
}

bool
plugin_is_settled(const struct plugin *plugin)
{
	return plugin_slots_settled(plugin) && slots_fit(plugin) && !plugin->rollout &&
	       !plugin->start_wanted;
}

void
plugin_slot_down(struct plugin *plugin)
{
	struct host *host = plugin->host;

	if (plugin_may_take_calls(plugin))
		return;
	host->ops->on_abandon(host->ops_user, plugin);
	slots_stop_spares(plugin);
}

void
plugin_slot_settled(struct plugin *plugin)
{
	struct host *host = plugin->host;

	if (plugin->handling)
		return;
	rollout_step(plugin);
	host->ops->on_settled(host->ops_user, plugin);
}

/* ---- what it is started from ---- */

void
plugin_adopt_next_spec(struct plugin *plugin)
{
	if (!plugin->next_spec)
		return;
	plugin->host->spec_changes++;
	spec_free(plugin->spec);
	plugin->spec = plugin->next_spec;
	plugin->next_spec = NULL;
}

void
plugin_drop_next_spec(struct plugin *plugin)
{
	spec_free(plugin->next_spec);
	plugin->next_spec = NULL;
}

void
plugin_set_version(struct plugin *plugin, struct version *version)
{
	struct spec *spec = spec_ref(version->spec);

	plugin->host->spec_changes++;
	spec_free(plugin->spec);
	plugin->spec = spec;
	version_ref(version);
	version_unref(plugin->version);
	plugin->version = version;
}

static void
set_values(struct version *version, const struct spec *old, struct spec *spec)
{
	if (version && version->spec == old)
		version_set_spec(version, spec);
}

void
plugin_set_values(struct plugin *plugin, struct spec *spec)
{
	struct spec *old = plugin->spec; /* goes last: it is compared with */

	LIST_FOREACH (slot, &plugin->slots, struct slot, node) {
		set_values(slot->version, old, spec);
		set_values(slot->target, old, spec);
		set_values(slot->before, old, spec);
	}
	LIST_FOREACH (in, &plugin->instances, struct instance, node) {
		set_values(in->version, old, spec);
		in->spec = in->version->spec;
	}
	set_values(plugin->version, old, spec);
	plugin->host->spec_changes++;
	plugin->spec = spec_ref(spec);
	spec_free(old);
}

/* Values may come from files, which are in no fingerprint; those of --set are not read again. */
static bool
has_other_values(const struct spec *fresh, const struct spec *spec)
{
	bool all_live;

	return !spec->set_count && spec_changed_keys(spec, fresh, &all_live);
}

static bool
is_same(const struct spec *fresh, const struct spec *spec)
{
	return fresh->fingerprint && fresh->fingerprint == spec->fingerprint &&
	       !strcmp(fresh->path, spec->path) && !strcmp(fresh->program, spec->program) &&
	       !has_other_values(fresh, spec);
}

void
plugin_update(struct plugin *plugin, struct spec *spec)
{
	plugin_drop_next_spec(plugin);
	if (spec == plugin->spec) {
		spec_free(spec); /* read again, and the same */
		return;
	}
	if (is_same(spec, plugin->spec) && !list_empty(&plugin->instances)) {
		spec_free(spec); /* nothing has changed: what runs stays what is started */
		return;
	}
	plugin->next_spec = spec;
	if (list_empty(&plugin->instances))
		plugin_adopt_next_spec(plugin);
}

struct version *
plugin_version_on_disk(struct plugin *plugin)
{
	plugin_adopt_next_spec(plugin);
	if (!plugin->version || plugin->version->spec != plugin->spec ||
	    !version_is_on_disk(plugin->version)) {
		version_unref(plugin->version);
		plugin->version = version_new(plugin->spec);
	}
	return plugin->version ? version_ref(plugin->version) : NULL;
}

/* ---- for people ---- */

/* The state that says most about what a caller may expect, first. */
static unsigned
rank(const struct slot *slot)
{
	static const unsigned ranks[] = {
		[SS_READY] = 0,    [SS_STARTING] = 1, [SS_RESTARTING] = 2,  [SS_BACKOFF] = 3,
		[SS_STOPPING] = 4, [SS_FAILED] = 5,   [SS_QUARANTINED] = 6, [SS_STOPPED] = 7,
	};

	return ranks[slot->state];
}

struct slot *
plugin_face(const struct plugin *plugin)
{
	struct slot *face = LIST_FIRST(&plugin->slots, struct slot, node);

	LIST_FOREACH (slot, &plugin->slots, struct slot, node)
		if (slot->kind == SLOT_ACTIVE && rank(slot) < rank(face))
			face = slot;
	return face;
}

struct instance *
plugin_main_instance(const struct plugin *plugin)
{
	return plugin_face(plugin)->current;
}

const char *
plugin_word(const struct plugin *plugin)
{
	if (plugin->enabled == ENABLED_NO && plugin_is_down(plugin))
		return "disabled";
	return slot_word(plugin_face(plugin));
}

const char *
plugin_why(const struct plugin *plugin)
{
	const char *why = slot_why(plugin_face(plugin));

	LIST_FOREACH (slot, &plugin->slots, struct slot, node)
		if (!*why)
			why = slot_why(slot);
	return why;
}

void
plugin_set_why(struct plugin *plugin, const char *why)
{
	LIST_FOREACH (slot, &plugin->slots, struct slot, node)
		slot_set_why(slot, "%s", why);
}

void
plugin_next_text(const struct plugin *plugin, char *text, size_t size)
{
	if (plugin->enabled == ENABLED_NO && plugin_is_down(plugin))
		snprintf(text, size, "nothing until plugctl enable %s", plugin_name(plugin));
	else
		slot_next_text(plugin_face(plugin), text, size);
}
