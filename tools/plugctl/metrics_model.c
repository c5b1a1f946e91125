/*
 * The families.  A name is a promise to whoever has made a dashboard of it: append, never rename.
 *
 * Everything but histograms and what has labels of its own is a row of the tables below.
 */
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "core/hang.h"
#include "core/lifecycle.h"
#include "metrics.h"
#include "out.h"

/* Buckets of durations: 64 µs, each twice the one before, up to 134 s. */
#define FIRST_DOUBLING 6
#define LAST_DOUBLING  27

#define MS             1e3 /* to seconds */
#define US             1e6
#define NS             1e9

/* ---- families and samples ---- */

static json_t *
add_family(json_t *families, const char *name, const char *type, const char *help)
{
	json_t *samples = json_array();

	json_array_append_new(families, json_pack("{s:s, s:s, s:s, s:o}", "name", name, "type",
						  type, "help", help, "samples", samples));
	return samples;
}

/* Takes `labels` and `value`. */
static void
add_sample(json_t *samples, const char *name, json_t *labels, json_t *value)
{
	json_array_append_new(samples, json_pack("{s:s, s:o, s:o}", "name", name, "labels", labels,
						 "value", value));
}

static json_t *
number(uint64_t value)
{
	return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

/* In the unit that is `per` of the value's; 0: in the value's own. */
static json_t *
scaled(uint64_t value, double per)
{
	return per > 0 ? json_real((double)value / per) : number(value);
}

static json_t *
labels_of(const json_t *plugin)
{
	return json_pack("{s:o}", "plugin", out_json_text(ask_text(plugin, "name")));
}

static json_t *
labels_with(const json_t *plugin, const char *key, const char *value)
{
	json_t *labels = labels_of(plugin);

	json_object_set_new(labels, key, out_json_text(value));
	return labels;
}

/* ---- numbers ---- */

struct row {
	const char *key; /* of the document; NULL ends the table */
	const char *name, *type, *help;
	double per;      /* 0: as it is */
	bool leave_zero; /* 0 is "never": then there is no sample */
};

static const struct row of_plugd[] = {
	{"uptime_ms", "plugd_uptime_seconds", "gauge", "Time since plugd was started.", MS},
	{"rss_bytes", "plugd_resident_memory_bytes", "gauge", "Resident memory of plugd itself."},
	{"cpu_ms", "plugd_cpu_seconds_total", "counter", "Processor time of plugd itself.", MS},
	{"clients", "plugd_clients", "gauge", "Client connections."},
	{"calls", "plugd_calls_total", "counter",
	 "Calls that came to plugd; those of channels do not."},
	{"upgrades", "plugd_upgrades_total", "counter", "Upgrades of plugd in place."},
	{"dropped_log_lines", "plugd_log_lines_dropped_total", "counter",
	 "Lines of plugd's own log that stderr did not take."},
	{NULL},
};

static const struct row of_lines[] = {
	{"instances", "plugd_plugin_instances", "gauge", "Instances that are wanted."},
	{"ready", "plugd_plugin_instances_ready", "gauge", "Instances that take calls."},
	{"standby", "plugd_plugin_standby", "gauge", "Spares that are wanted."},
	{"standby_ready", "plugd_plugin_standby_ready", "gauge", "Spares that are ready."},
	{"generation", "plugd_plugin_starts_total", "counter",
	 "Processes that were started for it."},
	{"uptime_ms", "plugd_plugin_uptime_seconds", "gauge",
	 "Age of its process, or of the one that stands for several; none: it has no process.", MS,
	 true},
	{NULL},
};

static const struct row of_stats[] = {
	{"restarts", "plugd_plugin_restarts_total", "counter",
	 "Processes that were started in the place of one that had ended."},
	{"crashes", "plugd_plugin_crashes_total", "counter", "Processes that died unasked."},
	{"start_ms", "plugd_plugin_start_duration_seconds", "gauge",
	 "From the spawn to READY, of the last process that became ready; none: there was none.",
	 MS, true},
	{"last_used_ms", "plugd_plugin_last_used_timestamp_seconds", "gauge",
	 "When a call through plugd last ended, since the epoch; none: never.", MS, true},
	{"processes", "plugd_plugin_processes", "gauge",
	 "Processes that plugd started for it and that live."},
	{"rss_all_bytes", "plugd_plugin_resident_memory_bytes", "gauge",
	 "Resident memory of these processes."},
	{"cpu_total_ms", "plugd_plugin_cpu_seconds_total", "counter",
	 "Processor time of these processes and of those that have ended.", MS},
	{"in_flight", "plugd_plugin_calls_in_flight", "gauge",
	 "Calls through plugd that its processes have."},
	{"queued", "plugd_plugin_calls_waiting", "gauge", "Calls that wait for a process."},
	{"log_lines", "plugd_plugin_log_lines_total", "counter", "Lines that it has printed."},
	{"log_dropped", "plugd_plugin_log_lines_dropped_total", "counter",
	 "Lines of it that its log file did not take."},
	{NULL},
};

static const struct row of_channels[] = {
	{"channels", "plugd_plugin_channels", "gauge", "Channels that are open."},
	{"opened", "plugd_plugin_channels_opened_total", "counter", "Channels that were opened."},
	{"violations", "plugd_plugin_channel_violations_total", "counter",
	 "Channels that were closed because the caller broke the rules."},
	{"tensor_faults", "plugd_plugin_channel_tensor_faults_total", "counter",
	 "Mistakes of callers with tensors."},
	{"in_flight", "plugd_plugin_channel_calls_in_flight", "gauge",
	 "Calls through channels that its processes have, as they say."},
	{NULL},
};

static void
add_rows_of(json_t *families, const struct row *rows, const json_t *plugins, const char *inner)
{
	const json_t *plugin;
	json_t *samples;
	uint64_t value;
	size_t i;

	for (const struct row *row = rows; row->key; row++) {
		samples = add_family(families, row->name, row->type, row->help);
		json_array_foreach(plugins, i, plugin)
		{
			value = ask_number(inner ? json_object_get(plugin, inner) : plugin,
					   row->key);
			if (value || !row->leave_zero)
				add_sample(samples, row->name, labels_of(plugin),
					   scaled(value, row->per));
		}
	}
}

/* ---- plugd ---- */

static const char *const states[] = {
#define LC_WORD(symbol, word, text)   word,
#define HANG_WORD(symbol, word, text) word,
	LC_SLOT_STATE_MAP(LC_WORD) LC_PROCESS_STATE_MAP(LC_WORD)
		HANG_KIND_MAP(HANG_WORD) "disabled",
};

/* {word: number of plugins}, every word once, also those that no plugin is in.  A plugd that is
 * newer may have others. */
static json_t *
count_states(const json_t *lines)
{
	json_t *counts = json_object();
	const json_t *line;
	const char *state;
	size_t i;

	for (size_t s = 0; s < sizeof(states) / sizeof(*states); s++)
		json_object_set_new(counts, states[s], json_integer(0));
	json_array_foreach(lines, i, line)
	{
		state = ask_text(line, "state");
		json_object_set_new(counts, state, number(ask_number(counts, state) + 1));
	}
	return counts;
}

static void
add_plugd(json_t *families, const struct metrics_source *source, const json_t *counts)
{
	const json_t *daemon = source->daemon;
	json_t *samples;
	const char *state;

	samples = add_family(families, "plugd_info", "gauge", "1, with plugd's version.");
	add_sample(samples, "plugd_info",
		   json_pack("{s:o}", "version", out_json_text(ask_text(daemon, "version"))),
		   json_integer(1));
	for (const struct row *row = of_plugd; row->key; row++)
		add_sample(add_family(families, row->name, row->type, row->help), row->name,
			   json_object(), scaled(ask_number(daemon, row->key), row->per));
	samples = add_family(
		families, "plugd_config_rejected", "gauge",
		"1 when plugd.yaml was re-read and refused: the one before is in force.");
	add_sample(samples, "plugd_config_rejected", json_object(),
		   json_integer(*ask_text(daemon, "config_error") != '\0'));
	samples = add_family(families, "plugd_plugins", "gauge", "Plugins in each state.");
	for (void *at = json_object_iter((json_t *)counts); at;
	     at = json_object_iter_next((json_t *)counts, at)) {
		state = json_object_iter_key(at);
		add_sample(samples, "plugd_plugins", json_pack("{s:s}", "state", state),
			   number(ask_number(counts, state)));
	}
	samples = add_family(families, "plugd_plugins_unusable", "gauge",
			     "Folders and files that look like plugins and cannot be used.");
	add_sample(samples, "plugd_plugins_unusable", json_object(), number(source->unusable));
}

/* ---- plugins ---- */

static void
add_info(json_t *families, const json_t *lines)
{
	json_t *samples, *labels;
	const json_t *line;
	size_t i;

	samples = add_family(families, "plugd_plugin_info", "gauge",
			     "1, with the plugin's version and type.");
	json_array_foreach(lines, i, line)
	{
		labels = labels_with(line, "version", ask_text(line, "version"));
		json_object_set_new(labels, "type", out_json_text(ask_text(line, "type")));
		add_sample(samples, "plugd_plugin_info", labels, json_integer(1));
	}
}

/* 1 for the state that it is in, 0 for every other, so that a rule about one finds it always. */
static void
add_states(json_t *families, const json_t *lines, const json_t *counts)
{
	json_t *samples = add_family(families, "plugd_plugin_state", "gauge",
				     "1 for the state that the plugin is in, 0 for the others.");
	const json_t *line;
	const char *state;
	size_t i;

	json_array_foreach(lines, i, line)
	{
		for (void *at = json_object_iter((json_t *)counts); at;
		     at = json_object_iter_next((json_t *)counts, at)) {
			state = json_object_iter_key(at);
			add_sample(samples, "plugd_plugin_state", labels_with(line, "state", state),
				   json_integer(strcmp(state, ask_text(line, "state")) == 0));
		}
	}
}

static void
add_outcome(json_t *samples, const char *name, const json_t *plugin, const json_t *method,
	    const char *outcome, uint64_t calls)
{
	json_t *labels = labels_of(plugin);

	if (method)
		json_object_set_new(labels, "method", out_json_text(ask_text(method, "method")));
	json_object_set_new(labels, "outcome", json_string(outcome));
	add_sample(samples, name, labels, number(calls));
}

static uint64_t
less(uint64_t all, uint64_t part)
{
	return all > part ? all - part : 0;
}

static void
add_calls(json_t *families, const json_t *stats)
{
	static const char name[] = "plugd_plugin_calls_total";
	json_t *samples = add_family(families, name, "counter",
				     "Calls through plugd that have ended, of methods that it does "
				     "not have, too.");
	const json_t *plugin;
	size_t i;

	json_array_foreach(stats, i, plugin)
	{
		add_outcome(samples, name, plugin, NULL, "ok", ask_number(plugin, "ok"));
		add_outcome(samples, name, plugin, NULL, "error", ask_number(plugin, "errors"));
	}
}

static void
add_last_errors(json_t *families, const json_t *stats)
{
	static const char name[] = "plugd_plugin_last_error_info";
	json_t *samples = add_family(families, name, "gauge",
				     "1, with the last error of a call through plugd; none: there "
				     "was none.");
	const json_t *plugin;
	size_t i;

	json_array_foreach(stats, i, plugin)
	{
		if (*ask_text(plugin, "last_error"))
			add_sample(samples, name,
				   labels_with(plugin, "error", ask_text(plugin, "last_error")),
				   json_integer(1));
	}
}

/* ---- methods ---- */

static const char method_calls[] = "plugd_method_calls_total";

static void
add_method_calls(json_t *samples, const json_t *plugin, const json_t *method)
{
	static const struct {
		const char *key, *outcome;
	} parts[] = {{"timeouts", "timeout"}, {"cancelled", "cancelled"}, {"gone", "gone"}};
	uint64_t others = ask_number(method, "errors");

	add_outcome(samples, method_calls, plugin, method, "ok", ask_number(method, "ok"));
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		add_outcome(samples, method_calls, plugin, method, parts[i].outcome,
			    ask_number(method, parts[i].key));
		others = less(others, ask_number(method, parts[i].key));
	}
	add_outcome(samples, method_calls, plugin, method, "error", others);
}

static void
add_bucket(json_t *samples, const json_t *labels, const char *le, uint64_t calls)
{
	json_t *with = json_copy((json_t *)labels);

	json_object_set_new(with, "le", json_string(le));
	add_sample(samples, "plugd_method_duration_seconds_bucket", with, number(calls));
}

static void
add_durations(json_t *samples, const json_t *plugin, const json_t *method)
{
	json_t *labels = labels_with(plugin, "method", ask_text(method, "method"));
	const json_t *took = json_object_get(method, "took");
	size_t count = json_array_size(took);
	uint64_t calls = 0;
	char le[32];

	for (size_t i = 0; i < count || i <= LAST_DOUBLING; i++) {
		calls += (uint64_t)json_integer_value(json_array_get(took, i));
		if (i < FIRST_DOUBLING || i > LAST_DOUBLING)
			continue;
		snprintf(le, sizeof(le), "%.15g", (double)(UINT64_C(1) << i) / US);
		add_bucket(samples, labels, le, calls);
	}
	add_bucket(samples, labels, "+Inf", calls);
	add_sample(samples, "plugd_method_duration_seconds_sum", json_copy(labels),
		   scaled(ask_number(method, "sum_us"), US));
	add_sample(samples, "plugd_method_duration_seconds_count", labels, number(calls));
}

static void
for_methods(json_t *samples, const json_t *stats,
	    void (*add)(json_t *samples, const json_t *plugin, const json_t *method))
{
	const json_t *plugin, *method;
	size_t i, k;

	json_array_foreach(stats, i, plugin)
	{
		json_array_foreach(json_object_get(plugin, "methods"), k, method)
		{
			add(samples, plugin, method);
		}
	}
}

static void
add_methods(json_t *families, const json_t *stats)
{
	for_methods(add_family(families, method_calls, "counter",
			       "Calls through plugd that have ended, by what came of them."),
		    stats, add_method_calls);
	for_methods(add_family(families, "plugd_method_duration_seconds", "histogram",
			       "How long calls through plugd took, waiting included."),
		    stats, add_durations);
}

/* ---- channels ---- */

static void
add_channel_calls(json_t *families, const json_t *stats)
{
	static const char name[] = "plugd_plugin_channel_calls_total";
	json_t *samples = add_family(families, name, "counter",
				     "Calls through channels that have ended, as its processes "
				     "say.");
	const json_t *plugin, *data;
	uint64_t cancelled;
	size_t i;

	json_array_foreach(stats, i, plugin)
	{
		data = json_object_get(plugin, "data_plane");
		cancelled = ask_number(data, "cancelled");
		add_outcome(samples, name, plugin, NULL, "ok", ask_number(data, "ok"));
		add_outcome(samples, name, plugin, NULL, "cancelled", cancelled);
		add_outcome(samples, name, plugin, NULL, "error",
			    less(ask_number(data, "errors"), cancelled));
	}
}

static void
add_handlers(json_t *families, const json_t *stats)
{
	static const char name[] = "plugd_plugin_channel_handler_seconds";
	static const struct {
		const char *key, *quantile;
	} quantiles[] = {{"p50_ns", "0.5"}, {"p90_ns", "0.9"}, {"p99_ns", "0.99"}};
	json_t *samples = add_family(families, name, "summary",
				     "How long handlers of calls through channels took, within a "
				     "factor of two, since plugd was started.");
	const json_t *plugin, *data;
	size_t i;

	json_array_foreach(stats, i, plugin)
	{
		data = json_object_get(plugin, "data_plane");
		for (size_t q = 0; q < 3 && ask_number(data, "p50_ns"); q++)
			add_sample(samples, name,
				   labels_with(plugin, "quantile", quantiles[q].quantile),
				   scaled(ask_number(data, quantiles[q].key), NS));
		add_sample(samples, "plugd_plugin_channel_handler_seconds_count", labels_of(plugin),
			   number(ask_number(data, "ok") + ask_number(data, "errors")));
	}
}

json_t *
metrics_families(const struct metrics_source *source)
{
	json_t *families = json_array(), *counts = count_states(source->lines);

	add_plugd(families, source, counts);
	add_info(families, source->lines);
	add_states(families, source->lines, counts);
	add_rows_of(families, of_lines, source->lines, NULL);
	add_rows_of(families, of_stats, source->stats, NULL);
	add_calls(families, source->stats);
	add_last_errors(families, source->stats);
	add_methods(families, source->stats);
	add_rows_of(families, of_channels, source->stats, "data_plane");
	add_channel_calls(families, source->stats);
	add_handlers(families, source->stats);
	json_decref(counts);
	return families;
}
