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
	json_t *models, *not_yet;
};

static json_t *
scheme_json(const Plug__ModelScheme *scheme)
{
	json_t *json = json_object(), *memory = json_object(), *config = json_object();

	for (size_t i = 0; i < scheme->n_memory; i++)
		json_object_set_new(memory, plug_str(scheme->memory[i]->device),
				    number_json(scheme->memory[i]->mb));
	for (size_t i = 0; i < scheme->n_config; i++)
		json_object_set_new(config, plug_str(scheme->config[i]->key),
				    out_json_text(plug_str(scheme->config[i]->value)));
	json_object_set_new(json, "name", out_json_text(plug_str(scheme->name)));
	json_object_set_new(json, "required_devices",
			    strings_json(scheme->required_devices, scheme->n_required_devices));
	json_object_set_new(json, "memory_mb", memory);
	json_object_set_new(json, "config", config);
	json_object_set_new(json, "command", strings_json(scheme->command, scheme->n_command));
	return json;
}

static json_t *
model_json(const Plug__Model *model)
{
	json_t *json = json_object(), *schemes = json_array();

	for (size_t i = 0; i < model->n_schemes; i++)
		json_array_append_new(schemes, scheme_json(model->schemes[i]));
	json_object_set_new(json, "name", out_json_text(plug_str(model->name)));
	json_object_set_new(json, "aliases", strings_json(model->aliases, model->n_aliases));
	json_object_set_new(json, "plugin", out_json_text(plug_str(model->plugin)));
	json_object_set_new(json, "plugin_state", out_json_text(plug_str(model->plugin_state)));
	json_object_set_new(json, "mode", out_json_text(plug_str(model->mode)));
	json_object_set_new(json, "port", json_integer(model->port));
	json_object_set_new(json, "auto_start", json_boolean(model->auto_start));
	json_object_set_new(json, "alive_time_ms", number_json(model->alive_time_ms));
	json_object_set_new(json, "schemes", schemes);
	json_object_set_new(json, "origin", out_json_text(plug_str(model->origin)));
	return json;
}

static bool
on_models(const Plug__Response *response, void *user)
{
	struct reader *reader = user;
	const Plug__ModelsResponse *body = response->models;

	if (response->outcome != PLUG_OK || response->body_case != PLUG__RESPONSE__BODY_MODELS)
		return true;
	for (size_t i = 0; i < body->n_models; i++)
		json_array_append_new(reader->models, model_json(body->models[i]));
	for (size_t i = 0; i < body->n_not_yet; i++)
		json_array_append_new(reader->not_yet, out_json_text(body->not_yet[i]));
	return true;
}

/* ---- for people ---- */

/* "a, b"; the caller's. */
static char *
joined(const json_t *list)
{
	char *text = out_must(strdup("")), *longer;
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		if (asprintf(&longer, "%s%s%s", text, i ? ", " : "", json_string_value(item)) < 0)
			longer = NULL;
		free(text);
		text = out_must(longer);
	}
	return text;
}

static const char *
plugin_text(const json_t *model, char *text, size_t size)
{
	const char *plugin = ask_text(model, "plugin"), *state = ask_text(model, "plugin_state");

	snprintf(text, size, "%.63s%s%.20s%s", plugin, *plugin ? " (" : "",
		 *plugin ? *state ? state : "not registered" : "", *plugin ? ")" : "");
	return text;
}

static void
print_table(const json_t *models)
{
	static const char *const heads[] = {"NAME",   "ALIASES",    "MODE",     ">PORT", "PLUGIN",
					    "LOADED", "ALIVE TIME", ">SCHEMES", NULL};
	struct table *table = table_new(heads);
	const json_t *model;
	size_t i;

	json_array_foreach(models, i, model)
	{
		char text[128], alive[FORMAT_BYTES];
		char *aliases = joined(json_object_get(model, "aliases"));
		uint64_t port = ask_number(model, "port"), ms = ask_number(model, "alive_time_ms");

		table_cell(table, OUT_BOLD, "%s", ask_text(model, "name"));
		table_cell(table, OUT_PLAIN, "%s", aliases);
		table_cell(table, OUT_PLAIN, "%s", ask_text(model, "mode"));
		if (port)
			table_cell(table, OUT_PLAIN, "%" PRIu64, port);
		else
			table_cell(table, OUT_PLAIN, "%s", "");
		table_cell(table, OUT_PLAIN, "%s", plugin_text(model, text, sizeof(text)));
		table_cell(table, OUT_PLAIN, "%s",
			   json_is_true(json_object_get(model, "auto_start")) ? "at the start"
									      : "on demand");
		table_cell(table, OUT_PLAIN, "%s", ms ? format_duration(ms, alive) : "for ever");
		table_cell(table, OUT_PLAIN, "%zu",
			   json_array_size(json_object_get(model, "schemes")));
		table_row(table);
		free(aliases);
	}
	table_print(table);
	table_free(table);
}

static void
print_memory(const json_t *scheme)
{
	const char *device;
	const json_t *mb;

	json_object_foreach((json_t *)(uintptr_t)json_object_get(scheme, "memory_mb"), device, mb)
		out_field("  memory", "%s: %lld MB", device, (long long)json_integer_value(mb));
}

static void
print_scheme(const json_t *scheme, size_t number)
{
	char *devices = joined(json_object_get(scheme, "required_devices"));
	char *command = joined(json_object_get(scheme, "command"));
	const char *key;
	const json_t *value;

	out_field("scheme", "%zu %s", number, ask_text(scheme, "name"));
	if (*devices)
		out_field("  devices", "%s", devices);
	print_memory(scheme);
	if (*command)
		out_field("  command", "%s", command);
	json_object_foreach((json_t *)(uintptr_t)json_object_get(scheme, "config"), key, value)
		out_field("  config", "%s = %s", key, json_string_value(value));
	free(devices);
	free(command);
}

static void
print_one(const json_t *model)
{
	const json_t *scheme;
	size_t i;

	print_table(json_object_get(model, "shown"));
	json_array_foreach(json_object_get(model, "schemes"), i, scheme)
		print_scheme(scheme, i + 1);
	out_field("declared", "%s", ask_text(model, "origin"));
}

static void
print_not_yet(const json_t *list)
{
	const json_t *item;
	size_t i;

	puts("\nThe table is what is declared.  This plugd does not yet:");
	json_array_foreach(list, i, item) printf("  %s\n", json_string_value(item));
}

static void
show(struct ctl *ctl, const struct reader *reader, bool one)
{
	json_t *model = json_array_get(reader->models, 0);

	if (ctl->json) {
		out_json(json_pack("{s:O, s:O}", "models", reader->models, "not_yet",
				   reader->not_yet));
		return;
	}
	if (!json_array_size(reader->models)) {
		puts("the model table is empty: see models and models_file in plugd.yaml(5)");
		return;
	}
	if (one) {
		json_object_set_new(model, "shown", json_pack("[o]", json_deep_copy(model)));
		print_one(model);
	} else {
		print_table(reader->models);
	}
	print_not_yet(reader->not_yet);
}

static int
run(struct ctl *ctl, const struct args *args)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__ModelsRequest models = PLUG__MODELS_REQUEST__INIT;
	struct reader reader = {out_must(json_array()), out_must(json_array())};
	int status;

	if (args->word_count)
		models.name = (char *)args->words[0];
	request.body_case = PLUG__REQUEST__BODY_MODELS;
	request.models = &models;
	status = ctl_request(ctl, &request, args->word_count ? args->words[0] : NULL,
			     ctl_timeout(ctl, CTL_ANSWER_MS), on_models, &reader);
	if (status == CTL_DONE)
		show(ctl, &reader, args->word_count);
	json_decref(reader.models);
	json_decref(reader.not_yet);
	return status;
}

const struct verb verb_models = {
	.name = "models",
	.args = "[NAME]",
	.summary = "show the model table: names, ways to run them, and who does",
	.help = "What models of plugd.yaml and the file that its models_file names declare: "
		"aliases, "
		"mode, port, when a model is loaded and unloaded, and its schemes in the order in "
		"which they are to be tried.  With NAME, a name or an alias, everything of one.  "
		"What "
		"is declared and this plugd does not do yet is said below.",
	.examples =
		(const struct verb_example[]){
			{"plugctl models", "all of them"},
			{"plugctl models chat", "one, by an alias"},
			{NULL},
		},
	.max_args = 1,
	.run = run,
};
