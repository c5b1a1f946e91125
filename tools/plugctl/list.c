#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/suggest.h"
#include "format.h"
#include "plugin_json.h"
#include "table.h"
#include "verb.h"

struct listing {
	struct ctl *ctl;
	bool names_only, filtered;
	struct table *table;
	json_t *plugins, *bad;
	size_t count;
};

static void
add_row(struct table *table, const Plug__PluginLine *line)
{
	char uptime[FORMAT_BYTES], size[FORMAT_BYTES];

	table_cell(table, OUT_BOLD, "%s", plug_str(line->name));
	table_cell(table, OUT_PLAIN, "%s", plug_str(line->version));
	table_cell(table, OUT_PLAIN, "%s", plug_str(line->type));
	table_cell(table, out_state_color(plug_str(line->state)), "%s", plug_str(line->state));
	if (line->pid) {
		table_cell(table, OUT_PLAIN, "%" PRId64, line->pid);
		table_cell(table, OUT_PLAIN, "%" PRIu32, line->generation);
		table_cell(table, OUT_PLAIN, "%" PRIu64, line->restarts);
		table_cell(table, OUT_PLAIN, "%s", format_duration(line->uptime_ms, uptime));
		table_cell(table, OUT_PLAIN, "%s", format_size(line->rss_bytes, size));
	} else {
		table_cell(table, OUT_DIM, "-");
		table_cell(table, OUT_PLAIN, "%" PRIu32, line->generation);
		table_cell(table, OUT_PLAIN, "%" PRIu64, line->restarts);
		table_cell(table, OUT_DIM, "-");
		table_cell(table, OUT_DIM, "-");
	}
	table_cell(table, OUT_DIM, "%s", plug_str(line->reason));
	table_row(table);
}

static bool
on_list(const Plug__Response *response, void *user)
{
	struct listing *listing = user;
	const Plug__ListResponse *list = response->list;

	if (response->outcome != PLUG_OK || response->body_case != PLUG__RESPONSE__BODY_LIST)
		return true;
	for (size_t i = 0; i < list->n_plugins; i++) {
		if (listing->names_only)
			out_line(plug_str(list->plugins[i]->name));
		else if (listing->ctl->json)
			json_array_append_new(listing->plugins, plugin_line_json(list->plugins[i]));
		else
			add_row(listing->table, list->plugins[i]);
	}
	listing->count += list->n_plugins;
	for (size_t i = 0; i < list->n_bad; i++)
		json_array_append_new(listing->bad, bad_plugin_json(list->bad[i]));
	return true;
}

static void
warn_line(const json_t *text)
{
	char *safe = out_escape(json_string_value(text), json_string_length(text));

	fprintf(stderr, "%s\n", safe ? safe : "");
	free(safe);
}

static void
warn_bad(const json_t *bad)
{
	size_t i, j;
	json_t *one, *error;

	json_array_foreach(bad, i, one)
	{
		json_array_foreach(json_object_get(one, "errors"), j, error) warn_line(error);
		if (j == 0)
			warn_line(json_object_get(one, "path"));
	}
	if (i)
		fprintf(stderr,
			"plugctl: %zu %s cannot be used; correct what is named above and run "
			"`plugctl reread`\n",
			i, i == 1 ? "plugin or directory" : "plugins or directories");
}

static void
show(struct listing *listing)
{
	if (listing->ctl->json) {
		out_json(json_pack("{s:O, s:O}", "plugins", listing->plugins, "bad", listing->bad));
		return;
	}
	if (listing->names_only)
		return;
	if (listing->count)
		table_print(listing->table);
	else
		puts(listing->filtered
			     ? "no plugin matches"
			     : "no plugins; `plugctl status` shows where plugd looks for them");
	fflush(stdout);
	warn_bad(listing->bad);
}

static bool
is_type(const char *word)
{
	for (const char *const *type = plugin_types; *type; type++)
		if (strcmp(*type, word) == 0)
			return true;
	return false;
}

static int
unknown_type(struct ctl *ctl, const char *word)
{
	const char *near = suggest_from(word, plugin_types);

	return ctl_usage(ctl, "no type \"%s\"%s%s%s", word, near ? "; did you mean " : "",
			 near ? near : "", near ? "?" : "");
}

static int
run(struct ctl *ctl, const struct args *args)
{
	static const char *const heads[] = {"NAME",    "VERSION", "TYPE",      "STATE",
					    ">PID",    ">GEN",    ">RESTARTS", ">UPTIME",
					    ">MEMORY", "REASON",  NULL};
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__ListRequest list = PLUG__LIST_REQUEST__INIT;
	struct listing listing = {.ctl = ctl, .names_only = args_flag(args, "names")};
	int status;

	request.body_case = PLUG__REQUEST__BODY_LIST;
	request.list = &list;
	list.type = (char *)args_text(args, "type", "");
	list.tag = (char *)args_text(args, "tag", "");
	listing.filtered = *list.type || *list.tag;
	if (*list.type && !is_type(list.type))
		return unknown_type(ctl, list.type);
	if (ctl->json && listing.names_only)
		return ctl_usage(ctl, "--names and --json exclude each other");
	listing.table = table_new(heads);
	listing.plugins = json_array();
	listing.bad = json_array();
	status = ctl_request(ctl, &request, NULL, ctl_timeout(ctl, CTL_ANSWER_MS), on_list,
			     &listing);
	if (status == CTL_DONE)
		show(&listing);
	table_free(listing.table);
	json_decref(listing.plugins);
	json_decref(listing.bad);
	return status;
}

const struct verb verb_list = {
	.name = "list",
	.summary = "show the plugins, a line each",
	.help = "Lists every plugin that plugd knows, with its state, process, generation (how "
		"many "
		"times a process was started for it), restarts, uptime and resident memory, and "
		"the "
		"reason where the state does not explain itself.\n\n"
		"Folders that look like plugins and cannot be used are reported on stderr, with "
		"file, line and column.",
	.options =
		(const struct option_spec[]){
			{"type", 't', "TYPE", "only plugins of this type", COMPLETE_TYPE},
			{"tag", 'g', "TAG", "only plugins with this tag"},
			{"names", 0, NULL, "print names only, one a line"},
			{NULL},
		},
	.examples =
		(const struct verb_example[]){
			{"plugctl list --type model", "the models"},
			{"plugctl list --json | jq -r '.plugins[] | select(.state != "
			 "\"ready\").name'",
			 "what is not ready"},
			{NULL},
		},
	.run = run,
};
