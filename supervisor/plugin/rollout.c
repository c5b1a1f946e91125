#include "plugin/rollout.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/room.h"
#include "os/proc.h"
#include "plugin/plugin.h"
#include "plugin/reload.h"
#include "plugin/slots.h"

#define MB 1000000u

/* ---- one slot ---- */

static bool
beside(struct rollout *rollout, const struct slot *slot)
{
	const struct manifest_resources *resources = &rollout->target->spec->manifest->resources;
	struct room room = {.available = proc_available_bytes(),
			    .declared = (uint64_t)resources->memory_mb * MB};
	char text[ROOM_TEXT_BYTES];
	struct proc_info proc;
	bool fits;

	if (rollout->instead) {
		snprintf(rollout->how, sizeof(rollout->how),
			 "after the old process had ended: as asked");
		return false;
	}
	if (!proc_read(slot->current->pid, &proc))
		room.resident = proc.rss_bytes;
	fits = room_for_both(&room, text);
	snprintf(rollout->how, sizeof(rollout->how), "%s: %s",
		 fits ? "beside the old process" : "after the old process had ended", text);
	return fits;
}

/* By its spec: a new start may have opened the program anew. */
static bool
has_target(const struct rollout *rollout, const struct slot *slot)
{
	return !slot->version || slot->version->spec == rollout->target->spec;
}

static void
note_new_start(struct rollout *rollout, const struct slot *slot)
{
	snprintf(rollout->how, sizeof(rollout->how), "by a new start: it was %s", slot_word(slot));
}

static bool
take_paused(struct rollout *rollout, struct slot *slot)
{
	if (has_target(rollout, slot))
		return false;
	if (rollout->phase == ROLLOUT_FORWARD) {
		note_new_start(rollout, slot);
		reload_begin_paused(slot, rollout->target);
	} else {
		plugin_set_version(slot->plugin, rollout->target);
		slot_set_version(slot, rollout->target);
		slot_go_on(slot);
	}
	return true;
}

/* True when it is on its way, and there is something to wait for. */
static bool
take_slot(struct rollout *rollout, struct slot *slot)
{
	if (slot->kind == SLOT_SPARE)
		return false;
	switch (slot->state) {
	case SS_READY:
		if (!slot->current || slot->current->version == rollout->target ||
		    slot->current->state != PS_READY)
			return false;
		reload_begin(slot, rollout->target, beside(rollout, slot));
		return true;
	case SS_BACKOFF:
		return take_paused(rollout, slot);
	case SS_STARTING:
	case SS_FAILED:
	case SS_QUARANTINED:
		if (has_target(rollout, slot))
			return false;
		note_new_start(rollout, slot);
		plugin_set_version(slot->plugin, rollout->target);
		slot_handle(slot, SE_RESTART);
		return true;
	default:
		return false; /* it will start what is on disk, if it starts */
	}
}

/* ---- all of them ---- */

static struct slot *
busy_slot(const struct plugin *plugin)
{
	LIST_FOREACH (slot, &plugin->slots, struct slot, node)
		if (reload_is_busy(slot))
			return slot;
	return NULL;
}

void
rollout_free(struct plugin *plugin)
{
	struct rollout *rollout = plugin->rollout;

	if (!rollout)
		return;
	version_unref(rollout->target);
	version_unref(rollout->origin);
	free(rollout);
	plugin->rollout = NULL;
}

static void set_result(struct plugin *plugin, const char *kind, plug_err outcome,
		       const char *format, ...) __attribute__((format(printf, 4, 5)));

static void
set_result(struct plugin *plugin, const char *kind, plug_err outcome, const char *format, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	va_end(ap);
	events_add(&plugin->host->events, plugin_name(plugin), kind, plugin->last_generation, 0,
		   "%s", text ? text : "");
	free(plugin->reloaded.text);
	plugin->reloaded = (struct rollout_result){outcome, text};
}

static const char *
version_text(const struct version *version)
{
	return version ? version->spec->version : "none";
}

/* They have no calls to lose.  Those that had failed are started anew by a reload that did not. */
static void
renew_spares(struct plugin *plugin, bool anew)
{
	LIST_FOREACH (slot, &plugin->slots, struct slot, node) {
		bool down = SLOTS_DOWN & 1u << slot->state;

		if (slot->kind == SLOT_SPARE && slot->state != SS_STOPPING &&
		    (down ? anew : slot->version && slot->version->spec != plugin->spec))
			slot_handle(slot, SE_RESTART);
	}
}

static void
finish(struct plugin *plugin)
{
	struct rollout *rollout = plugin->rollout;
	const char *target = version_text(rollout->target), *origin = version_text(rollout->origin);
	bool anew = !rollout->outcome && !plugin_is_down(plugin);

	if (rollout->outcome == PLUG_ECANCELLED)
		set_result(plugin, "reload", rollout->outcome, "%s", rollout->why);
	else if (rollout->outcome && rollout->origin)
		set_result(plugin, "rolled-back", rollout->outcome, "%s; version %s stays in force",
			   rollout->why, origin);
	else if (plugin_all(plugin, SLOT_IN(STOPPED)))
		set_result(plugin, "reloaded", PLUG_OK,
			   "version %s is in force from its next start", target);
	else if (rollout->outcome || plugin_is_down(plugin))
		set_result(plugin, "reload", PLUG_EUNAVAILABLE,
			   "version %s was started, and is %s: %s", target, plugin_word(plugin),
			   plugin_why(plugin));
	else if (!rollout->origin)
		set_result(plugin, "reloaded", PLUG_OK, "version %s, %s", target, rollout->how);
	else
		set_result(plugin, "reloaded", PLUG_OK, "from version %s to %s, %s", origin, target,
			   rollout->how);
	rollout_free(plugin);
	renew_spares(plugin, anew);
	plugin_slot_settled(plugin);
}

static void
turn_back(struct rollout *rollout)
{
	rollout->phase = ROLLOUT_BACKWARD;
	if (!rollout->origin)
		return;
	version_unref(rollout->target);
	rollout->target = version_ref(rollout->origin);
}

/* One that has the target's version, could not start it, and will try again: nobody waits for that,
 * because it may go on for ever. */
static struct slot *
given_up(const struct rollout *rollout, const struct plugin *plugin)
{
	LIST_FOREACH (slot, &plugin->slots, struct slot, node)
		if (slot->kind == SLOT_ACTIVE && slot->state == SS_BACKOFF &&
		    has_target(rollout, slot))
			return slot;
	return NULL;
}

static bool
is_over(const struct rollout *rollout, const struct plugin *plugin)
{
	if (plugin_slots_settled(plugin))
		return true;
	LIST_FOREACH (slot, &plugin->slots, struct slot, node)
		if (slot->kind == SLOT_ACTIVE && !plugin_slot_is_settled(slot) &&
		    !(slot->state == SS_BACKOFF && has_target(rollout, slot)))
			return false;
	return given_up(rollout, plugin) != NULL;
}

void
rollout_step(struct plugin *plugin)
{
	struct rollout *rollout = plugin->rollout;
	const struct slot *failed;

	if (!rollout || plugin->handling || busy_slot(plugin))
		return;
	failed = rollout->outcome ? NULL : given_up(rollout, plugin);
	if (failed) {
		rollout->outcome = PLUG_EPLUGIN;
		snprintf(rollout->why, sizeof(rollout->why), "%s", slot_why(failed));
	}
	if (rollout->outcome && rollout->phase == ROLLOUT_FORWARD)
		turn_back(rollout);
	LIST_FOREACH (slot, &plugin->slots, struct slot, node)
		if (!rollout->no_way_back && take_slot(rollout, slot))
			return; /* `rollout` may be gone */
	if (is_over(rollout, plugin))
		finish(plugin);
}

void
rollout_slot_done(struct slot *slot)
{
	rollout_step(slot->plugin);
}

static void
note_no_way_back(struct rollout *rollout, const struct slot *slot, const char *why)
{
	size_t used = strlen(rollout->why);
	char label[SLOT_LABEL_BYTES];

	slot_label(slot, label);
	rollout->no_way_back = true;
	snprintf(rollout->why + used, sizeof(rollout->why) - used,
		 "; %s could not go back and is left as it is: %s", label, why);
}

void
rollout_slot_failed(struct slot *slot, const char *why)
{
	struct plugin *plugin = slot->plugin;
	struct rollout *rollout = plugin->rollout;

	if (!rollout) { /* it had been told as done */
		set_result(plugin, "rolled-back", PLUG_EPLUGIN,
			   "%s within %d s of its reload; version %s is started again, with the "
			   "manifest it had; mend the new one, then: plugctl reload %s",
			   why, RELOAD_SETTLE_MS / 1000, version_text(slot->version),
			   plugin_name(plugin));
		plugin->host->ops->on_gone_back(plugin->host->ops_user, plugin, why);
		slots_return_spares(plugin);
		return;
	}
	if (!rollout->outcome) {
		rollout->outcome = PLUG_EPLUGIN;
		snprintf(rollout->why, sizeof(rollout->why), "%s", why);
	} else if (rollout->phase == ROLLOUT_BACKWARD && rollout->outcome != PLUG_ECANCELLED) {
		note_no_way_back(rollout, slot, why);
	}
	rollout_step(plugin);
}

/* ---- from outside ---- */

struct version *
rollout_in_force(const struct plugin *plugin)
{
	LIST_FOREACH (slot, &plugin->slots, struct slot, node)
		if (slot->current)
			return version_ref(slot->current->version);
	LIST_FOREACH (slot, &plugin->slots, struct slot, node)
		if (slot->kind == SLOT_ACTIVE && slot->state == SS_BACKOFF && slot->version)
			return version_ref(slot->version);
	return NULL;
}

plug_err
rollout_begin(struct plugin *plugin, struct spec *spec, bool instead)
{
	struct version *target = version_new(spec);

	spec_free(spec);
	return target ? rollout_begin_with(plugin, target, instead) : PLUG_ENOMEM;
}

plug_err
rollout_begin_with(struct plugin *plugin, struct version *target, bool instead)
{
	struct rollout *rollout = calloc(1, sizeof(*rollout));

	if (!rollout) {
		version_unref(target);
		return PLUG_ENOMEM;
	}
	rollout->target = target;
	rollout->origin = rollout_in_force(plugin);
	rollout->instead = instead;
	plugin->rollout = rollout;
	plugin_drop_next_spec(plugin); /* read before this one */
	if (plugin_is_down(plugin))
		plugin_set_version(plugin, target);
	rollout_step(plugin);
	return PLUG_OK;
}

void
rollout_refuse(struct plugin *plugin, const char *why)
{
	set_result(plugin, "rolled-back", PLUG_EPLUGIN, "%s; version %s stays in force", why,
		   plugin->spec->version);
}

void
rollout_cancel(struct plugin *plugin, const char *why)
{
	struct rollout *rollout = plugin->rollout;

	plugin->handling++;
	if (rollout && !rollout->outcome) {
		rollout->outcome = PLUG_ECANCELLED;
		snprintf(rollout->why, sizeof(rollout->why), "%s", why);
	}
	if (rollout)
		rollout->phase = ROLLOUT_BACKWARD;
	LIST_FOREACH (slot, &plugin->slots, struct slot, node)
		reload_handle(slot, RE_CANCEL, why);
	plugin->handling--;
	if (rollout)
		finish(plugin);
}
