/*
 * Invariants
 *  - slot->reload changes in reload_handle() only.
 *  - There is a target exactly from BESIDE and VACATING to DRAINING; what was in force before it is
 *    kept from VACATING and DRAINING to the end of SETTLING.
 *  - slot->next is there in BESIDE only, slot->old in DRAINING only.
 */
#include "plugin/reload.h"

#include "base/clock.h"
#include "base/log.h"
#include "plugin/plugin.h"
#include "plugin/rollout.h"

static void
keep_version(struct version **place, struct version *version)
{
	if (version)
		version_ref(version);
	version_unref(*place);
	*place = version;
}

/* ---- effects ---- */

static void
spawn(struct slot *slot)
{
	char why[SLOT_WHY_BYTES];

	if (instance_start(slot, slot->target, why, sizeof(why), &slot->next))
		reload_handle(slot, RE_NEW_GONE, why);
}

static void
vacate(struct slot *slot)
{
	keep_version(&slot->before, slot->version);
	slot_handle(slot, SE_RESTART);
	keep_version(&slot->version, slot->target);
}

static void
take_up(struct slot *slot)
{
	keep_version(&slot->before, slot->version);
	keep_version(&slot->version, slot->target);
	slot_go_on(slot);
}

/* New calls go to the new process from here on; only then the old one is told to drain. */
static void
switch_over(struct slot *slot)
{
	struct host *host = slot->plugin->host;
	struct instance *old = slot->current;

	keep_version(&slot->before, slot->version);
	keep_version(&slot->version, slot->target);
	slot->old = old;
	slot->current = slot->next;
	slot->next = NULL;
	plugin_set_version(slot->plugin, slot->version);
	slot_handle(slot, SE_TAKEN);
	slot_set_why(slot, "%s", "");
	host->ops->on_ready(host->ops_user, slot->current);
	if (old)
		instance_handle(old, PE_STOP);
	else
		reload_handle(slot, RE_OLD_GONE, NULL);
}

static void
end_new(struct slot *slot)
{
	struct instance *in = slot->next;

	slot->next = NULL;
	instance_handle(in, PE_STOP);
}

/* What a watcher finds on disk when it looks at it with the version from before: it is not to be
 * tried again by itself.  A watcher that saw it in force has forgotten that it was tried. */
static uint64_t
refused_digest(const struct version *refused, const struct version *before)
{
	uint64_t fingerprint = refused->spec->fingerprint, digest;

	if (fingerprint == before->spec->fingerprint)
		return refused->digest;
	digest = version_digest(before->spec, fingerprint);
	return digest ? digest : fingerprint;
}

static void
come_back(struct slot *slot)
{
	if (slot->version && slot->before && slot->version != slot->before)
		slot->plugin->tried = refused_digest(slot->version, slot->before);
	keep_version(&slot->version, slot->before);
	plugin_set_version(slot->plugin, slot->version);
}

/* Of a process that was started alone nobody has said yet what is in force. */
static void
settle(struct slot *slot)
{
	slot->settled_at_ms = clock_mono_ms() + RELOAD_SETTLE_MS;
	if (slot->version && slot->version != slot->plugin->version)
		plugin_set_version(slot->plugin, slot->version);
}

static void
perform(struct slot *slot, uint32_t effects, const char *why)
{
	if (effects & RX(END_NEW))
		end_new(slot);
	if (effects & RX(RETURN))
		come_back(slot);
	if (effects & RX(DONE))
		settle(slot);
	if (slot->reload == RS_IDLE) {
		keep_version(&slot->target, NULL);
		keep_version(&slot->before, NULL);
		slot->old = NULL;
	}
	if (effects & RX(VACATE))
		vacate(slot);
	if (effects & RX(SWITCH))
		switch_over(slot);
	if (effects & RX(SPAWN))
		spawn(slot);
	if (effects & RX(TAKE_UP))
		take_up(slot);
	/* Last: it may begin the next slot's. */
	if (effects & RX(DONE))
		rollout_slot_done(slot);
	if (effects & RX(ROLLED_BACK))
		rollout_slot_failed(slot, why ? why : "it was called off");
}

void
reload_handle(struct slot *slot, enum reload_event event, const char *why)
{
	enum reload_state next;
	uint32_t effects;

	if (!lc_reload_step(slot->reload, event, &next, &effects)) {
		log_line(LOG_WARN, plugin_name(slot->plugin), 0,
			 "reload: event %s is not possible in state %s: ignored",
			 lc_reload_event_name(event), lc_reload_state_name(slot->reload));
		return;
	}
	slot->reload = next;
	perform(slot, effects, why);
}

/* ---- from outside ---- */

void
reload_begin(struct slot *slot, struct version *target, bool beside)
{
	keep_version(&slot->target, target);
	reload_handle(slot, beside ? RE_BESIDE : RE_INSTEAD, NULL);
}

void
reload_begin_paused(struct slot *slot, struct version *target)
{
	keep_version(&slot->target, target);
	reload_handle(slot, RE_PAUSED, NULL);
}

bool
reload_is_busy(const struct slot *slot)
{
	return slot->reload != RS_IDLE && slot->reload != RS_SETTLING;
}

bool
reload_is_new(const struct slot *slot, const struct instance *in)
{
	return in == slot->next || (in == slot->current && slot->reload == RS_ALONE);
}

const struct version *
reload_way_back(const struct slot *slot)
{
	return slot->reload == RS_ALONE || slot->reload == RS_DRAINING ||
			       slot->reload == RS_SETTLING
		       ? slot->before
		       : NULL;
}

bool
reload_is_to_blame(const struct slot *slot)
{
	return slot->reload == RS_ALONE || slot->reload == RS_DRAINING ||
	       slot->reload == RS_SETTLING;
}

bool
reload_take_blame(struct slot *slot, const char *why)
{
	if (!reload_is_to_blame(slot))
		return false;
	reload_handle(slot, RE_NEW_GONE, why);
	return true;
}

void
reload_tick(struct slot *slot)
{
	if (slot->reload == RS_SETTLING && clock_mono_ms() >= slot->settled_at_ms)
		reload_handle(slot, RE_TIMEOUT, NULL);
}
