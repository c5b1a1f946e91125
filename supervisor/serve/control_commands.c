/* commands: what plugins add to plugctl. */
#include <string.h>

#include "serve/answer.h"
#include "serve/control_private.h"

static size_t
count_words(const char *const *words)
{
	size_t count = 0;

	while (words && words[count])
		count++;
	return count;
}

static void
fill_value(Plug__CommandValue *message, const struct command_value *value)
{
	const struct field *rule = &value->key.rule;

	plug__command_value__init(message);
	message->name = (char *)value->name;
	message->letter = (char *)plug_str(value->letter);
	message->help = (char *)plug_str(value->help);
	message->type = (char *)schema_type_name(value->key.type);
	message->required = value->required;
	message->many = value->many;
	message->has_default = value->fallback != NULL;
	message->default_ = (char *)plug_str(value->fallback);
	message->min = rule->min;
	message->max = rule->max;
	message->min_float = rule->min_float;
	message->max_float = rule->max_float;
	message->words = (char **)rule->words;
	message->n_words = count_words(rule->words);
}

/* Messages of `count` values; *ret_count is 0 when memory is short. */
static Plug__CommandValue **
fill_values(const struct command_value *values, size_t count, struct arena *arena,
	    size_t *ret_count)
{
	MAKE_LIST(arena, Plug__CommandValue, count, items, pointers);

	if (!items || !pointers)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		fill_value(&items[i], &values[i]);
		pointers[i] = &items[i];
	}
	*ret_count = count;
	return pointers;
}

static void
send_command(const struct control_ctx *ctx, const struct plugin *plugin,
	     const struct command *command)
{
	Plug__Command message = PLUG__COMMAND__INIT, *list[1] = {&message};
	Plug__Response response = PLUG__RESPONSE__INIT;
	Plug__Commands commands = PLUG__COMMANDS__INIT;
	struct arena arena;

	arena_init(&arena, CONTROL_ARENA_BYTES);
	message.name = (char *)command->name;
	message.plugin = (char *)plugin_name(plugin);
	message.help = (char *)command->help;
	message.method = (char *)command_method(command);
	message.aliases = (char **)command->aliases.items;
	message.n_aliases = command->aliases.count;
	message.takes_stdin = command->takes_stdin;
	message.state = (char *)plugin_word(plugin);
	message.options = fill_values(command->options.items, command->options.count, &arena,
				      &message.n_options);
	message.args =
		fill_values(command->args.items, command->args.count, &arena, &message.n_args);
	commands.commands = list;
	commands.n_commands = 1;
	response.more = true;
	response.body_case = PLUG__RESPONSE__BODY_COMMANDS;
	response.commands = &commands;
	control_answer(ctx->client, ctx->id, &response);
	arena_fini(&arena);
}

static void
send_those_of(const struct control_ctx *ctx, const struct plugin *plugin, const char *word)
{
	const struct manifest *m = plugin->spec->manifest;
	const struct command *commands = m->commands.items;

	for (size_t i = 0; i < m->commands.count; i++)
		if (!*word || commands_find(&m->commands, word) == &commands[i])
			send_command(ctx, plugin, &commands[i]);
}

void
control_commands(const struct control_ctx *ctx, const Plug__CommandsRequest *request)
{
	const char *word = plug_str(request->word), *name = plug_str(request->plugin);
	Plug__Commands none = PLUG__COMMANDS__INIT;
	Plug__Response response = PLUG__RESPONSE__INIT;

	if (*name && !control_plugin(ctx, name))
		return;
	LIST_FOREACH (plugin, &ctx->control->registry->plugins, struct plugin, node)
		if ((!*name || !strcmp(plugin_name(plugin), name)) && !plugin->removed)
			send_those_of(ctx, plugin, word);
	response.body_case = PLUG__RESPONSE__BODY_COMMANDS;
	response.commands = &none;
	control_answer(ctx->client, ctx->id, &response);
}
