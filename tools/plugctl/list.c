#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bad_plugins.h"
#include "core/suggest.h"
#include "format.h"
#include "plugin_json.h"
#include "table.h"
#include "verb.h"
#include "watch.h"

struct listing {
	struct ctl *ctl;
	bool names_only, filtered;
	struct table *table;
	json_t *plugins, *bad;
	size_t count;
};

/* "2/3", with spares "2/3+1/1"; of an ordinary plugin, nothing. */
static void
add_instances(struct table *table, const Plug__PluginLine *line)
{
	enum out_color color = line->ready == line->instances ? OUT_PLAIN : OUT_YELLOW;

	if (line->standby)
		table_cell(table, color, "%u/%u+%u/%u", line->ready, line->instances,
			   line->standby_ready, line->standby);
	else if (line->instances > 1)
		table_cell(table, color, "%u/%u", line->ready, line->instances);
	else
		table_cell(table, OUT_PLAIN, "%s", "");
}

static void
add_row(struct table *table, const Plug__PluginLine *line)
{
	char uptime[FORMAT_BYTES], size[FORMAT_BYTES];

	table_cell(table, OUT_BOLD, "%s", plug_str(line->name));
	table_cell(table, OUT_PLAIN, "%s", plug_str(line->version));
	table_cell(table, OUT_PLAIN, "%s", plug_str(line->type));
	table_cell(table, out_state_color(plug_str(line->state)), "%s", plug_str(line->state));
	add_instances(table, line);
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
	bad_plugins_warn(listing->bad);
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

static const char *const stores[] = {"builtin", "optional", "community", NULL};

static bool
is_store(const char *word)
{
	for (const char *const *store = stores; *store; store++)
		if (strcmp(*store, word) == 0)
			return true;
	return false;
}

static int
unknown_store(struct ctl *ctl, const char *word)
{
	const char *near = suggest_from(word, stores);

	return ctl_usage(ctl, "no store \"%s\"; expected builtin, optional or community%s%s%s",
			 word, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static bool
take_filters(Plug__ListRequest *list, const struct args *args, const char *text)
{
	const struct {
		const char *option;
		char **member;
	} filters[] = {
		{"type", &list->type},
		{"tag", &list->tag},
		{"capability", &list->capability},
		{"model", &list->model},
		{"store", &list->store},
		{"provider", &list->provider},
		{"category", &list->category},
	};
	bool any = *text;

	list->text = (char *)text;
	list->only_new = args_flag(args, "new");
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		*filters[i].member = (char *)args_text(args, filters[i].option, "");
		any = any || **filters[i].member;
	}
	return any || list->only_new;
}

static int
ask_and_show(struct listing *listing, Plug__ListRequest *list)
{
	static const char *const heads[] = {"NAME",       "?VERSION", "?TYPE",  "STATE",
					    ">INSTANCES", ">PID",     "?>GEN",  "?>RESTARTS",
					    ">UPTIME",    ">MEMORY",  "REASON", NULL};
	Plug__Request request = PLUG__REQUEST__INIT;
	struct ctl *ctl = listing->ctl;
	int status;

	request.body_case = PLUG__REQUEST__BODY_LIST;
	request.list = list;
	listing->table = table_new(heads);
	listing->plugins = json_array();
	listing->bad = json_array();
	status =
		ctl_request(ctl, &request, NULL, ctl_timeout(ctl, CTL_ANSWER_MS), on_list, listing);
	if (status == CTL_DONE)
		show(listing);
	table_free(listing->table);
	json_decref(listing->plugins);
	json_decref(listing->bad);
	return status;
}

static int
run(struct ctl *ctl, const struct args *args)
{
	struct listing listing = {.ctl = ctl, .names_only = args_flag(args, "names")};
	Plug__ListRequest list = PLUG__LIST_REQUEST__INIT;

	listing.filtered = take_filters(&list, args, args->word_count ? args->words[0] : "");
	if (*list.type && !is_type(list.type))
		return unknown_type(ctl, list.type);
	if (*list.store && !is_store(list.store))
		return unknown_store(ctl, list.store);
	if (ctl->json && listing.names_only)
		return ctl_usage(ctl, "--names and --json exclude each other");
	return ask_and_show(&listing, &list);
}

#define FILTERS                                                                               \
	{"type", 't', "TYPE", "only plugins of this type", COMPLETE_TYPE},                    \
		{"tag", 'g', "TAG", "only plugins with this tag"},                            \
		{"capability", 'c', "NAME", "only plugins that provide it"},                  \
		{"provider", 'p', "NAME", "only providers that speak to it: openai, ollama"}, \
		{"model", 'm', "NAME", "only plugins that offer this model"},                 \
		{"category", 0, "NAME", "only plugins of this category, such as devices"},    \
		{"store", 0, "NAME", "only of builtin, optional or community"},               \
		{"new", 'n', NULL, "only what was found and not started"},                    \
	{                                                                                     \
		"names", 0, NULL, "print names only, one a line"                              \
	}

const struct verb verb_list = {
	.name = "list",
	.summary = "show the plugins, a line each",
	.help = "Lists every plugin that plugd knows, with its state, process, generation (how "
		"many "
		"times a process was started for it), restarts, uptime and resident memory, and "
		"the "
		"reason where the state does not explain itself.  Where a plugin has several "
		"instances, or spares, INSTANCES tells how many of them are ready (2/3, and "
		"2/3+1/1 "
		"with one spare), PID and UPTIME are those of one, MEMORY is of all.  On a "
		"terminal "
		"that is too narrow RESTARTS, GEN, TYPE and VERSION are left out, in this order; "
		"--json has all.\n\n"
		"--new shows what was found and not loaded: `plugctl start` or `enable` loads "
		"it.\n\n"
		"Folders that look like plugins and cannot be used are reported on stderr, with "
		"file, line and column, and so are plugins whose name is taken by another.",
	.options = (const struct option_spec[]){FILTERS, WATCH_OPTION, {NULL}},
	.examples =
		(const struct verb_example[]){
			{"plugctl list --type model", "the models"},
			{"plugctl list --new", "what was found and not started"},
			{"plugctl list --json | jq -r '.plugins[] | select(.state != "
			 "\"ready\").name'",
			 "what is not ready"},
			{NULL},
		},
	.paged = true,
	.run = run,
};

const struct verb verb_find = {
	.name = "find",
	.args = "[TEXT]",
	.summary = "find plugins by what they are and offer",
	.help = "Lists the plugins that have TEXT in their name, description, tags, capabilities, "
		"provider or models, in small or capital letters, and for which all of the "
		"options hold.  The manifests say what a plugin offers: tags, provides, provider, "
		"models, category; whether it runs does not matter.",
	.options = (const struct option_spec[]){FILTERS, {NULL}},
	.examples =
		(const struct verb_example[]){
			{"plugctl find embedding", "whatever has to do with it"},
			{"plugctl find --type provider --provider openai", "who speaks to OpenAI"},
			{"plugctl find --capability tokenizer --names", "for a script"},
			{NULL},
		},
	.max_args = 1,
	.paged = true,
	.run = run,
};
