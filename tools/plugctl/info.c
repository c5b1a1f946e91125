#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "format.h"
#include "out.h"
#include "plugin_json.h"
#include "table.h"
#include "verb.h"

struct reader {
	struct ctl *ctl;
	bool methods_only;
};

/* ---- JSON ---- */

static json_t *
method_json(const Plug__InfoMethod *method)
{
	return json_pack("{s:o, s:o, s:b, s:b, s:o, s:b, s:b}", "name",
			 out_json_text(plug_str(method->name)), "description",
			 out_json_text(plug_str(method->description)), "stream",
			 (int)method->stream, "idempotent", (int)method->idempotent, "timeout_ms",
			 number_json(method->timeout_ms), "declared", (int)method->declared,
			 "offered", (int)method->offered);
}

static json_t *
config_json(const Plug__InfoConfig *config)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:b, s:b}", "key",
			 out_json_text(plug_str(config->key)), "type",
			 out_json_text(plug_str(config->type)), "value",
			 out_json_text(plug_str(config->value)), "origin",
			 out_json_text(plug_str(config->origin)), "description",
			 out_json_text(plug_str(config->description)), "secret",
			 (int)config->secret, "required", (int)config->required);
}

json_t *
info_json(const Plug__PluginInfo *info)
{
	json_t *json = json_object(), *methods = json_array(), *config = json_array();
	const struct {
		const char *key, *text;
	} texts[] = {
		{"name", info->name},         {"version", info->version},
		{"type", info->type},         {"description", info->description},
		{"author", info->author},     {"license", info->license},
		{"homepage", info->homepage}, {"repository", info->repository},
		{"path", info->path},
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		json_object_set_new(json, texts[i].key, out_json_text(plug_str(texts[i].text)));
	json_object_set_new(json, "priority", json_integer(info->priority));
	json_object_set_new(json, "tags", strings_json(info->tags, info->n_tags));
	json_object_set_new(json, "provides", strings_json(info->provides, info->n_provides));
	json_object_set_new(json, "exclusive", strings_json(info->exclusive, info->n_exclusive));
	json_object_set_new(json, "conflicts", strings_json(info->conflicts, info->n_conflicts));
	json_object_set_new(json, "commands", strings_json(info->commands, info->n_commands));
	json_object_set_new(json, "probe_method", out_json_text(plug_str(info->probe_method)));
	json_object_set_new(json, "requires", strings_json(info->requires, info->n_requires));
	json_object_set_new(json, "permissions",
			    strings_json(info->permissions, info->n_permissions));
	json_object_set_new(json, "required_by",
			    strings_json(info->required_by, info->n_required_by));
	json_object_set_new(json, "exec", strings_json(info->exec, info->n_exec));
	for (size_t i = 0; i < info->n_methods; i++)
		json_array_append_new(methods, method_json(info->methods[i]));
	for (size_t i = 0; i < info->n_config; i++)
		json_array_append_new(config, config_json(info->config[i]));
	json_object_set_new(json, "methods", methods);
	json_object_set_new(json, "config", config);
	return json;
}

/* ---- text ---- */

static void
show_text(const char *key, const char *text)
{
	if (*plug_str(text))
		out_field(key, "%s", text);
}

static void
show_words(const char *key, char *const *words, size_t count)
{
	char line[1024] = "";
	size_t used = 0;
	int written;

	for (size_t i = 0; i < count && used < sizeof(line); i++) {
		written = snprintf(line + used, sizeof(line) - used, "%s%s", i ? ", " : "",
				   plug_str(words[i]));
		used += written > 0 ? (size_t)written : 0;
	}
	show_text(key, line);
}

static const char *
method_note(const Plug__InfoMethod *method)
{
	if (method->declared && !method->offered)
		return "not offered by the running process";
	return "";
}

static void
show_methods(const Plug__PluginInfo *info)
{
	static const char *const heads[] = {"  METHOD", "STREAM",      "IDEMPOTENT", ">TIMEOUT",
					    "NOTE",     "DESCRIPTION", NULL};
	struct table *table = table_new(heads);
	char timeout[FORMAT_BYTES];

	for (size_t i = 0; table && i < info->n_methods; i++) {
		const Plug__InfoMethod *method = info->methods[i];

		table_cell(table, OUT_BOLD, "  %s", plug_str(method->name));
		table_cell(table, OUT_PLAIN, "%s", method->stream ? "yes" : "");
		table_cell(table, OUT_PLAIN, "%s", method->idempotent ? "yes" : "");
		table_cell(table, OUT_PLAIN, "%s",
			   method->timeout_ms ? format_duration(method->timeout_ms, timeout) : "");
		table_cell(table, OUT_YELLOW, "%s", method_note(method));
		table_cell(table, OUT_PLAIN, "%s", plug_str(method->description));
		table_row(table);
	}
	if (table && info->n_methods) {
		putchar('\n');
		table_print(table);
	}
	table_free(table);
}

static void
show_config(const Plug__PluginInfo *info)
{
	static const char *const heads[] = {"  CONFIG", "TYPE",        "VALUE",
					    "ORIGIN",   "DESCRIPTION", NULL};
	struct table *table = table_new(heads);

	for (size_t i = 0; table && i < info->n_config; i++) {
		const Plug__InfoConfig *config = info->config[i];

		table_cell(table, OUT_BOLD, "  %s", plug_str(config->key));
		table_cell(table, OUT_PLAIN, "%s%s", plug_str(config->type),
			   config->required ? ", required" : "");
		table_cell(table, OUT_PLAIN, "%s", plug_str(config->value));
		table_cell(table, OUT_DIM, "%s", plug_str(config->origin));
		table_cell(table, OUT_PLAIN, "%s", plug_str(config->description));
		table_row(table);
	}
	if (table && info->n_config) {
		putchar('\n');
		table_print(table);
	}
	table_free(table);
}

static void
show_info(const Plug__PluginInfo *info)
{
	out_start(OUT_BOLD);
	out_text(plug_str(info->name), strlen(plug_str(info->name)));
	out_end(OUT_BOLD);
	printf(" %s (%s)\n", plug_str(info->version), plug_str(info->type));
	show_text("description", info->description);
	show_text("author", info->author);
	show_text("license", info->license);
	show_text("homepage", info->homepage);
	show_text("repository", info->repository);
	show_words("tags", info->tags, info->n_tags);
	show_words("provides", info->provides, info->n_provides);
	show_words("alone", info->exclusive, info->n_exclusive);
	show_words("conflicts", info->conflicts, info->n_conflicts);
	show_words("commands", info->commands, info->n_commands);
	show_words("requires", info->requires, info->n_requires);
	show_words("required by", info->required_by, info->n_required_by);
	show_words("permissions", info->permissions, info->n_permissions);
	out_field("priority", "%u", info->priority);
	show_text("manifest", info->path);
	show_words("exec", info->exec, info->n_exec);
	show_methods(info);
	show_config(info);
}

/* ---- the verb ---- */

static bool
on_info(const Plug__Response *response, void *user)
{
	const struct reader *reader = user;
	const Plug__PluginInfo *info = response->info;

	if (response->outcome != PLUG_OK || response->body_case != PLUG__RESPONSE__BODY_INFO)
		return true;
	if (reader->methods_only) {
		for (size_t i = 0; i < info->n_methods; i++)
			out_line(plug_str(info->methods[i]->name));
	} else if (reader->ctl->json) {
		out_json(info_json(info));
	} else {
		show_info(info);
	}
	return true;
}

static int
run(struct ctl *ctl, const struct args *args)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__InfoRequest info = PLUG__INFO_REQUEST__INIT;
	struct reader reader = {.ctl = ctl, .methods_only = args_flag(args, "methods")};

	if (ctl->json && reader.methods_only)
		return ctl_usage(ctl, "--methods and --json exclude each other");
	request.body_case = PLUG__REQUEST__BODY_INFO;
	request.info = &info;
	info.name = (char *)args->words[0];
	return ctl_request(ctl, &request, info.name, ctl_timeout(ctl, CTL_ANSWER_MS), on_info,
			   &reader);
}

const struct verb verb_info = {
	.name = "info",
	.args = "NAME",
	.summary = "show what a plugin is: metadata, methods, configuration",
	.help = "Prints what the manifest says of the plugin, its methods as declared and as the "
		"running "
		"process offers them, and its configuration keys with the values in force and "
		"where "
		"each comes from.  Secrets are shown as ***.",
	.options =
		(const struct option_spec[]){
			{"methods", 'm', NULL, "print the names of the methods only, one a line"},
			{NULL},
		},
	.examples =
		(const struct verb_example[]){
			{"plugctl info gpt2", "what can it do, and how is it configured"},
			{NULL},
		},
	.complete = COMPLETE_PLUGIN,
	.min_args = 1,
	.max_args = 1,
	.paged = true,
	.run = run,
};
