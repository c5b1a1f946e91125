#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "format.h"
#include "out.h"
#include "plugin_json.h"
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
	json_object_set_new(json, "core_dumped", json_boolean(crash->core_dumped));
	json_object_set_new(json, "reason", out_json_text(plug_str(crash->reason)));
	json_object_set_new(json, "state", out_json_text(plug_str(crash->state)));
	json_object_set_new(json, "uptime_ms", number_json(crash->uptime_ms));
	json_object_set_new(json, "rss_bytes", number_json(crash->rss_bytes));
	json_object_set_new(json, "calls", calls_json(crash->calls, crash->n_calls));
	json_object_set_new(json, "last_log", strings_json(crash->last_log, crash->n_last_log));
	json_object_set_new(json, "decision", out_json_text(plug_str(crash->decision)));
	json_object_set_new(json, "retry_in_ms", number_json(crash->retry_in_ms));
	return json;
}

static void
show_crash(const Plug__Crash *crash, bool first)
{
	char when[FORMAT_BYTES], uptime[FORMAT_BYTES], size[FORMAT_BYTES], age[FORMAT_BYTES];

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
	out_field("process", "%" PRId64 ", generation %" PRIu32 ", %s, lived %s%s%s%s", crash->pid,
		  crash->generation, plug_str(crash->state),
		  format_duration(crash->uptime_ms, uptime), crash->rss_bytes ? ", " : "",
		  crash->rss_bytes ? format_size(crash->rss_bytes, size) : "",
		  crash->core_dumped ? ", core dumped" : "");
	for (size_t i = 0; i < crash->n_calls; i++)
		out_field(i ? "" : "executing", "#%" PRIu64 " %s for %s", crash->calls[i]->id,
			  plug_str(crash->calls[i]->method),
			  format_duration(crash->calls[i]->age_ms, age));
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
		"signal or exit status, how long the process lived, what it was executing, its "
		"memory, "
		"the last lines it wrote, and what plugd did next.",
	.examples =
		(const struct verb_example[]){
			{"plugctl crashes gpt2", "of one plugin"},
			{NULL},
		},
	.complete = COMPLETE_PLUGIN,
	.max_args = 1,
	.run = run,
};
