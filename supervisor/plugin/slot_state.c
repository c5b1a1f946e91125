/* A slot and a plugin's reload over an upgrade of plugd. */
#include <string.h>

#include "plugin/plugin.h"
#include "plugin/saved.h"
#include "state/timer.h"

static uint32_t
generation_of(const struct instance *in)
{
	return in ? in->generation : 0;
}

Plugd__SavedSlot *
slot_save(struct slot *slot, struct plugins_out *po)
{
	Plugd__SavedSlot *saved = state_out_message(po->out, &plugd__saved_slot__descriptor);

	saved->spare = slot->kind == SLOT_SPARE;
	saved->number = slot->number;
	saved->state = state_out_text(lc_slot_word(slot->state));
	saved->current = generation_of(slot->current);
	saved->version = plugins_out_version(po, slot->version);
	saved->backoff_min_ms = slot->backoff.min_ms;
	saved->backoff_max_ms = slot->backoff.max_ms;
	saved->max_failures = slot->backoff.max_failures;
	saved->failures = slot->backoff.failures;
	saved->retry_at_ms = slot->retry_at_ms;
	saved->backoff_at_ns = state_timer_at(slot->plugin->host->loop, &slot->backoff_w);
	saved->last_generation = slot->last_generation;
	saved->reload = state_out_text(lc_reload_state_name(slot->reload));
	saved->target = plugins_out_version(po, slot->target);
	saved->before = plugins_out_version(po, slot->before);
	saved->next = generation_of(slot->next);
	saved->old = generation_of(slot->old);
	saved->settled_at_ms = slot->settled_at_ms;
	saved->why = state_out_text(slot->why);
	return saved;
}

static const char *
state_name(unsigned state)
{
	return lc_slot_word((enum slot_state)state);
}

static const char *
reload_name(unsigned state)
{
	return lc_reload_state_name((enum reload_state)state);
}

struct slot *
slot_restore(struct plugin *plugin, const Plugd__SavedSlot *saved, struct plugins_in *pi)
{
	struct slot *slot =
		slot_new(plugin, saved->spare ? SLOT_SPARE : SLOT_ACTIVE, saved->number);

	if (!slot) {
		state_in_fail(pi->in, "out of memory");
		return NULL;
	}
	slot->state = (enum slot_state)state_in_name(pi->in, "the state of a slot", saved->state,
						     SS_COUNT, state_name);
	slot->version = plugins_in_version(pi, saved->version);
	slot->backoff = (struct backoff){.min_ms = saved->backoff_min_ms,
					 .max_ms = saved->backoff_max_ms,
					 .max_failures = saved->max_failures,
					 .failures = saved->failures};
	slot->retry_at_ms = saved->retry_at_ms;
	slot->last_generation = saved->last_generation;
	slot->reload = (enum reload_state)state_in_name(pi->in, "the state of a reload",
							saved->reload, RS_COUNT, reload_name);
	slot->target = plugins_in_version(pi, saved->target);
	slot->before = plugins_in_version(pi, saved->before);
	slot->settled_at_ms = saved->settled_at_ms;
	slot_set_why(slot, "%s", saved->why);
	return slot;
}

static struct instance *
process(struct slot *slot, uint32_t generation, struct plugins_in *pi)
{
	struct instance *in = generation ? plugin_instance(slot->plugin, generation) : NULL;

	if (generation && !in)
		state_in_fail(pi->in, "generation %u of %s is not there", generation,
			      plugin_name(slot->plugin));
	return in;
}

void
slot_restore_processes(struct slot *slot, const Plugd__SavedSlot *saved, struct plugins_in *pi)
{
	slot->current = process(slot, saved->current, pi);
	slot->next = process(slot, saved->next, pi);
	slot->old = process(slot, saved->old, pi);
	state_timer_set(slot->plugin->host->loop, &slot->backoff_w, saved->backoff_at_ns);
}
