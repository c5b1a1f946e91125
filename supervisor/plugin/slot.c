/*
 * Invariants
 *  - slot->state changes in slot_handle() only.
 *  - There is a current process exactly in STARTING, READY, STOPPING and RESTARTING, the instant
 *    between a spawn that failed and its GONE event excepted.
 */
#include "plugin/slot.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "os/random.h"
#include "plugin/death.h"
#include "plugin/plugin.h"
#include "plugin/reload.h"
#include "plugin/slots.h"

/* ---- making ---- */

static const struct spec *
spec_of(const struct slot *slot)
{
	return slot->version ? slot->version->spec : slot->plugin->spec;
}

static const struct backoff *
set_backoff(struct slot *slot)
{
	const struct spec *spec = spec_of(slot);

	slot->backoff.min_ms = spec->backoff_min_ms;
	slot->backoff.max_ms = spec->backoff_max_ms;
	slot->backoff.max_failures = spec->max_failures;
	return &slot->backoff;
}

static void
on_backoff(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	if (!slots_put_off(w->data))
		slot_handle(w->data, SE_TIMEOUT);
}

/* The place in the list: before the first that comes after it. */
static struct list *
place_of(const struct plugin *plugin, const struct slot *slot)
{
	LIST_FOREACH (other, &plugin->slots, struct slot, node)
		if (other->kind > slot->kind ||
		    (other->kind == slot->kind && other->number > slot->number))
			return &other->node;
	return (struct list *)&plugin->slots;
}

struct slot *
slot_new(struct plugin *plugin, enum slot_kind kind, unsigned number)
{
	struct slot *slot = calloc(1, sizeof(*slot));

	if (!slot)
		return NULL;
	slot->plugin = plugin;
	slot->kind = kind;
	slot->number = number;
	slot->state = SS_STOPPED;
	set_backoff(slot);
	list_append(place_of(plugin, slot), &slot->node);
	ev_timer_init(&slot->backoff_w, on_backoff, 0., 0.);
	slot->backoff_w.data = slot;
	return slot;
}

void
slot_free(struct slot *slot)
{
	ev_timer_stop(slot->plugin->host->loop, &slot->backoff_w);
	list_remove(&slot->node);
	version_unref(slot->version);
	version_unref(slot->target);
	version_unref(slot->before);
	free(slot->why);
	free(slot);
}

/* ---- effects ---- */

static void
arm_backoff(struct slot *slot)
{
	struct ev_loop *loop = slot->plugin->host->loop;
	uint32_t random = 0;
	uint64_t pause;

	random_bytes(&random,
		     sizeof(random)); /* without it there is no jitter, and nothing else is lost */
	pause = backoff_pause_ms(set_backoff(slot), random);
	slot->retry_at_ms = clock_mono_ms() + pause;
	ev_now_update(loop);
	ev_timer_set(&slot->backoff_w, (double)pause / 1e3, 0.);
	ev_timer_start(loop, &slot->backoff_w);
}

/* The event that a spawn's failure amounts to. */
static enum slot_event
spawn_failed(struct slot *slot, plug_err err)
{
	struct death death = {.declared = err != PLUG_ESYS && err != PLUG_ENOMEM};
	struct plugin *plugin = slot->plugin;

	events_add(&plugin->host->events, plugin_name(plugin), "failed", slot->last_generation, 0,
		   "%s", slot_why(slot));
	if (reload_take_blame(slot, slot_why(slot)))
		return SE_GONE_BACK;
	return backoff_decide(&slot->backoff, spec_of(slot)->restart, &death);
}

/* Until the slot is where that leads to, no reload goes on; then one may have ended by it. */
static void
take_failure(struct slot *slot, plug_err err)
{
	slot->plugin->handling++;
	slot_handle(slot, spawn_failed(slot, err));
	slot->plugin->handling--;
	plugin_slot_settled(slot->plugin);
}

static void
spawn(struct slot *slot)
{
	char why[SLOT_WHY_BYTES] = "cannot be started: out of memory";
	plug_err err = PLUG_ENOMEM;

	if (!slot->version || slot->plugin->next_spec) {
		version_unref(slot->version);
		slot->version = plugin_version_on_disk(slot->plugin);
	}
	if (slot->last_generation)
		slot->plugin->restarts++;
	if (slot->version) {
		set_backoff(slot);
		err = instance_start(slot, slot->version, why, sizeof(why), &slot->current);
	}
	slot_set_why(slot, "%s", err ? why : "");
	if (err)
		take_failure(slot, err);
}

static void
announce(struct slot *slot)
{
	struct events *events = &slot->plugin->host->events;
	const char *name = plugin_name(slot->plugin);

	switch (slot->state) {
	case SS_BACKOFF:
		if (!slot->backoff.failures)
			return; /* a spare: what happened to it was told */
		events_add(events, name, "restarting", slot->last_generation, 0,
			   "in %llu ms, after failure %u of %u",
			   (unsigned long long)(slot->retry_at_ms - clock_mono_ms()),
			   slot->backoff.failures, slot->backoff.max_failures);
		return;
	case SS_QUARANTINED:
		events_add(events, name, "quarantined", slot->last_generation, 0,
			   "%u failures in a row without a stable minute; it stays down until "
			   "plugctl start %s",
			   slot->backoff.failures, name);
		return;
	case SS_STOPPED:
		events_add(events, name, "stopped", slot->last_generation, 0, "%s", slot_why(slot));
		return;
	default:
		return;
	}
}

void
slot_set_version(struct slot *slot, struct version *version)
{
	if (version)
		version_ref(version);
	version_unref(slot->version);
	slot->version = version;
}

static void
perform(struct slot *slot, uint32_t effects)
{
	struct plugin *plugin = slot->plugin;
	struct host *host = plugin->host;

	if (effects & SX(DISARM))
		ev_timer_stop(host->loop, &slot->backoff_w);
	if (effects & SX(FORGIVE))
		slot->backoff.failures = 0;
	if (effects & SX(REOPEN))
		slot_set_version(slot, NULL);
	if (effects & SX(ABANDON))
		plugin_slot_down(plugin);
	if (effects & SX(STOP_PROCESS))
		instance_handle(slot->current, PE_STOP);
	if (effects & SX(SPAWN))
		spawn(slot);
	if (effects & SX(SETTLE))
		plugin_slot_settled(plugin);
}

void
slot_handle(struct slot *slot, enum slot_event event)
{
	enum slot_state next, before = slot->state;
	uint32_t effects;

	if (!lc_slot_step(slot->state, event, &next, &effects)) {
		log_line(LOG_WARN, plugin_name(slot->plugin), 0,
			 "event %s is not possible in state %s: ignored", lc_slot_event_name(event),
			 lc_slot_word(slot->state));
		return;
	}
	slot->state = next;
	if (effects & SX(ARM)) /* first: announce() says how long it takes */
		arm_backoff(slot);
	if (next != before)
		announce(slot);
	perform(slot, effects);
}

/* ---- from its process ---- */

void
slot_process_ready(struct slot *slot, struct instance *in)
{
	struct host *host = slot->plugin->host;

	if (in == slot->next) {
		reload_handle(slot, RE_READY, NULL);
		return;
	}
	slot_handle(slot, SE_READY);
	if (slot->kind == SLOT_SPARE) {
		slots_help_out(slot);
		return;
	}
	host->ops->on_ready(host->ops_user, in);
	if (slot->reload == RS_ALONE)
		reload_handle(slot, RE_READY, NULL);
}

void
slot_process_stuck(struct slot *slot, struct instance *in)
{
	if (in == slot->old) { /* the new one does not wait for it */
		slot->old = NULL;
		reload_handle(slot, RE_OLD_GONE, NULL);
	} else if (in == slot->next) {
		slot->next = NULL;
		reload_handle(slot, RE_NEW_GONE, "SIGKILL did not end the new process");
	} else if (in == slot->current && reload_is_busy(slot)) {
		reload_handle(slot, RE_CANCEL, "SIGKILL did not end a process");
	}
	plugin_slot_settled(slot->plugin); /* nobody knows when it will end */
}

static void
note_decision(struct slot *slot, struct crash *crash)
{
	slot_next_text(slot, crash->decision, sizeof(crash->decision));
	if (slot->current && slot->state == SS_READY)
		snprintf(crash->decision, sizeof(crash->decision), "process %lld has its place",
			 (long long)slot->current->pid);
	if (slot->state == SS_BACKOFF)
		crash->retry_in_ms = slot->retry_at_ms - clock_mono_ms();
}

void
slot_go_on(struct slot *slot)
{
	ev_timer_stop(slot->plugin->host->loop, &slot->backoff_w);
	slot_handle(slot, SE_TIMEOUT);
}

/* Without a pause the next process is started before the dead one is taken apart. */
static void
go_on_at_once(struct slot *slot)
{
	if (slot->state != SS_BACKOFF || slots_fail_over(slot, NULL) ||
	    slot->retry_at_ms > clock_mono_ms())
		return;
	slot_go_on(slot);
}

static struct death
death_of(const struct instance *in)
{
	return (struct death){
		.clean = in->exited && in->ready_ms && !in->status.signal && !in->status.code &&
			 !*in->cause,
		.declared = in->declared,
		.ready_ms = in->ready_ms ? clock_mono_ms() - in->ready_ms : 0,
	};
}

/* What the end of the slot's own process means for the slot. */
static enum slot_event
decide(struct slot *slot, const struct instance *in, const char *reason)
{
	struct death death = death_of(in);

	/* An end that was asked for is no failure, however it came about. */
	if (in->asked || slot->plugin->host->shutting_down)
		return SE_GONE_DONE;
	if (!death.clean && reload_take_blame(slot, reason))
		return SE_GONE_BACK;
	return backoff_decide(&slot->backoff, in->spec->restart, &death);
}

static void
current_gone(struct slot *slot, struct instance *in, const char *reason)
{
	slot->current = NULL;
	slot_set_why(slot, "%s", in->asked ? "" : reason);
	if (slot->reload == RS_VACATING || slot->reload == RS_BESIDE)
		reload_handle(slot, RE_OLD_GONE, NULL);
	plugin_adopt_next_spec(slot->plugin);
	slot_handle(slot, decide(slot, in, reason));
}

static void
blame_reload(struct slot *slot, const struct instance *in)
{
	char reason[600] = "a fault signal hit it";

	if (in->exited || *in->cause)
		death_text(in, reason, sizeof(reason));
	reload_take_blame(slot, reason);
}

/* A spare takes its place only where another process would follow it anyhow, and when a new version
 * is to blame, only one of the version that comes back. */
void
slot_process_dying(struct slot *slot, struct instance *in)
{
	struct backoff after = slot->backoff;
	struct death death = death_of(in);
	const struct version *back = reload_way_back(slot);

	if (in != slot->current || slot->plugin->host->shutting_down ||
	    !slots_can_help(slot, back) ||
	    backoff_decide(&after, in->spec->restart, &death) != SE_GONE_RETRY)
		return;
	if (reload_is_to_blame(slot))
		blame_reload(slot, in);
	else
		slot->backoff = after;
	slots_fail_over(slot, back ? slot->version : NULL);
}

static void
leave_slot(struct slot *slot, struct instance *in, const char *reason)
{
	if (in == slot->current) {
		current_gone(slot, in, reason);
	} else if (in == slot->next) {
		slot->next = NULL;
		reload_handle(slot, RE_NEW_GONE, reason);
	} else if (in == slot->old) {
		slot->old = NULL;
		reload_handle(slot, RE_OLD_GONE, NULL);
	}
}

void
slot_process_gone(struct slot *slot, struct instance *in)
{
	struct plugin *plugin = slot->plugin;
	struct host *host = plugin->host;
	struct crash *crash = NULL;
	char reason[600];

	plugin->handling++;
	death_text(in, reason, sizeof(reason));
	host->ops->on_gone(host->ops_user, in, in->asked ? "" : reason);
	if (!in->asked)
		crash = death_report(in, reason);
	else if (in->status.signal == SIGKILL)
		events_add(&host->events, plugin_name(plugin), "killed", in->generation, in->pid,
			   "it did not stop by itself in time");
	list_remove(&in->node);
	leave_slot(slot, in, reason);
	if (crash && !list_empty(&plugin->crashes.list))
		note_decision(slot, crash);
	go_on_at_once(slot);
	plugin->handling--;
	plugin_slot_settled(plugin);
}

/* ---- for people ---- */

void
slot_label(const struct slot *slot, char label[SLOT_LABEL_BYTES])
{
	const char *name = plugin_name(slot->plugin);

	if (slot->kind == SLOT_SPARE)
		snprintf(label, SLOT_LABEL_BYTES, "%s.s%u", name, slot->number);
	else if (slot->number == 1 && slots_wanted(slot->plugin, SLOT_ACTIVE) == 1)
		snprintf(label, SLOT_LABEL_BYTES, "%s", name);
	else
		snprintf(label, SLOT_LABEL_BYTES, "%s.%u", name, slot->number);
}

const char *
slot_word(const struct slot *slot)
{
	if (slot->current && slot->state != SS_RESTARTING)
		return instance_word(slot->current);
	return lc_slot_word(slot->state);
}

const char *
slot_why(const struct slot *slot)
{
	return slot->why ? slot->why : "";
}

void
slot_set_why(struct slot *slot, const char *format, ...)
{
	char *why = NULL;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&why, format, ap) < 0)
		why = NULL; /* then it is not told */
	va_end(ap);
	free(slot->why);
	if (why && !*why) {
		free(why);
		why = NULL;
	}
	slot->why = why;
}

void
slot_next_text(const struct slot *slot, char *text, size_t size)
{
	const char *name = plugin_name(slot->plugin);
	uint64_t now = clock_mono_ms();

	if (slot->current && slot->current->state == PS_STUCK) {
		snprintf(text, size, "nothing until the kernel lets process %lld end",
			 (long long)slot->current->pid);
		return;
	}
	if (slot->state == SS_READY && slot->current &&
	    instance_next_text(slot->current, text, size))
		return;
	switch (slot->state) {
	case SS_BACKOFF:
		snprintf(text, size, "starts again in %.1f s",
			 slot->retry_at_ms > now ? (double)(slot->retry_at_ms - now) / 1e3 : 0.);
		return;
	case SS_FAILED:
		snprintf(text, size, "nothing; mend the cause, then: plugctl start %s", name);
		return;
	case SS_QUARANTINED:
		snprintf(text, size,
			 "nothing; it died %u times in a row; look at plugctl crashes %s, then: "
			 "plugctl start %s",
			 slot->backoff.failures, name, name);
		return;
	case SS_STOPPED:
		snprintf(text, size, "nothing until plugctl start %s", name);
		return;
	case SS_STARTING:
		snprintf(text, size, "becomes ready, or is stopped after %.1f s",
			 (double)spec_of(slot)->start_timeout_ms / 1e3);
		return;
	case SS_STOPPING:
		snprintf(text, size, "stops");
		return;
	case SS_RESTARTING:
		snprintf(text, size, "a new process is started when this one has ended");
		return;
	default:
		snprintf(text, size, "takes calls");
	}
}
