/* What is remembered of plugins over an upgrade of plugd: crashes, statistics, events, the dead. */
#include <stdio.h>
#include <string.h>

#include "plugin/backtrace.h"
#include "plugin/saved.h"
#include "state/timer.h"

Plugd__SavedExit *
exit_save(const struct exit_status *status, struct state_out *out)
{
	Plugd__SavedExit *saved = state_out_message(out, &plugd__saved_exit__descriptor);

	saved->code = status->code;
	saved->signal = status->signal;
	saved->core_dumped = status->core_dumped;
	return saved;
}

void
exit_restore(struct exit_status *status, const Plugd__SavedExit *saved)
{
	if (saved)
		*status = (struct exit_status){saved->code, saved->signal, saved->core_dumped};
}

/* ---- crashes ---- */

ProtobufCBinaryData
trace_save(const struct plug_trace *trace)
{
	return state_out_bytes(trace, trace ? sizeof(*trace) : 0);
}

struct plug_trace *
trace_restore(const ProtobufCBinaryData *saved)
{
	struct plug_trace *trace = NULL;

	if (saved->len)
		backtrace_take(saved->data, saved->len, &trace);
	return trace;
}

static Plugd__SavedCrashCall *
save_call(struct crash_call *call, struct state_out *out)
{
	Plugd__SavedCrashCall *saved = state_out_message(out, &plugd__saved_crash_call__descriptor);

	saved->id = call->id;
	saved->age_ms = call->age_ms;
	saved->method = call->method;
	saved->hung = call->hung;
	saved->executing = call->executing;
	return saved;
}

static void
restore_call(struct crash_call *call, const Plugd__SavedCrashCall *saved)
{
	call->id = saved->id;
	call->age_ms = saved->age_ms;
	call->hung = saved->hung;
	call->executing = saved->executing;
	snprintf(call->method, sizeof(call->method), "%s", saved->method);
}

/* Not all are listed; but not fewer than there is room for. */
static size_t
count_of_calls(uint64_t count, size_t listed)
{
	return count < listed || listed < CRASH_CALLS ? listed : (size_t)count;
}

Plugd__SavedLastCalls *
last_calls_save(struct last_calls *last, struct state_out *out)
{
	Plugd__SavedLastCalls *saved = state_out_message(out, &plugd__saved_last_calls__descriptor);

	saved->count = last->count;
	saved->on_channels = last->on_channels;
	for (size_t i = 0; i < last->count && i < CRASH_CALLS; i++)
		state_out_append(out, &saved->n_calls, &saved->calls,
				 save_call(&last->calls[i], out));
	return saved;
}

struct last_calls *
last_calls_restore(const Plugd__SavedLastCalls *saved, struct state_in *in)
{
	struct last_calls *last = calloc(1, sizeof(*last));

	if (!last) {
		state_in_fail(in, "out of memory");
		return NULL;
	}
	last->count = count_of_calls(saved->count, saved->n_calls);
	last->on_channels = saved->on_channels;
	for (size_t i = 0; i < saved->n_calls && i < CRASH_CALLS; i++)
		restore_call(&last->calls[i], saved->calls[i]);
	return last;
}

static Plugd__SavedCrash *
save_crash(struct crash *crash, struct state_out *out)
{
	Plugd__SavedCrash *saved = state_out_message(out, &plugd__saved_crash__descriptor);

	saved->time_ms = crash->time_ms;
	saved->pid = crash->pid;
	saved->generation = crash->generation;
	saved->status = exit_save(&crash->status, out);
	saved->reason = crash->reason;
	saved->state = crash->state;
	saved->uptime_ms = crash->uptime_ms;
	saved->rss_bytes = crash->rss_bytes;
	saved->rss_age_ms = crash->rss_age_ms;
	saved->peak_bytes = crash->peak_bytes;
	saved->trace = trace_save(crash->trace);
	saved->core_path = crash->core_path;
	saved->core_note = crash->core_note;
	saved->call_count = crash->call_count;
	for (size_t i = 0; i < crash->call_count && i < CRASH_CALLS; i++)
		state_out_append(out, &saved->n_calls, &saved->calls,
				 save_call(&crash->calls[i], out));
	saved->channel_calls = crash->channel_calls;
	for (size_t i = 0; i < crash->log_count; i++)
		state_out_append(out, &saved->n_log, &saved->log, crash->log[i]);
	saved->decision = crash->decision;
	saved->retry_in_ms = crash->retry_in_ms;
	return saved;
}

void
crashes_save(struct crashes *crashes, Plugd__SavedPlugin *saved, struct state_out *out)
{
	LIST_FOREACH (crash, &crashes->list, struct crash, node)
		state_out_append(out, &saved->n_crashes, &saved->crashes, save_crash(crash, out));
}

static void
restore_texts(struct crash *crash, const Plugd__SavedCrash *saved)
{
	snprintf(crash->reason, sizeof(crash->reason), "%s", saved->reason);
	snprintf(crash->state, sizeof(crash->state), "%s", saved->state);
	snprintf(crash->core_path, sizeof(crash->core_path), "%s", saved->core_path);
	snprintf(crash->core_note, sizeof(crash->core_note), "%s", saved->core_note);
	snprintf(crash->decision, sizeof(crash->decision), "%s", saved->decision);
	for (size_t i = 0; i < saved->n_log && crash->log_count < CRASH_LOG_LINES; i++) {
		crash->log[crash->log_count] = strdup(saved->log[i]);
		crash->log_count += crash->log[crash->log_count] != NULL;
	}
}

static void
restore_crash(struct crash *crash, const Plugd__SavedCrash *saved)
{
	crash->time_ms = saved->time_ms;
	crash->pid = saved->pid;
	crash->generation = saved->generation;
	exit_restore(&crash->status, saved->status);
	crash->uptime_ms = saved->uptime_ms;
	crash->rss_bytes = saved->rss_bytes;
	crash->rss_age_ms = saved->rss_age_ms;
	crash->peak_bytes = saved->peak_bytes;
	crash->trace = trace_restore(&saved->trace);
	crash->call_count = count_of_calls(saved->call_count, saved->n_calls);
	for (size_t i = 0; i < saved->n_calls && i < CRASH_CALLS; i++)
		restore_call(&crash->calls[i], saved->calls[i]);
	crash->channel_calls = saved->channel_calls;
	crash->retry_in_ms = saved->retry_in_ms;
	restore_texts(crash, saved);
}

void
crashes_restore(struct crashes *crashes, const Plugd__SavedPlugin *saved, struct state_in *in)
{
	for (size_t i = 0; i < saved->n_crashes; i++) {
		struct crash *crash = crashes_add(crashes);

		if (crash)
			restore_crash(crash, saved->crashes[i]);
		else
			state_in_fail(in, "out of memory");
	}
}

/* ---- statistics ---- */

static Plugd__SavedMethodStats *
save_method(struct stats_method *method, struct state_out *out)
{
	Plugd__SavedMethodStats *saved =
		state_out_message(out, &plugd__saved_method_stats__descriptor);

	saved->name = method->name;
	saved->calls = method->calls;
	saved->ok = method->ok;
	saved->errors = method->errors;
	saved->timeouts = method->timeouts;
	saved->cancelled = method->cancelled;
	saved->gone = method->gone;
	saved->max_us = method->max_us;
	saved->sum_us = method->sum_us;
	saved->n_buckets = STATS_BUCKETS;
	saved->buckets = method->buckets;
	return saved;
}

Plugd__SavedStats *
stats_save(struct stats *stats, struct state_out *out)
{
	Plugd__SavedStats *saved = state_out_message(out, &plugd__saved_stats__descriptor);

	saved->calls = stats->calls;
	saved->ok = stats->ok;
	saved->errors = stats->errors;
	saved->last_used_ms = stats->last_used_ms;
	saved->last_error = stats->last_error;
	for (size_t i = 0; i < stats->method_count; i++)
		state_out_append(out, &saved->n_methods, &saved->methods,
				 save_method(stats->methods[i], out));
	return saved;
}

static void
restore_method(struct stats_method *method, const Plugd__SavedMethodStats *saved)
{
	snprintf(method->name, sizeof(method->name), "%s", saved->name);
	method->calls = saved->calls;
	method->ok = saved->ok;
	method->errors = saved->errors;
	method->timeouts = saved->timeouts;
	method->cancelled = saved->cancelled;
	method->gone = saved->gone;
	method->max_us = saved->max_us;
	method->sum_us = saved->sum_us;
	for (size_t i = 0; i < saved->n_buckets && i < STATS_BUCKETS; i++)
		method->buckets[i] = saved->buckets[i];
}

void
stats_restore(struct stats *stats, const Plugd__SavedStats *saved, struct state_in *in)
{
	if (!saved)
		return;
	stats->calls = saved->calls;
	stats->ok = saved->ok;
	stats->errors = saved->errors;
	stats->last_used_ms = saved->last_used_ms;
	snprintf(stats->last_error, sizeof(stats->last_error), "%s", saved->last_error);
	for (size_t i = 0; i < saved->n_methods && stats->method_count < STATS_METHODS; i++) {
		struct stats_method *method = calloc(1, sizeof(*method));

		if (!method) {
			state_in_fail(in, "out of memory");
			return;
		}
		restore_method(method, saved->methods[i]);
		stats->methods[stats->method_count++] = method;
	}
}

Plugd__SavedDataStats *
data_stats_save(struct data_stats *stats, struct state_out *out)
{
	Plugd__SavedDataStats *saved = state_out_message(out, &plugd__saved_data_stats__descriptor);

	saved->calls = stats->calls;
	saved->ok = stats->ok;
	saved->errors = stats->errors;
	saved->cancelled = stats->cancelled;
	saved->tensor_faults = stats->tensor_faults;
	saved->n_took = PLUG_VITALS_TOOK;
	saved->took = stats->took;
	return saved;
}

void
data_stats_restore(struct data_stats *stats, const Plugd__SavedDataStats *saved,
		   struct state_in *in)
{
	(void)in;
	if (!saved)
		return;
	stats->calls = saved->calls;
	stats->ok = saved->ok;
	stats->errors = saved->errors;
	stats->cancelled = saved->cancelled;
	stats->tensor_faults = saved->tensor_faults;
	for (size_t i = 0; i < saved->n_took && i < PLUG_VITALS_TOOK; i++)
		stats->took[i] = saved->took[i];
}

/* ---- events ---- */

void
events_save(struct events *events, Plugd__SavedDaemon *saved, struct state_out *out)
{
	saved->last_event = events->last_seq;
	LIST_FOREACH (event, &events->ring, struct event, node) {
		Plugd__SavedEvent *one = state_out_message(out, &plugd__saved_event__descriptor);

		one->time_ms = event->time_ms;
		one->plugin = event->plugin;
		one->kind = event->kind;
		one->generation = event->generation;
		one->pid = event->pid;
		one->detail = event->detail;
		state_out_append(out, &saved->n_events, &saved->events, one);
	}
}

void
events_restore(struct events *events, const Plugd__SavedDaemon *saved, struct state_in *in)
{
	size_t first = saved->n_events > EVENTS_KEPT ? saved->n_events - EVENTS_KEPT : 0;

	events->last_seq = saved->last_event - (saved->n_events - first);
	for (size_t i = first; i < saved->n_events; i++) {
		const Plugd__SavedEvent *one = saved->events[i];
		struct event *event = malloc(sizeof(*event) + strlen(one->detail) + 1);

		if (!event) {
			state_in_fail(in, "out of memory");
			return;
		}
		event->seq = ++events->last_seq;
		event->time_ms = one->time_ms;
		snprintf(event->plugin, sizeof(event->plugin), "%s", one->plugin);
		snprintf(event->kind, sizeof(event->kind), "%s", one->kind);
		event->generation = one->generation;
		event->pid = one->pid;
		strcpy(event->detail, one->detail);
		list_append(&events->ring, &event->node);
		events->count++;
	}
}
