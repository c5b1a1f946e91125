#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "data_plane.h"
#include "format.h"
#include "out.h"
#include "plugin_json.h"
#include "table.h"
#include "verb.h"
#include "watch.h"

struct reader {
	struct ctl *ctl;
	bool one; /* plugin was named */
	struct table *table;
	json_t *plugins;
	size_t count;
};

/* ---- JSON ---- */

struct number {
	const char *key;
	uint64_t value;
};

static void
set_numbers(json_t *json, const struct number *numbers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		json_object_set_new(json, numbers[i].key, number_json(numbers[i].value));
}

static json_t *
method_json(const Plug__MethodStats *method)
{
	const struct number numbers[] = {
		{"calls", method->calls},         {"ok", method->ok},
		{"errors", method->errors},       {"timeouts", method->timeouts},
		{"cancelled", method->cancelled}, {"gone", method->gone},
		{"p50_us", method->p50_us},       {"p90_us", method->p90_us},
		{"p99_us", method->p99_us},       {"max_us", method->max_us},
		{"sum_us", method->sum_us},
	};
	json_t *json = json_pack("{s:o}", "method", out_json_text(plug_str(method->method)));

	json_t *took = json_array();

	set_numbers(json, numbers, sizeof(numbers) / sizeof(*numbers));
	for (size_t i = 0; i < method->n_took; i++)
		json_array_append_new(took, number_json(method->took[i]));
	json_object_set_new(json, "took", took);
	return json;
}

static json_t *
took_json(const Plug__PluginStats *stats)
{
	json_t *took = json_array();

	for (size_t i = 0; i < stats->n_took; i++)
		json_array_append_new(took, json_pack("{s:o, s:o}", "below_ns",
						      number_json(stats->took[i]->below_ns),
						      "calls", number_json(stats->took[i]->calls)));
	return took;
}

json_t *
stats_json(const Plug__PluginStats *stats)
{
	const struct number numbers[] = {
		{"calls", stats->calls},
		{"ok", stats->ok},
		{"errors", stats->errors},
		{"in_flight", stats->in_flight},
		{"queued", stats->queued},
		{"restarts", stats->restarts},
		{"crashes", stats->crashes},
		{"start_ms", stats->start_ms},
		{"last_used_ms", stats->last_used_ms},
		{"rss_bytes", stats->rss_bytes},
		{"cpu_ms", stats->cpu_ms},
		{"log_lines", stats->log_lines},
		{"log_dropped", stats->log_dropped},
		{"session_resumes", stats->session_resumes},
		{"cpu_all_ms", stats->cpu_all_ms},
		{"rss_all_bytes", stats->rss_all_bytes},
		{"processes", stats->processes},
		{"cpu_total_ms", stats->cpu_total_ms},
	};
	json_t *json = json_pack("{s:o}", "name", out_json_text(plug_str(stats->name)));
	json_t *methods = json_array();

	set_numbers(json, numbers, sizeof(numbers) / sizeof(*numbers));
	json_object_set_new(json, "last_error", out_json_text(plug_str(stats->last_error)));
	json_object_set_new(json, "data_plane", data_plane_json(stats->data_plane));
	for (size_t i = 0; i < stats->n_methods; i++)
		json_array_append_new(methods, method_json(stats->methods[i]));
	json_object_set_new(json, "methods", methods);
	json_object_set_new(json, "took", took_json(stats));
	return json;
}

/* ---- all plugins, a line each ---- */

static void
add_row(struct table *table, const Plug__PluginStats *stats, uint64_t now_ms)
{
	char used[FORMAT_BYTES], size[FORMAT_BYTES], cpu[FORMAT_BYTES];

	table_cell(table, OUT_BOLD, "%s", plug_str(stats->name));
	table_cell(table, OUT_PLAIN, "%" PRIu64, stats->calls);
	table_cell(table, stats->errors ? OUT_YELLOW : OUT_PLAIN, "%" PRIu64, stats->errors);
	table_cell(table, OUT_PLAIN, "%" PRIu64, stats->in_flight);
	table_cell(table, OUT_PLAIN, "%" PRIu64, stats->queued);
	table_cell(table, OUT_PLAIN, "%" PRIu64, stats->data_plane ? stats->data_plane->calls : 0);
	table_cell(table, OUT_PLAIN, "%s", format_ago(stats->last_used_ms, now_ms, used));
	table_cell(table, stats->crashes ? OUT_RED : OUT_PLAIN, "%" PRIu64, stats->crashes);
	table_cell(table, OUT_PLAIN, "%s",
		   stats->rss_bytes ? format_size(stats->rss_bytes, size) : "-");
	table_cell(table, OUT_PLAIN, "%s", format_duration(stats->cpu_ms, cpu));
	table_row(table);
}

/* ---- one plugin ---- */

static void
show_methods(const Plug__PluginStats *stats)
{
	static const char *const heads[] = {"  METHOD",  ">CALLS",      "?>OK",   ">ERRORS",
					    ">TIMEOUTS", "?>CANCELLED", "?>GONE", ">P50",
					    "?>P90",     ">P99",        ">MAX",   NULL};
	struct table *table = table_new(heads);
	char text[FORMAT_BYTES];

	for (size_t i = 0; table && i < stats->n_methods; i++) {
		const Plug__MethodStats *m = stats->methods[i];
		const uint64_t counts[] = {m->calls,    m->ok,        m->errors,
					   m->timeouts, m->cancelled, m->gone};
		const uint64_t times[] = {m->p50_us, m->p90_us, m->p99_us, m->max_us};

		table_cell(table, OUT_BOLD, "  %s", plug_str(m->method));
		for (size_t c = 0; c < sizeof(counts) / sizeof(*counts); c++)
			table_cell(table, OUT_PLAIN, "%" PRIu64, counts[c]);
		for (size_t t = 0; t < sizeof(times) / sizeof(*times); t++)
			table_cell(table, OUT_PLAIN, "%s", format_latency(times[t], text));
		table_row(table);
	}
	if (table && stats->n_methods) {
		putchar('\n');
		table_print(table);
	}
	table_free(table);
}

static void
show_one(const Plug__PluginStats *stats)
{
	char text[FORMAT_BYTES], cpu[FORMAT_BYTES];

	out_start(OUT_BOLD);
	out_line(plug_str(stats->name));
	out_end(OUT_BOLD);
	out_field("calls", "%" PRIu64 ": %" PRIu64 " ok, %" PRIu64 " errors", stats->calls,
		  stats->ok, stats->errors);
	out_field("now", "%" PRIu64 " in flight, %" PRIu64 " waiting", stats->in_flight,
		  stats->queued);
	out_field("last used", "%s", format_ago(stats->last_used_ms, format_now_ms(), text));
	if (*plug_str(stats->last_error))
		out_field("last error", "%s", stats->last_error);
	out_field("deaths", "%" PRIu64 " crashes, %" PRIu64 " restarts", stats->crashes,
		  stats->restarts);
	out_field("started in", "%s", format_duration(stats->start_ms, text));
	out_field("memory", "%s, processor time %s", format_size(stats->rss_bytes, text),
		  format_duration(stats->cpu_ms, cpu));
	out_field("log", "%" PRIu64 " lines, %" PRIu64 " dropped", stats->log_lines,
		  stats->log_dropped);
	out_field("session", "resumed %" PRIu64 " times", stats->session_resumes);
	data_plane_show(stats->data_plane, true);
	show_methods(stats);
}

/* ---- the verb ---- */

static bool
on_stats(const Plug__Response *response, void *user)
{
	struct reader *reader = user;
	uint64_t now = format_now_ms();

	if (response->outcome != PLUG_OK || response->body_case != PLUG__RESPONSE__BODY_STATS)
		return true;
	for (size_t i = 0; i < response->stats->n_plugins; i++) {
		const Plug__PluginStats *stats = response->stats->plugins[i];

		reader->count++;
		if (reader->ctl->json)
			json_array_append_new(reader->plugins, stats_json(stats));
		else if (reader->one)
			show_one(stats);
		else
			add_row(reader->table, stats, now);
	}
	return true;
}

static int
run(struct ctl *ctl, const struct args *args)
{
	static const char *const heads[] = {
		"NAME",       ">CALLS",   ">ERRORS", "?>IN FLIGHT", "?>WAITING", "?>BY CHANNEL",
		">LAST USED", ">CRASHES", ">MEMORY", ">CPU",        NULL};
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__StatsRequest stats = PLUG__STATS_REQUEST__INIT;
	struct reader reader = {.ctl = ctl, .one = args->word_count == 1};
	const char *name = reader.one ? args->words[0] : NULL;
	int status;

	request.body_case = PLUG__REQUEST__BODY_STATS;
	request.stats = &stats;
	if (name)
		stats.name = (char *)name;
	reader.table = table_new(heads);
	reader.plugins = json_array();
	status = ctl_request(ctl, &request, name, ctl_timeout(ctl, CTL_ANSWER_MS), on_stats,
			     &reader);
	if (status == CTL_DONE && ctl->json)
		out_json(json_pack("{s:O}", "plugins", reader.plugins));
	else if (status == CTL_DONE && !reader.one && reader.count)
		table_print(reader.table);
	table_free(reader.table);
	json_decref(reader.plugins);
	return status;
}

const struct verb verb_stats = {
	.name = "stats",
	.args = "[NAME]",
	.summary = "show calls, errors, latencies and resources",
	.help = "Without a NAME a line for each plugin; with one all its counters, and for each "
		"method "
		"the outcomes and latencies of its calls through plugd.",
	.options = (const struct option_spec[]){WATCH_OPTION, {NULL}},
	.examples =
		(const struct verb_example[]){
			{"plugctl stats echo", "latency percentiles of each method"},
			{NULL},
		},
	.complete = COMPLETE_PLUGIN,
	.max_args = 1,
	.paged = true,
	.run = run,
};
