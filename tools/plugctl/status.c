#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "data_plane.h"
#include "format.h"
#include "out.h"
#include "plugin_json.h"
#include "verb.h"
#include "watch.h"

#define LEVEL_INFO 1

/* ---- a plugin ---- */

static const char *
level_name(uint32_t level)
{
	static const char *const names[] = {"debug", "info", "warning", "error"};

	return names[level < 4 ? level : 3];
}

static void
show_calls(const Plug__PluginStatus *status)
{
	char age[FORMAT_BYTES];

	out_field("calls", "%zu in flight, %" PRIu64 " waiting", status->n_calls, status->queued);
	for (size_t i = 0; i < status->n_calls; i++)
		out_field("", "#%" PRIu64 " %s for %s%s", status->calls[i]->id,
			  plug_str(status->calls[i]->method),
			  format_duration(status->calls[i]->age_ms, age),
			  status->calls[i]->hung ? ", past its deadline" : "");
}

static void
show_process(const Plug__PluginLine *line)
{
	char uptime[FORMAT_BYTES], size[FORMAT_BYTES];

	if (line->pid)
		out_field("process", "%" PRId64 ", generation %" PRIu32 ", up %s, %s", line->pid,
			  line->generation, format_duration(line->uptime_ms, uptime),
			  format_size(line->rss_bytes, size));
	else
		out_field("process",
			  line->generation ? "none; the last was generation %" PRIu32 : "none yet",
			  line->generation);
}

/* A block an instance: what it is, its process, and what is not plain about it. */
static void
show_instance(const Plug__InstanceStatus *instance)
{
	const char *state = plug_str(instance->state);
	char uptime[FORMAT_BYTES], size[FORMAT_BYTES];

	out_field(plug_str(instance->name), "%s, %s", plug_str(instance->role), state);
	if (instance->pid)
		out_field("",
			  "process %" PRId64 ", version %s, generation %" PRIu32
			  ", up %s, %s, %" PRIu64 " calls in flight",
			  instance->pid, plug_str(instance->version), instance->generation,
			  format_duration(instance->uptime_ms, uptime),
			  format_size(instance->rss_bytes, size), instance->in_flight);
	if (instance->hung_calls)
		out_field("", "%u handlers past their calls' deadlines", instance->hung_calls);
	if (*plug_str(instance->why))
		out_field("", "%s", instance->why);
	if (*plug_str(instance->next) && strcmp(state, "ready") != 0)
		out_field("", "next: %s", instance->next);
}

static void
show_instances(const Plug__PluginStatus *status)
{
	const Plug__PluginLine *line = status->line;

	out_field("instances", "%u of %u ready%s", line->ready, line->instances,
		  status->scale ? ", as plugctl scale said" : "");
	if (line->standby)
		out_field("standby", "%u of %u ready", line->standby_ready, line->standby);
	for (size_t i = 0; i < status->n_instances; i++)
		show_instance(status->instances[i]);
}

static void
show_lines(const char *key, char *const *lines, size_t count)
{
	for (size_t i = 0; i < count; i++)
		out_field(i ? "" : key, "%s", plug_str(lines[i]));
}

/* Of its newest process: the others' are the same, or about to be. */
static const char *
limits_of(const Plug__PluginStatus *status)
{
	const Plug__InstanceStatus *newest = NULL;

	for (size_t i = 0; i < status->n_instances; i++)
		if (!newest || status->instances[i]->generation > newest->generation)
			newest = status->instances[i];
	return newest ? plug_str(newest->limits) : "";
}

static uint64_t
denied_of(const Plug__PluginStatus *status)
{
	uint64_t denied = 0;

	for (size_t i = 0; i < status->n_instances; i++)
		denied += status->instances[i]->denied;
	return denied;
}

static void
show_plugin(const Plug__PluginStatus *status)
{
	const Plug__PluginLine *line = status->line;
	const char *state = plug_str(line->state);

	out_start(OUT_BOLD);
	out_text(plug_str(line->name), strlen(plug_str(line->name)));
	out_end(OUT_BOLD);
	printf(" %s (%s) ", plug_str(line->version), plug_str(line->type));
	out_start(out_state_color(state));
	out_line(state);
	out_end(out_state_color(state));
	if (*plug_str(status->why))
		out_field("why", "%s", status->why);
	if (*plug_str(status->next))
		out_field("next", "%s", status->next);
	if (status->n_instances > 1)
		show_instances(status);
	else
		show_process(line);
	if (*limits_of(status))
		out_field("limits", "%s", limits_of(status));
	if (denied_of(status))
		out_field("denied", "%" PRIu64 " requests of its processes; see plugctl events",
			  denied_of(status));
	out_field("restarts",
		  "%" PRIu64 " (restart: %s; %u of %u failures without a stable minute)",
		  line->restarts, plug_str(status->restart_policy), status->failures,
		  status->failure_limit);
	if (*plug_str(status->reload))
		out_field("reload", "%s", status->reload);
	if (*plug_str(status->config_change))
		out_field("config change", "%s", status->config_change);
	show_calls(status);
	data_plane_show(status->data_plane, false);
	out_field("autostart", "%s%s", status->autostart ? "yes" : "no",
		  line->enabled == 1   ? "; enabled by plugctl"
		  : line->enabled == 2 ? "; disabled by plugctl"
				       : "");
	if (*plug_str(line->store))
		out_field("store", "%s", line->store);
	if (*plug_str(line->category))
		out_field("category", "%s", line->category);
	if (status->debug)
		out_field("debugged", "no deadline holds: run.debug");
	if (status->log_level != LEVEL_INFO)
		out_field("log level", "%s", level_name(status->log_level));
	out_field("manifest", "%s", plug_str(status->path));
	if (*plug_str(status->sdk))
		out_field("sdk", "%s, protocol %u", status->sdk, status->protocol);
	show_lines("config", status->effective_config, status->n_effective_config);
}

static json_t *
instance_json(const Plug__InstanceStatus *instance)
{
	json_t *json = json_object();

	json_object_set_new(json, "name", out_json_text(plug_str(instance->name)));
	json_object_set_new(json, "role", out_json_text(plug_str(instance->role)));
	json_object_set_new(json, "state", out_json_text(plug_str(instance->state)));
	json_object_set_new(json, "version", out_json_text(plug_str(instance->version)));
	json_object_set_new(json, "pid", json_integer(instance->pid));
	json_object_set_new(json, "generation", json_integer(instance->generation));
	json_object_set_new(json, "uptime_ms", number_json(instance->uptime_ms));
	json_object_set_new(json, "rss_bytes", number_json(instance->rss_bytes));
	json_object_set_new(json, "in_flight", number_json(instance->in_flight));
	json_object_set_new(json, "limits", out_json_text(plug_str(instance->limits)));
	json_object_set_new(json, "hung_calls", json_integer(instance->hung_calls));
	json_object_set_new(json, "denied", number_json(instance->denied));
	json_object_set_new(json, "why", out_json_text(plug_str(instance->why)));
	json_object_set_new(json, "next", out_json_text(plug_str(instance->next)));
	json_object_set_new(json, "failures", json_integer(instance->failures));
	return json;
}

static json_t *
instances_json(const Plug__PluginStatus *status)
{
	json_t *array = json_array();

	for (size_t i = 0; i < status->n_instances; i++)
		json_array_append_new(array, instance_json(status->instances[i]));
	return array;
}

json_t *
plugin_status_json(const Plug__PluginStatus *status)
{
	json_t *json = plugin_line_json(status->line), *calls = json_array();

	for (size_t i = 0; i < status->n_calls; i++)
		json_array_append_new(calls, call_in_flight_json(status->calls[i]));
	json_object_set_new(json, "why", out_json_text(plug_str(status->why)));
	json_object_set_new(json, "next", out_json_text(plug_str(status->next)));
	json_object_set_new(json, "path", out_json_text(plug_str(status->path)));
	json_object_set_new(json, "restart_policy",
			    out_json_text(plug_str(status->restart_policy)));
	json_object_set_new(json, "failures", json_integer(status->failures));
	json_object_set_new(json, "failure_limit", json_integer(status->failure_limit));
	json_object_set_new(json, "retry_in_ms", number_json(status->retry_in_ms));
	json_object_set_new(json, "calls", calls);
	json_object_set_new(json, "queued", number_json(status->queued));
	json_object_set_new(json, "data_plane", data_plane_json(status->data_plane));
	json_object_set_new(json, "sdk", out_json_text(plug_str(status->sdk)));
	json_object_set_new(json, "protocol", json_integer(status->protocol));
	json_object_set_new(json, "reload", out_json_text(plug_str(status->reload)));
	json_object_set_new(json, "config_change", out_json_text(plug_str(status->config_change)));
	json_object_set_new(json, "scale", json_integer(status->scale));
	json_object_set_new(json, "instance_list", instances_json(status));
	json_object_set_new(json, "autostart", json_boolean(status->autostart));
	json_object_set_new(json, "log_level", json_string(level_name(status->log_level)));
	json_object_set_new(json, "debug", json_boolean(status->debug));
	json_object_set_new(json, "effective_config",
			    strings_json(status->effective_config, status->n_effective_config));
	return json;
}

/* ---- plugd ---- */

static void
show_daemon(const Plug__DaemonStatus *status)
{
	char uptime[FORMAT_BYTES], size[FORMAT_BYTES];

	printf("plugd %s up %s\n", plug_str(status->version),
	       format_duration(status->uptime_ms, uptime));
	if (*plug_str(status->config_error))
		out_field("config error", "%s\nthe configuration read before stays in force",
			  status->config_error);
	out_field("process", "%" PRId64 ", guardian %" PRId64 ", %s", status->pid,
		  status->guardian_pid, format_size(status->rss_bytes, size));
	if (status->upgrades)
		out_field("upgrades", "%u in place, the last %s ago", status->upgrades,
			  format_duration(status->upgraded_ms_ago, uptime));
	out_field("plugins", "%u, of which %u run", status->plugins, status->running);
	out_field("clients", "%u", status->clients);
	out_field("calls", "%" PRIu64, status->calls);
	out_field("runtime dir", "%s", plug_str(status->runtime_dir));
	out_field("state dir", "%s", plug_str(status->state_dir));
	show_lines("plugin dirs", status->plugin_dirs, status->n_plugin_dirs);
	if (*plug_str(status->store_dir))
		out_field("store", "%s%s%s", status->store_dir,
			  status->store_signed ? "; only what is signed by a key in " : "",
			  status->store_signed ? plug_str(status->store_keys) : "");
	out_field("config file", "%s",
		  *plug_str(status->config_file) ? status->config_file : "none, defaults");
	out_field("containment", "%s", plug_str(status->containment));
	if (status->watched_dirs || *plug_str(status->watch))
		out_field("watched", "%u directories%s%s", status->watched_dirs,
			  *plug_str(status->watch) ? "; " : "", plug_str(status->watch));
	if (status->dropped_log_lines)
		out_field("log lines", "%" PRIu64 " dropped", status->dropped_log_lines);
	for (size_t i = 0; i < status->n_bad; i++) {
		const Plug__BadPlugin *bad = status->bad[i];

		if (bad->n_errors) /* each begins with the path */
			show_lines(i ? "" : "unusable", bad->errors, bad->n_errors);
		else
			out_field(i ? "" : "unusable", "%s", plug_str(bad->path));
	}
}

json_t *
daemon_status_json(const Plug__DaemonStatus *status)
{
	json_t *json = json_object(), *bad = json_array();

	for (size_t i = 0; i < status->n_bad; i++)
		json_array_append_new(bad, bad_plugin_json(status->bad[i]));
	json_object_set_new(json, "version", out_json_text(plug_str(status->version)));
	json_object_set_new(json, "pid", json_integer(status->pid));
	json_object_set_new(json, "guardian_pid", json_integer(status->guardian_pid));
	json_object_set_new(json, "uptime_ms", number_json(status->uptime_ms));
	json_object_set_new(json, "rss_bytes", number_json(status->rss_bytes));
	json_object_set_new(json, "cpu_ms", number_json(status->cpu_ms));
	json_object_set_new(json, "upgrades", json_integer(status->upgrades));
	json_object_set_new(json, "upgraded_ms_ago", number_json(status->upgraded_ms_ago));
	json_object_set_new(json, "runtime_dir", out_json_text(plug_str(status->runtime_dir)));
	json_object_set_new(json, "state_dir", out_json_text(plug_str(status->state_dir)));
	json_object_set_new(json, "plugin_dirs",
			    strings_json(status->plugin_dirs, status->n_plugin_dirs));
	json_object_set_new(json, "store_dir", out_json_text(plug_str(status->store_dir)));
	json_object_set_new(json, "store_keys", out_json_text(plug_str(status->store_keys)));
	json_object_set_new(json, "store_signed", json_boolean(status->store_signed));
	json_object_set_new(json, "config_file", out_json_text(plug_str(status->config_file)));
	json_object_set_new(json, "config_error", out_json_text(plug_str(status->config_error)));
	json_object_set_new(json, "containment", out_json_text(plug_str(status->containment)));
	json_object_set_new(json, "plugins", json_integer(status->plugins));
	json_object_set_new(json, "running", json_integer(status->running));
	json_object_set_new(json, "clients", json_integer(status->clients));
	json_object_set_new(json, "calls", number_json(status->calls));
	json_object_set_new(json, "dropped_log_lines", number_json(status->dropped_log_lines));
	json_object_set_new(json, "watched_dirs", json_integer(status->watched_dirs));
	json_object_set_new(json, "watch", out_json_text(plug_str(status->watch)));
	json_object_set_new(json, "bad", bad);
	return json;
}

/* ---- the verb ---- */

static bool
on_status(const Plug__Response *response, void *user)
{
	struct ctl *ctl = user;

	if (response->outcome != PLUG_OK)
		return true;
	if (response->body_case == PLUG__RESPONSE__BODY_PLUGIN && response->plugin->line) {
		if (ctl->json)
			out_json(plugin_status_json(response->plugin));
		else
			show_plugin(response->plugin);
	} else if (response->body_case == PLUG__RESPONSE__BODY_DAEMON) {
		if (ctl->json)
			out_json(daemon_status_json(response->daemon));
		else
			show_daemon(response->daemon);
	}
	return true;
}

static int
run(struct ctl *ctl, const struct args *args)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__StatusRequest status = PLUG__STATUS_REQUEST__INIT;
	const char *name = args->word_count ? args->words[0] : NULL;

	request.body_case = PLUG__REQUEST__BODY_STATUS;
	request.status = &status;
	if (name)
		status.name = (char *)name;
	return ctl_request(ctl, &request, name, ctl_timeout(ctl, CTL_ANSWER_MS), on_status, ctl);
}

const struct verb verb_status = {
	.name = "status",
	.args = "[NAME]",
	.summary = "show all about one plugin, or about plugd itself",
	.help = "With a NAME: the plugin's state, why it is in it and what happens next, its "
		"process, "
		"restarts, calls in flight and the configuration in force with the origin of each "
		"value.\n\n"
		"Without: plugd itself, its directories, how it makes sure that no process is left "
		"behind, and which plugins it cannot use and why.",
	.options = (const struct option_spec[]){WATCH_OPTION, {NULL}},
	.examples =
		(const struct verb_example[]){
			{"plugctl status gpt2", "one plugin"},
			{"plugctl status --json | jq -r .containment", "plugd itself"},
			{NULL},
		},
	.complete = COMPLETE_PLUGIN,
	.max_args = 1,
	.paged = true,
	.run = run,
};
