#include "plugin/death.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "os/cgroup_limit.h"
#include "os/proc.h"
#include "plugin/backtrace.h"

/* Of the limit that it has of its own; without one nobody need ask. */
static bool
ran_out_of_memory(const struct instance *in)
{
	return in->status.signal == SIGKILL && in->spec->manifest->resources.memory_mb &&
	       cgroup_oom_kills(in->cgroup.fd);
}

void
death_text(const struct instance *in, char *text, size_t size)
{
	uint64_t kills = in->status.signal == SIGKILL ? proc_oom_kills() : 0;
	char status[64];

	exit_status_text(&in->status, status, sizeof(status));
	if (ran_out_of_memory(in))
		snprintf(text, size,
			 "out of memory: it had more than its limit of %lld MB (%s); raise "
			 "resources.memory_mb, or find out what it keeps",
			 (long long)in->spec->manifest->resources.memory_mb, status);
	else if (*in->cause)
		snprintf(text, size, "%s (%s)", in->cause, status);
	else if (!in->asked && in->status.signal == SIGKILL && kills > in->plugin->host->oom_kills)
		snprintf(text, size,
			 "%s, probably by the kernel because memory was short: it has just killed "
			 "%llu processes of this machine for that; give it more, or limit who "
			 "takes it (resources.memory_mb)",
			 status, (unsigned long long)(kills - in->plugin->host->oom_kills));
	else
		snprintf(text, size, "%s", status);
}

bool
death_may_be_by_request(const struct instance *in)
{
	if (in->trace)
		return !backtrace_is_from_outside(in->trace);
	return in->dying || in->hang.ended;
}

bool
death_is_by_request(const struct instance *in)
{
	if (in->asked || in->declared)
		return false;
	if (in->trace && !backtrace_is_from_outside(in->trace))
		return true;
	return in->hang.ended || (in->exited && ran_out_of_memory(in));
}

bool
death_is_by_handlers(const struct instance *in)
{
	bool faulted = in->trace && !backtrace_is_from_outside(in->trace);

	return in->hang.ended && in->hang.kind != HANG_SILENT && !faulted;
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

static uint64_t
calls_on_channels(const struct instance *in)
{
	struct data_stats stats = {0};
	struct plug_vitals vitals;

	if (in->channel_count && instance_vitals(in, &vitals))
		data_stats_add(&stats, &vitals);
	return data_stats_in_flight(&stats);
}

void
death_note_calls(struct instance *in)
{
	struct host *host = in->plugin->host;
	struct last_calls *last = in->last_calls ? NULL : calloc(1, sizeof(*last));

	if (!last)
		return;
	last->count = host->ops->describe_calls(host->ops_user, in, last->calls, CRASH_CALLS);
	last->on_channels = calls_on_channels(in);
	in->last_calls = last;
}

/* What it had when it ended, as far as that is known: of its own where the kernel mixes it with
 * what plugd had at the spawn. */
static void
report_memory(const struct instance *in, struct crash *crash)
{
	struct rusage own = {0};
	uint64_t now, peak = 0;

	crash->rss_bytes = in->rss_bytes;
	crash->rss_age_ms = in->rss_bytes ? clock_mono_ms() - in->rss_ms : 0;
	crash->peak_bytes = in->peak_bytes;
	getrusage(RUSAGE_SELF, &own);
	if (in->status.max_rss_bytes > (uint64_t)own.ru_maxrss * 1024u &&
	    in->status.max_rss_bytes > crash->peak_bytes)
		crash->peak_bytes = in->status.max_rss_bytes;
	if (in->cgroup.fd >= 0 && cgroup_memory(in->cgroup.fd, &now, &peak) && peak)
		crash->peak_bytes = peak;
}

static void
report_core(const struct instance *in, struct crash *crash)
{
	const struct sandbox *sandbox = &in->confine.sandbox;
	const struct core_of of = {
		.pid = in->pid,
		.uid = sandbox->set_user ? sandbox->uid : geteuid(),
		.gid = sandbox->set_user ? sandbox->gid : getegid(),
		.status = in->status,
		.folder = in->spec->folder,
		.started = time(NULL) - (time_t)((clock_mono_ms() - in->spawned_ms) / 1000u) - 1,
	};

	core_find(&of, crash->core_path, crash->core_note);
}

struct crash *
death_report(struct instance *in, const char *reason)
{
	static const struct last_calls none;
	const struct last_calls *last = in->last_calls ? in->last_calls : &none;
	struct plugin *plugin = in->plugin;
	struct host *host = plugin->host;
	struct crash *crash = crashes_add(&plugin->crashes);

	plugin->crashes_seen++;
	events_add(&host->events, plugin_name(plugin), in->declared ? "failed" : "crashed",
		   in->generation, in->pid, "%s after %.1f s, %llu calls in flight", reason,
		   (double)(clock_mono_ms() - in->spawned_ms) / 1e3,
		   (unsigned long long)(last->count + last->on_channels));
	if (!crash)
		return NULL;
	crash->time_ms = clock_wall_ms();
	crash->pid = in->pid;
	crash->generation = in->generation;
	crash->status = in->status;
	crash->uptime_ms = clock_mono_ms() - in->spawned_ms;
	report_memory(in, crash);
	report_core(in, crash);
	crash->trace = in->trace;
	in->trace = NULL;
	snprintf(crash->state, sizeof(crash->state), "%s", in->ready_ms ? "ready" : "starting");
	snprintf(crash->reason, sizeof(crash->reason), "%s", reason);
	memcpy(crash->calls, last->calls, sizeof(crash->calls));
	crash->call_count = last->count;
	crash->channel_calls = last->on_channels;
	quote_log(plugin, crash);
	return crash;
}
