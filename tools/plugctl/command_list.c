#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "command.h"
#include "out.h"
#include "table.h"

#define QUIET_MS 1000 /* for a plugd that nobody asked for to answer */

/* A copy, for what comes in a response goes with it. */
static Plug__Command *
copy(const Plug__Command *command)
{
	size_t size = plug__command__get_packed_size(command);
	uint8_t *packed = out_must(malloc(size + 1));
	Plug__Command *made;

	plug__command__pack(command, packed);
	made = out_must(plug__command__unpack(NULL, size, packed));
	free(packed);
	return made;
}

static bool
on_commands(const Plug__Response *response, void *user)
{
	const Plug__Commands *commands = response->commands;
	struct command_list *list = user;

	if (response->outcome != PLUG_OK || response->body_case != PLUG__RESPONSE__BODY_COMMANDS)
		return true;
	for (size_t i = 0; i < commands->n_commands; i++) {
		list->items =
			out_must(realloc(list->items, (list->count + 1) * sizeof(Plug__Command *)));
		list->items[list->count++] = copy(commands->commands[i]);
	}
	return true;
}

int
command_list_ask(struct ctl *ctl, const char *word, const char *plugin, struct command_list *ret)
{
	Plug__CommandsRequest commands = PLUG__COMMANDS_REQUEST__INIT;
	Plug__Request request = PLUG__REQUEST__INIT;

	*ret = (struct command_list){0};
	request.body_case = PLUG__REQUEST__BODY_COMMANDS;
	request.commands = &commands;
	commands.word = (char *)(word ? word : "");
	commands.plugin = (char *)(plugin ? plugin : "");
	return ctl_request(ctl, &request, plugin, ctl_timeout(ctl, CTL_ANSWER_MS), on_commands,
			   ret);
}

bool
command_list_try(struct ctl *ctl, const char *word, struct command_list *ret)
{
	struct plug_client_config config = {.size = sizeof(config),
					    .runtime_dir = ctl->runtime_dir,
					    .name = "plugctl",
					    .connect_timeout_ms = QUIET_MS,
					    .spin_us = PLUG_SPIN_NEVER};
	Plug__CommandsRequest commands = PLUG__COMMANDS_REQUEST__INIT;
	Plug__Request request = PLUG__REQUEST__INIT;

	*ret = (struct command_list){0};
	if (!ctl->client && plug_client_open(&config, &ctl->client) != PLUG_OK)
		return false;
	request.body_case = PLUG__REQUEST__BODY_COMMANDS;
	request.commands = &commands;
	commands.word = (char *)(word ? word : "");
	return ctl_ask(ctl, &request, QUIET_MS, on_commands, ret) == PLUG_OK;
}

void
command_list_fini(struct command_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		plug__command__free_unpacked(list->items[i], NULL);
	free(list->items);
	*list = (struct command_list){0};
}

void
command_summary(const Plug__Command *command, char *text, size_t size)
{
	const char *help = plug_str(command->help);

	snprintf(text, size, "%.*s", (int)strcspn(help, "\n"), help);
}

/* ---- for plugctl help ---- */

void
command_help_all(struct ctl *ctl, FILE *to)
{
	struct command_list list;
	char summary[80], *safe;
	const char *plugin = "";

	if (!command_list_try(ctl, NULL, &list) || !list.count) {
		command_list_fini(&list);
		return;
	}
	fputs("\ncommands of plugins:\n", to);
	for (size_t i = 0; i < list.count; i++) {
		const Plug__Command *command = list.items[i];

		if (strcmp(plugin, plug_str(command->plugin)) != 0) {
			plugin = plug_str(command->plugin);
			fprintf(to, "  %s:\n", plugin);
		}
		command_summary(command, summary, sizeof(summary));
		safe = out_escape(summary, strlen(summary));
		fprintf(to, "    %-10s %s\n", plug_str(command->name), safe);
		free(safe);
	}
	command_list_fini(&list);
}

/* ---- the verb that lists them ---- */

static json_t *
value_json(const Plug__CommandValue *value)
{
	json_t *words = json_array();

	for (size_t i = 0; i < value->n_words; i++)
		json_array_append_new(words, out_json_text(value->words[i]));
	return json_pack(
		"{s:o, s:o, s:o, s:o, s:b, s:b, s:o, s:o}", "name",
		out_json_text(plug_str(value->name)), "type", out_json_text(plug_str(value->type)),
		"help", out_json_text(plug_str(value->help)), "letter",
		out_json_text(plug_str(value->letter)), "required", (int)value->required, "many",
		(int)value->many, "default",
		value->has_default ? out_json_text(plug_str(value->default_)) : json_null(),
		"values", words);
}

static json_t *
values_json(Plug__CommandValue *const *values, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(array, value_json(values[i]));
	return array;
}

static json_t *
command_json(const Plug__Command *command)
{
	json_t *aliases = json_array();

	for (size_t i = 0; i < command->n_aliases; i++)
		json_array_append_new(aliases, out_json_text(command->aliases[i]));
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:o}", "name",
			 out_json_text(plug_str(command->name)), "plugin",
			 out_json_text(plug_str(command->plugin)), "state",
			 out_json_text(plug_str(command->state)), "help",
			 out_json_text(plug_str(command->help)), "method",
			 out_json_text(plug_str(command->method)), "stdin",
			 (int)command->takes_stdin, "aliases", aliases, "options",
			 values_json(command->options, command->n_options), "args",
			 values_json(command->args, command->n_args));
}

static void
show_table(const struct command_list *list)
{
	static const char *const heads[] = {"COMMAND", "ALIASES", "PLUGIN", "STATE", "HELP", NULL};
	struct table *table = table_new(heads);
	char summary[160];

	for (size_t i = 0; i < list->count; i++) {
		const Plug__Command *command = list->items[i];
		char aliases[160] = "";
		size_t used = 0;

		for (size_t k = 0; k < command->n_aliases && used < sizeof(aliases); k++)
			used += (size_t)snprintf(aliases + used, sizeof(aliases) - used, "%s%s",
						 k ? ", " : "", command->aliases[k]);
		command_summary(command, summary, sizeof(summary));
		table_cell(table, OUT_BOLD, "%s", plug_str(command->name));
		table_cell(table, OUT_PLAIN, "%s", aliases);
		table_cell(table, OUT_PLAIN, "%s", plug_str(command->plugin));
		table_cell(table, out_state_color(plug_str(command->state)), "%s",
			   plug_str(command->state));
		table_cell(table, OUT_PLAIN, "%s", summary);
		table_row(table);
	}
	table_print(table);
	table_free(table);
}

static void
show_names(const struct command_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		out_line(plug_str(list->items[i]->name));
		for (size_t k = 0; k < list->items[i]->n_aliases; k++)
			out_line(list->items[i]->aliases[k]);
	}
}

static void
show_options(const struct command_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		for (size_t k = 0; k < list->items[i]->n_options; k++)
			printf("--%s\n", plug_str(list->items[i]->options[k]->name));
}

static void
show_json(const struct command_list *list)
{
	json_t *array = json_array();

	for (size_t i = 0; i < list->count; i++)
		json_array_append_new(array, command_json(list->items[i]));
	out_json(json_pack("{s:o}", "commands", array));
}

static int
run(struct ctl *ctl, const struct args *args)
{
	const char *plugin = args->word_count ? args->words[0] : NULL;
	const char *options = args_text(args, "options", NULL);
	struct command_list list;
	int status;

	if (ctl->json + args_flag(args, "names") + (options != NULL) > 1)
		return ctl_usage(ctl, "--names, --options and --json exclude each other");
	status = command_list_ask(ctl, options, plugin, &list);
	if (status != CTL_DONE)
		; /* said */
	else if (ctl->json)
		show_json(&list);
	else if (options)
		show_options(&list);
	else if (args_flag(args, "names"))
		show_names(&list);
	else if (list.count)
		show_table(&list);
	else
		puts("no commands of plugins");
	command_list_fini(&list);
	return status;
}

const struct verb verb_commands = {
	.name = "commands",
	.args = "[NAME]",
	.summary = "show the commands that plugins add to plugctl",
	.help = "Lists the commands of all plugins, or of the plugin NAME.  Each is typed as a "
		"verb "
		"is: plugctl COMMAND.  `plugctl COMMAND --help` explains it; `plugctl help` lists "
		"them below the verbs.  A command is there as long as its plugin is; while that is "
		"not running, calling it says so.",
	.options =
		(const struct option_spec[]){
			{"names", 0, NULL, "print names and aliases only, one a line"},
			{"options", 0, "COMMAND", "print the options of one command, one a line"},
			{NULL},
		},
	.examples =
		(const struct verb_example[]){
			{"plugctl commands", "what there is"},
			{"plugctl commands --json | jq '.commands[] | {name, plugin}'",
			 "for a script"},
			{NULL},
		},
	.complete = COMPLETE_PLUGIN,
	.max_args = 1,
	.paged = true,
	.run = run,
};
