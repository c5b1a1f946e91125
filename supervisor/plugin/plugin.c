/*
 * Invariants
 *  - plugin->slot changes in plugin_handle() only.
 *  - There is an instance exactly in STARTING, READY, STOPPING and RESTARTING, the instant between
 * a spawn that failed and its GONE event excepted.
 */
#include "plugin/plugin.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "os/random.h"

static const struct backoff *
set_backoff(struct plugin *plugin)
{
	plugin->backoff.min_ms = plugin->spec->backoff_min_ms;
	plugin->backoff.max_ms = plugin->spec->backoff_max_ms;
	plugin->backoff.max_failures = plugin->spec->max_failures;
	return &plugin->backoff;
}

static void
on_backoff(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	plugin_handle(w->data, SE_TIMEOUT);
}

struct plugin *
plugin_new(struct host *host, struct spec *spec)
{
	struct plugin *plugin = calloc(1, sizeof(*plugin));

	if (!plugin) {
		spec_free(spec);
		return NULL;
	}
	plugin->host = host;
	plugin->spec = spec;
	plugin->slot = SS_STOPPED;
	set_backoff(plugin);
	output_init(&plugin->output, host->loop, host->log_dir_fd, spec->name,
		    host->limits.log_ring_bytes, host->limits.log_file_bytes,
		    host->limits.log_files);
	crashes_init(&plugin->crashes);
	list_init(&plugin->node);
	list_init(&plugin->incoming);
	list_init(&plugin->queue);
	list_init(&plugin->waiters);
	ev_timer_init(&plugin->backoff_w, on_backoff, 0., 0.);
	plugin->backoff_w.data = plugin;
	return plugin;
}

void
plugin_free(struct plugin *plugin)
{
	ev_timer_stop(plugin->host->loop, &plugin->backoff_w);
	list_remove(&plugin->node);
	output_fini(&plugin->output);
	crashes_fini(&plugin->crashes);
	stats_fini(&plugin->stats);
	spec_free(plugin->spec);
	spec_free(plugin->next_spec);
	free(plugin);
}

const char *
plugin_name(const struct plugin *plugin)
{
	return plugin->spec->name;
}

const char *
plugin_word(const struct plugin *plugin)
{
	if (plugin->instance && plugin->slot != SS_RESTARTING)
		return lc_process_word(plugin->instance->state);
	return lc_slot_word(plugin->slot);
}

/* ---- effects ---- */

static void
arm_backoff(struct plugin *plugin)
{
	uint32_t random = 0;
	uint64_t pause;

	random_bytes(&random,
		     sizeof(random)); /* without it there is no jitter, and nothing else is lost */
	pause = backoff_pause_ms(set_backoff(plugin), random);
	plugin->retry_at_ms = clock_mono_ms() + pause;
	ev_now_update(plugin->host->loop);
	ev_timer_set(&plugin->backoff_w, (double)pause / 1e3, 0.);
	ev_timer_start(plugin->host->loop, &plugin->backoff_w);
}

static void
adopt_next_spec(struct plugin *plugin)
{
	if (!plugin->next_spec)
		return;
	spec_free(plugin->spec);
	plugin->spec = plugin->next_spec;
	plugin->next_spec = NULL;
	set_backoff(plugin);
}

/* The event that a spawn's failure amounts to. */
static enum slot_event
spawn_failed(struct plugin *plugin, plug_err err)
{
	struct death death = {.declared = err != PLUG_ESYS && err != PLUG_ENOMEM};

	events_add(&plugin->host->events, plugin_name(plugin), "failed", plugin->last_generation, 0,
		   "%s", plugin->why);
	return backoff_decide(&plugin->backoff, plugin->spec->restart, &death);
}

static void
spawn(struct plugin *plugin)
{
	plug_err err;

	adopt_next_spec(plugin);
	if (plugin->last_generation)
		plugin->restarts++;
	err = instance_start(plugin, plugin->why, sizeof(plugin->why), &plugin->instance);
	if (err)
		plugin_handle(plugin, spawn_failed(plugin, err));
	else
		plugin->why[0] = '\0';
}

static void
announce(struct plugin *plugin)
{
	struct events *events = &plugin->host->events;
	const char *name = plugin_name(plugin);

	switch (plugin->slot) {
	case SS_BACKOFF:
		events_add(events, name, "restarting", plugin->last_generation, 0,
			   "in %llu ms, after failure %u of %u",
			   (unsigned long long)(plugin->retry_at_ms - clock_mono_ms()),
			   plugin->backoff.failures, plugin->backoff.max_failures);
		return;
	case SS_QUARANTINED:
		events_add(events, name, "quarantined", plugin->last_generation, 0,
			   "%u failures in a row without a stable minute; it stays down until "
			   "plugctl start %s",
			   plugin->backoff.failures, name);
		return;
	case SS_STOPPED:
		events_add(events, name, "stopped", plugin->last_generation, 0, "%s", plugin->why);
		return;
	default:
		return;
	}
}

static void
perform(struct plugin *plugin, uint32_t effects)
{
	struct host *host = plugin->host;

	if (effects & SX(DISARM))
		ev_timer_stop(host->loop, &plugin->backoff_w);
	if (effects & SX(FORGIVE))
		plugin->backoff.failures = 0;
	if (effects & SX(ABANDON))
		host->ops->on_abandon(host->ops_user, plugin, plugin->why);
	if (effects & SX(STOP_PROCESS))
		instance_handle(plugin->instance, PE_STOP);
	if (effects & SX(SPAWN))
		spawn(plugin);
	if (effects & SX(SETTLE))
		host->ops->on_settled(host->ops_user, plugin);
}

void
plugin_handle(struct plugin *plugin, enum slot_event event)
{
	enum slot_state next, before = plugin->slot;
	uint32_t effects;

	if (!lc_slot_step(plugin->slot, event, &next, &effects)) {
		log_line(LOG_WARN, plugin_name(plugin), 0,
			 "event %s is not possible in state %s: ignored", lc_slot_event_name(event),
			 lc_slot_word(plugin->slot));
		return;
	}
	plugin->slot = next;
	if (effects & SX(ARM)) /* first: announce() says how long it takes */
		arm_backoff(plugin);
	if (next != before)
		announce(plugin);
	perform(plugin, effects);
}

/* ---- from the instance ---- */

void
plugin_instance_ready(struct plugin *plugin)
{
	struct host *host = plugin->host;

	plugin_handle(plugin, SE_READY);
	host->ops->on_ready(host->ops_user, plugin->instance);
}

static void
describe_death(const struct instance *in, char *text, size_t size)
{
	char status[64];

	exit_status_text(&in->status, status, sizeof(status));
	if (*in->cause)
		snprintf(text, size, "%s (%s)", in->cause, status);
	else
		snprintf(text, size, "%s", status);
}

static void
quote_log(struct plugin *plugin, struct crash *crash)
{
	struct logring_cursor cursor = logring_last(&plugin->output.ring, CRASH_LOG_LINES);
	struct logring_line line;

	while (crash->log_count < CRASH_LOG_LINES &&
	       logring_next(&plugin->output.ring, &cursor, &line)) {
		if (line.generation != crash->generation)
			continue;
		crash->log[crash->log_count] = strndup(line.text, line.length);
		if (crash->log[crash->log_count])
			crash->log_count++;
	}
}

static struct crash *
report(struct plugin *plugin, struct instance *in, const char *reason)
{
	struct host *host = plugin->host;
	struct crash *crash = crashes_add(&plugin->crashes);

	plugin->crashes_seen++;
	events_add(&host->events, plugin_name(plugin), in->declared ? "failed" : "crashed",
		   in->generation, in->pid, "%s after %.1f s, %u calls in flight", reason,
		   (double)(clock_mono_ms() - in->spawned_ms) / 1e3, in->in_flight);
	if (!crash)
		return NULL;
	crash->time_ms = clock_wall_ms();
	crash->pid = in->pid;
	crash->generation = in->generation;
	crash->status = in->status;
	crash->uptime_ms = clock_mono_ms() - in->spawned_ms;
	crash->rss_bytes = in->rss_bytes;
	crash->state = in->ready_ms ? "ready" : "starting";
	snprintf(crash->reason, sizeof(crash->reason), "%s", reason);
	crash->call_count =
		host->ops->describe_calls(host->ops_user, in, crash->calls, CRASH_CALLS);
	quote_log(plugin, crash);
	return crash;
}

static void
note_decision(struct plugin *plugin, struct crash *crash)
{
	plugin_next_text(plugin, crash->decision, sizeof(crash->decision));
	if (plugin->slot == SS_BACKOFF)
		crash->retry_in_ms = plugin->retry_at_ms - clock_mono_ms();
}

/* Without a pause the next process is started before the dead one is taken apart. */
static void
go_on_at_once(struct plugin *plugin)
{
	if (plugin->slot != SS_BACKOFF || plugin->retry_at_ms > clock_mono_ms())
		return;
	ev_timer_stop(plugin->host->loop, &plugin->backoff_w);
	plugin_handle(plugin, SE_TIMEOUT);
}

void
plugin_instance_gone(struct plugin *plugin, struct instance *in)
{
	struct host *host = plugin->host;
	uint64_t generation_ready_ms = in->ready_ms ? clock_mono_ms() - in->ready_ms : 0;
	struct death death = {
		.clean = in->ready_ms && !in->status.signal && !in->status.code && !*in->cause,
		.declared = in->declared,
		.ready_ms = generation_ready_ms,
	};
	struct crash *crash = NULL;
	char reason[600];
	enum slot_event event;

	describe_death(in, reason, sizeof(reason));
	snprintf(plugin->why, sizeof(plugin->why), "%s", in->asked ? "" : reason);
	if (!in->asked)
		crash = report(plugin, in, reason);
	else if (in->status.signal == SIGKILL)
		events_add(&host->events, plugin_name(plugin), "killed", in->generation, in->pid,
			   "it did not stop by itself in time");
	host->ops->on_gone(host->ops_user, in);
	plugin->instance = NULL;
	/* An end that was asked for is no failure, however it came about. */
	event = in->asked ? SE_GONE_DONE
			  : backoff_decide(&plugin->backoff, plugin->spec->restart, &death);
	adopt_next_spec(plugin);
	plugin_handle(plugin, host->shutting_down ? SE_GONE_DONE : event);
	if (crash && !list_empty(&plugin->crashes.list))
		note_decision(plugin, crash);
	go_on_at_once(plugin);
}

/* ---- for people ---- */

void
plugin_next_text(const struct plugin *plugin, char *text, size_t size)
{
	const char *name = plugin_name(plugin);
	uint64_t now = clock_mono_ms();

	if (plugin->instance && plugin->instance->state == PS_STUCK) {
		snprintf(text, size, "nothing until the kernel lets process %lld end",
			 (long long)plugin->instance->pid);
		return;
	}
	switch (plugin->slot) {
	case SS_BACKOFF:
		snprintf(text, size, "starts again in %.1f s",
			 plugin->retry_at_ms > now ? (double)(plugin->retry_at_ms - now) / 1e3
						   : 0.);
		return;
	case SS_FAILED:
		snprintf(text, size, "nothing; mend the cause, then: plugctl start %s", name);
		return;
	case SS_QUARANTINED:
		snprintf(text, size,
			 "nothing; it died %u times in a row; look at plugctl crashes %s, then: "
			 "plugctl start %s",
			 plugin->backoff.failures, name, name);
		return;
	case SS_STOPPED:
		snprintf(text, size, "nothing until plugctl start %s", name);
		return;
	case SS_STARTING:
		snprintf(text, size, "becomes ready, or is stopped after %.1f s",
			 (double)plugin->spec->start_timeout_ms / 1e3);
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

void
plugin_update(struct plugin *plugin, struct spec *spec)
{
	spec_free(plugin->next_spec);
	plugin->next_spec = spec;
	if (!plugin->instance)
		adopt_next_spec(plugin);
}
