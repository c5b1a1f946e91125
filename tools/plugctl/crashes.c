#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "format.h"
#include "out.h"
#include "plugin_json.h"
#include "symbols.h"
#include "verb.h"

struct reader {
	struct ctl *ctl;
	size_t count;
	json_t *crashes;
};

static json_t *
calls_json(Plug__CallInFlight *const *calls, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(array, call_in_flight_json(calls[i]));
	return array;
}

/* When its program was started: a file that is newer is not what ran. */
static uint64_t
began_ms(const Plug__Crash *crash)
{
	return crash->time_ms > crash->uptime_ms ? crash->time_ms - crash->uptime_ms : 0;
}

static bool
find_function(const Plug__Crash *crash, const Plug__Frame *frame, char text[SYMBOL_BYTES])
{
	return *plug_str(frame->module) &&
	       symbols_find(frame->module, frame->offset, began_ms(crash), text);
}

static json_t *
backtrace_json(const Plug__Crash *crash)
{
	json_t *array = json_array();

	for (size_t i = 0; i < crash->n_backtrace; i++) {
		const Plug__Frame *frame = crash->backtrace[i];
		char name[SYMBOL_BYTES] = "";

		find_function(crash, frame, name);
		json_array_append_new(array, json_pack("{s:o, s:o, s:o}", "module",
						       out_json_text(plug_str(frame->module)),
						       "offset", number_json(frame->offset),
						       "function", out_json_text(name)));
	}
	return array;
}

static json_t *
crash_json(const Plug__Crash *crash)
{
	json_t *json = json_object();

	json_object_set_new(json, "plugin", out_json_text(plug_str(crash->plugin)));
	json_object_set_new(json, "time_ms", number_json(crash->time_ms));
	json_object_set_new(json, "pid", json_integer(crash->pid));
	json_object_set_new(json, "generation", json_integer(crash->generation));
	json_object_set_new(json, "exit_code", json_integer(crash->exit_code));
	json_object_set_new(json, "signal", json_integer(crash->signal));
	json_object_set_new(json, "signal_name", out_json_text(plug_str(crash->signal_name)));
	json_object_set_new(json, "origin", out_json_text(plug_str(crash->origin)));
	json_object_set_new(json, "core_dumped", json_boolean(crash->core_dumped));
	json_object_set_new(json, "core_file", out_json_text(plug_str(crash->core_file)));
	json_object_set_new(json, "core_note", out_json_text(plug_str(crash->core_note)));
	json_object_set_new(json, "thread", json_integer(crash->thread));
	json_object_set_new(json, "thread_name", out_json_text(plug_str(crash->thread_name)));
	json_object_set_new(json, "backtrace", backtrace_json(crash));
	json_object_set_new(json, "reason", out_json_text(plug_str(crash->reason)));
	json_object_set_new(json, "state", out_json_text(plug_str(crash->state)));
	json_object_set_new(json, "uptime_ms", number_json(crash->uptime_ms));
	json_object_set_new(json, "rss_bytes", number_json(crash->rss_bytes));
	json_object_set_new(json, "rss_age_ms", number_json(crash->rss_age_ms));
	json_object_set_new(json, "peak_rss_bytes", number_json(crash->peak_rss_bytes));
	json_object_set_new(json, "calls", calls_json(crash->calls, crash->n_calls));
	json_object_set_new(json, "channel_calls", number_json(crash->channel_calls));
	json_object_set_new(json, "last_log", strings_json(crash->last_log, crash->n_last_log));
	json_object_set_new(json, "decision", out_json_text(plug_str(crash->decision)));
	json_object_set_new(json, "retry_in_ms", number_json(crash->retry_in_ms));
	return json;
}

static void
show_memory(const Plug__Crash *crash)
{
	char now[FORMAT_BYTES], age[FORMAT_BYTES], peak[FORMAT_BYTES];

	if (crash->rss_bytes)
		out_field("memory", "%s, %s before its end%s%s", format_size(crash->rss_bytes, now),
			  format_duration(crash->rss_age_ms, age),
			  crash->peak_rss_bytes ? "; at most " : "",
			  crash->peak_rss_bytes ? format_size(crash->peak_rss_bytes, peak) : "");
	else if (crash->peak_rss_bytes)
		out_field("memory", "at most %s", format_size(crash->peak_rss_bytes, peak));
}

static void
show_backtrace(const Plug__Crash *crash)
{
	for (size_t i = 0; i < crash->n_backtrace; i++) {
		const Plug__Frame *frame = crash->backtrace[i];
		char name[SYMBOL_BYTES] = "?";

		find_function(crash, frame, name);
		out_field(i ? "" : "backtrace", "%s  %s(+0x%" PRIx64 ")", name,
			  plug_str(frame->module), frame->offset);
	}
}

static void
show_fault(const Plug__Crash *crash)
{
	if (*plug_str(crash->origin))
		out_field("signal", "%s, in thread %" PRId32 " (%s)", crash->origin, crash->thread,
			  plug_str(crash->thread_name));
	if (*plug_str(crash->core_file) || *plug_str(crash->core_note))
		out_field("core", "%s",
			  *plug_str(crash->core_file) ? crash->core_file : crash->core_note);
	show_backtrace(crash);
}

static void
show_calls(const Plug__Crash *crash)
{
	char age[FORMAT_BYTES];

	for (size_t i = 0; i < crash->n_calls; i++)
		out_field(i ? "" : "in flight", "#%" PRIu64 " %s for %s%s", crash->calls[i]->id,
			  plug_str(crash->calls[i]->method),
			  format_duration(crash->calls[i]->age_ms, age),
			  crash->calls[i]->hung         ? ", past its deadline"
			  : !crash->calls[i]->executing ? ", waiting for a thread"
							: "");
	if (crash->channel_calls)
		out_field(crash->n_calls ? "" : "in flight", "%s%" PRIu64 " through channels",
			  crash->n_calls ? "and " : "", crash->channel_calls);
}

static void
show_crash(const Plug__Crash *crash, bool first)
{
	char when[FORMAT_BYTES], uptime[FORMAT_BYTES];

	if (!first)
		putchar('\n');
	printf("%s ", format_time(crash->time_ms, when));
	out_start(OUT_BOLD);
	out_text(plug_str(crash->plugin), strlen(plug_str(crash->plugin)));
	out_end(OUT_BOLD);
	fputs(": ", stdout);
	out_start(OUT_RED);
	out_text(plug_str(crash->reason), strlen(plug_str(crash->reason)));
	out_end(OUT_RED);
	putchar('\n');
	out_field("process", "%" PRId64 ", generation %" PRIu32 ", %s, lived %s", crash->pid,
		  crash->generation, plug_str(crash->state),
		  format_duration(crash->uptime_ms, uptime));
	show_memory(crash);
	show_fault(crash);
	show_calls(crash);
	for (size_t i = 0; i < crash->n_last_log; i++)
		out_field(i ? "" : "last output", "%s", plug_str(crash->last_log[i]));
	if (*plug_str(crash->decision))
		out_field("then", "%s", crash->decision);
}

static bool
on_crashes(const Plug__Response *response, void *user)
{
	struct reader *reader = user;
	const Plug__Crashes *crashes = response->crashes;

	if (response->outcome != PLUG_OK || response->body_case != PLUG__RESPONSE__BODY_CRASHES)
		return true;
	for (size_t i = 0; i < crashes->n_crashes; i++) {
		if (reader->ctl->json)
			json_array_append_new(reader->crashes, crash_json(crashes->crashes[i]));
		else
			show_crash(crashes->crashes[i], reader->count == 0);
		reader->count++;
	}
	return true;
}

static int
run(struct ctl *ctl, const struct args *args)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__CrashesRequest crashes = PLUG__CRASHES_REQUEST__INIT;
	struct reader reader = {.ctl = ctl};
	const char *name = args->word_count ? args->words[0] : NULL;
	int status;

	request.body_case = PLUG__REQUEST__BODY_CRASHES;
	request.crashes = &crashes;
	if (name)
		crashes.name = (char *)name;
	reader.crashes = json_array();
	status = ctl_request(ctl, &request, name, ctl_timeout(ctl, CTL_ANSWER_MS), on_crashes,
			     &reader);
	if (status == CTL_DONE && ctl->json)
		out_json(json_pack("{s:O}", "crashes", reader.crashes));
	else if (status == CTL_DONE && reader.count == 0)
		puts("no crashes");
	json_decref(reader.crashes);
	return status;
}

const struct verb verb_crashes = {
	.name = "crashes",
	.args = "[NAME]",
	.summary = "show why processes died",
	.help = "Prints a report for every death that plugd remembers, of one plugin or of all: "
		"the "
		"signal or exit status, how long the process lived, its memory, its core, where it "
		"was (where the plugin is built with libplug), the calls in flight, the last lines "
		"that it wrote, and what plugd did next.  Functions are named from the symbol "
		"tables "
		"of the files as they are; \"addr2line -e FILE OFFSET\" knows the lines.",
	.examples =
		(const struct verb_example[]){
			{"plugctl crashes gpt2", "of one plugin"},
			{NULL},
		},
	.complete = COMPLETE_PLUGIN,
	.max_args = 1,
	.paged = true,
	.run = run,
};
