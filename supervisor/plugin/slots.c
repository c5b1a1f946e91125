#include "plugin/slots.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "plugin/death.h"
#include "plugin/plugin.h"

#define UP                  (SLOT_IN(STARTING) | SLOT_IN(READY) | SLOT_IN(BACKOFF) | SLOT_IN(RESTARTING))
#define MEMORY_LOOK_SECONDS 0.005

/* ---- how many ---- */

unsigned
slots_wanted(const struct plugin *plugin, enum slot_kind kind)
{
	if (kind == SLOT_SPARE)
		return plugin->spec->standby;
	return plugin->scale ? plugin->scale : plugin->spec->instances;
}

static unsigned
count(const struct plugin *plugin, enum slot_kind kind)
{
	unsigned found = 0;

	LIST_FOREACH (slot, &plugin->slots, struct slot, node)
		found += slot->kind == kind;
	return found;
}

static bool
is_too_many(const struct slot *slot)
{
	return slot->number > slots_wanted(slot->plugin, slot->kind);
}

bool
slots_fit(const struct plugin *plugin)
{
	return count(plugin, SLOT_ACTIVE) == slots_wanted(plugin, SLOT_ACTIVE) &&
	       count(plugin, SLOT_SPARE) == slots_wanted(plugin, SLOT_SPARE);
}

static bool
is_used(const struct slot *slot)
{
	LIST_FOREACH (in, &slot->plugin->instances, struct instance, node)
		if (in->slot == slot)
			return true;
	return false;
}

static void
drop(struct plugin *plugin)
{
	LIST_FOREACH_SAFE (slot, &plugin->slots, struct slot, node) {
		if (!is_too_many(slot))
			continue;
		if (!(SLOTS_DOWN & 1u << slot->state)) {
			if (slot->state != SS_STOPPING)
				slot_handle(slot, SE_STOP);
		} else if (!is_used(slot)) {
			slot_free(slot);
		}
	}
}

static void
add(struct plugin *plugin, enum slot_kind kind)
{
	bool starts = plugin_any(plugin, SLOT_ACTIVE, UP) && !plugin->removed;

	for (unsigned n = count(plugin, kind) + 1; n <= slots_wanted(plugin, kind); n++) {
		struct slot *slot = slot_new(plugin, kind, n);

		if (slot && starts)
			slot_handle(slot, SE_START);
	}
}

void
slots_adjust(struct plugin *plugin)
{
	if (slots_fit(plugin) || plugin->rollout || plugin->host->shutting_down)
		return;
	plugin->handling++;
	drop(plugin);
	add(plugin, SLOT_ACTIVE);
	add(plugin, SLOT_SPARE);
	plugin->handling--;
	plugin_slot_settled(plugin);
}

/* ---- spares ---- */

static struct slot *
ready_spare(const struct plugin *plugin, const struct version *version)
{
	LIST_FOREACH (slot, &plugin->slots, struct slot, node)
		if (slot->kind == SLOT_SPARE && slot->state == SS_READY && slot->current &&
		    slot->current->state == PS_READY && !slot->current->exited &&
		    slot->current->hang.kind == HANG_WELL &&
		    (!version || slot->current->version->spec == version->spec))
			return slot;
	return NULL;
}

struct failover {
	struct vigil_task task;
	struct host *host;
	char plugin[PLUG_NAME_BYTES + 1];
	uint32_t generation;
	pid_t pid;
};

static void
tell(struct vigil_task *task)
{
	struct failover *of = CONTAINER_OF(task, struct failover, task);

	events_add(&of->host->events, of->plugin, "failover", of->generation, of->pid,
		   "a spare took its place; another one is started");
	free(of);
}

/* The log and those who follow it come after the call's answer. */
static void
tell_later(const struct instance *in)
{
	struct host *host = in->plugin->host;
	struct failover *of = calloc(1, sizeof(*of));

	if (!of) {
		log_line(LOG_INFO, plugin_name(in->plugin), in->pid,
			 "failover: a spare took its place; another one is started");
		return;
	}
	of->task.run = tell;
	of->host = host;
	snprintf(of->plugin, sizeof(of->plugin), "%s", plugin_name(in->plugin));
	of->generation = in->generation;
	of->pid = in->pid;
	vigil_do_after(&host->vigil, &of->task);
}

static void
change_over(struct slot *slot, struct slot *spare)
{
	struct plugin *plugin = slot->plugin;
	struct host *host = plugin->host;
	struct instance *in = spare->current, *old = slot->current;

	vigil_keep(&host->vigil);
	spare->current = NULL;
	slot->current = in;
	in->slot = slot;
	slot_set_version(slot, in->version);
	slot_handle(slot, SE_TAKEN);
	if (old) {
		death_note_calls(old);
		host->ops->on_replaced(host->ops_user, old);
	}
	host->ops->on_ready(host->ops_user, in);
	tell_later(in);
	slot_handle(spare, SE_LENT);
}

static struct slot *
spare_for(const struct slot *slot, const struct version *version)
{
	return slot->kind == SLOT_ACTIVE ? ready_spare(slot->plugin, version) : NULL;
}

bool
slots_can_help(const struct slot *slot, const struct version *version)
{
	return spare_for(slot, version);
}

bool
slots_fail_over(struct slot *slot, const struct version *version)
{
	struct slot *spare = spare_for(slot, version);

	if (spare)
		change_over(slot, spare);
	return spare;
}

void
slots_help_out(struct slot *spare)
{
	LIST_FOREACH (slot, &spare->plugin->slots, struct slot, node)
		if (slot->kind == SLOT_ACTIVE && slot->state == SS_BACKOFF) {
			change_over(slot, spare);
			return;
		}
}

void
slots_return_spares(struct plugin *plugin)
{
	LIST_FOREACH (slot, &plugin->slots, struct slot, node) {
		if (slot->kind != SLOT_SPARE || !slot->version ||
		    slot->version->spec == plugin->spec ||
		    (SLOTS_DOWN | SLOT_IN(STOPPING)) & 1u << slot->state)
			continue;
		if (slot->state != SS_BACKOFF)
			slot_handle(slot, SE_RESTART);
		slot_set_version(slot, plugin->version);
	}
}

void
slots_stop_spares(struct plugin *plugin)
{
	LIST_FOREACH (slot, &plugin->slots, struct slot, node)
		if (slot->kind == SLOT_SPARE &&
		    !((SLOTS_DOWN | SLOT_IN(STOPPING)) & 1u << slot->state))
			slot_handle(slot, SE_STOP);
}

/* Of a process that has ended; instance_end.c says for how long. */
static bool
memory_is_awaited(const struct plugin *plugin)
{
	LIST_FOREACH (in, &plugin->instances, struct instance, node)
		if (in->exited && in->keeper.fd >= 0)
			return true;
	return false;
}

bool
slots_put_off(struct slot *slot)
{
	if (!memory_is_awaited(slot->plugin))
		return false;
	ev_timer_set(&slot->backoff_w, MEMORY_LOOK_SECONDS, 0.);
	ev_timer_start(slot->plugin->host->loop, &slot->backoff_w);
	return true;
}
