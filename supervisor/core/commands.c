#include "core/commands.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "core/suggest.h"

const char *const commands_reserved[] = {
	"add",      "bench",     "call",      "commands", "compare",  "completion", "config",
	"crashes",  "debug",     "devices",   "disable",  "discover", "doctor",     "enable",
	"events",   "find",      "forget",    "graph",    "help",     "info",       "install",
	"keys",     "list",      "load",      "logs",     "models",   "new",        "pack",
	"plugins",  "poison",    "reload",    "remove",   "reread",   "restart",    "run",
	"scale",    "scan",      "search",    "show",     "shutdown", "sign",       "size",
	"start",    "stats",     "status",    "stop",     "store",    "test",       "top",
	"trust",    "uninstall", "unload",    "upgrade",  "validate", "verify",     "version",
	"versions", "watch",     "dashboard", "metrics",  "use",      "dirs",       NULL,
};

/* What plugctl understands before and after every verb. */
static const char *const global_options[] = {"help",        "json",    "no-color", "no-pager",
					     "runtime-dir", "timeout", "version",  NULL};

/* ---- names ---- */

static bool
is_command_name(const char *text)
{
	size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return length && length <= 63 && !text[length] && islower((unsigned char)text[0]) &&
	       text[length - 1] != '-';
}

const struct field_names field_command_names = {
	.ok = is_command_name,
	.expected = "a name of at most 63 a-z, 0-9 and - that begins with a letter",
};

/* ---- values of options and arguments ---- */

/* Read by schema_declare() afterwards, which knows the type. */
static void
later_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
	     void *dest)
{
	(void)dest;
	if (node->kind == YAML_NULL || node->kind == YAML_MAP)
		field_refuse(ctx, field, node, NULL);
}

static void
later_expect(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	(void)field;
	snprintf(buffer, FIELD_TEXT_BYTES, "a value of the type");
}

static const struct field_type field_later = {.name = "of the type",
					      .size = sizeof(bool),
					      .decode = later_decode,
					      .expect = later_expect};

#define VALUE_FIELDS                                                                         \
	FIELD(struct command_value, "type", type, word, .words = schema_type_words,          \
	      .fallback = "string", .help = "What it may be."),                              \
		FIELD(struct command_value, "default", unused, later,                        \
		      .help = "Its value when it is not given."),                            \
		FIELD(struct command_value, "min", unused, later,                            \
		      .help = "Least value, as in config."),                                 \
		FIELD(struct command_value, "max", unused, later,                            \
		      .help = "Greatest value, as in config."),                              \
		FIELD(struct command_value, "values", values, strings, .min = 1, .max = 64,  \
		      .help = "The words of an enum."),                                      \
		FIELD(struct command_value, "required", required, bool, .fallback = "false", \
		      .help = "The command is not run without it."),                         \
		FIELD(struct command_value, "help", help, string, .max = 256,                \
		      .help = "One line for people.")

static void settle_value(struct field_ctx *ctx, const struct yaml_node *node, void *dest);

static const struct field option_fields[] = {
	VALUE_FIELDS,
	FIELD(struct command_value, "letter", letter, string, .min = 1, .max = 1,
	      .help = "One letter or digit, for -q."),
};
static const struct field_table option_table =
	FIELD_TABLE(struct command_value, option_fields, .check = settle_value);

static const struct field arg_fields[] = {
	FIELD(struct command_value, "name", name, name, .names = &field_command_names,
	      .flags = FIELD_REQUIRED, .help = "Its name, for help and for the plugin."),
	VALUE_FIELDS,
	FIELD(struct command_value, "many", many, bool, .fallback = "false",
	      .help = "The last one only: all words that are left."),
};
static const struct field_table arg_table =
	FIELD_TABLE(struct command_value, arg_fields, .check = settle_value);

/* The keys that a declaration of `config:` has, too. */
static bool
is_of_schema(const char *key)
{
	static const char *const keys[] = {"type", "default", "min", "max", "values", "required"};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (!strcmp(keys[i], key))
			return true;
	return false;
}

/* A copy of the declaration with those keys alone, and with a type. */
static bool
schema_part(struct field_ctx *ctx, const struct yaml_node *node, struct yaml_node *ret)
{
	struct yaml_node *copies = field_alloc(ctx, node, node->count + 1, sizeof(*copies));
	const struct yaml_node **tail = &ret->first;
	size_t used = 0;

	if (!copies)
		return false;
	*ret = *node;
	ret->kind = YAML_MAP;
	ret->first = NULL;
	ret->count = 0;
	if (!yaml_get(node, "type"))
		copies[used++] = (struct yaml_node){.kind = YAML_SCALAR,
						    .key = "type",
						    .text = "string",
						    .line = node->line,
						    .column = node->column};
	for (const struct yaml_node *child = node->first; child; child = child->next)
		if (is_of_schema(child->key))
			copies[used++] = *child;
	for (size_t i = 0; i < used; i++) {
		*tail = &copies[i];
		tail = &copies[i].next;
		ret->count++;
	}
	*tail = NULL;
	return true;
}

/* As it was written, where that can be read again; a path is whole by now. */
static void
keep_fallback(struct field_ctx *ctx, const struct yaml_node *node, struct command_value *value)
{
	const struct yaml_node *written = yaml_get(node, "default");

	if (!written || !value->key.fallback.is_set)
		return;
	if (written->kind == YAML_SCALAR && value->key.type != SCHEMA_PATH)
		value->fallback = field_keep(ctx, written, written->text);
	else
		value->fallback = value->key.fallback.text;
}

static void
check_value(struct field_ctx *ctx, const struct yaml_node *node, struct command_value *value)
{
	bool is_arg = yaml_get(node, "name") != NULL;

	if (value->letter && !isalnum((unsigned char)*value->letter))
		field_error(ctx, yaml_get(node, "letter"),
			    "letter: expected a letter or digit; found \"%s\"", value->letter);
	if (value->letter && (*value->letter == 'h' || *value->letter == 'j'))
		field_error(ctx, yaml_get(node, "letter"),
			    "letter: -%s is plugctl's own; expected another letter", value->letter);
	if (is_arg && (value->key.type == SCHEMA_LIST || value->key.type == SCHEMA_BOOL))
		field_error(ctx, yaml_get(node, "type"),
			    "type: an argument is no %s; expected another type%s",
			    schema_type_name(value->key.type),
			    value->key.type == SCHEMA_LIST ? ", with many: true" : "");
	if (!is_arg && value->key.type == SCHEMA_BOOL && value->required)
		field_error(
			ctx, yaml_get(node, "required"),
			"required: a bool that is not given is false; expected it to be left out");
}

static void
settle_value(struct field_ctx *ctx, const struct yaml_node *node, void *dest)
{
	struct command_value *value = dest;
	size_t errors = ctx->diags->errors;
	struct yaml_node part = {.kind = YAML_MAP};

	if (ctx->diags->errors != errors || !schema_part(ctx, node, &part) ||
	    !schema_declare(ctx, &part, &value->key))
		return;
	value->key.name = value->key.rule.key = value->name;
	keep_fallback(ctx, node, value);
	check_value(ctx, node, value);
}

/* ---- a command ---- */

static bool
takes_letter(const struct command *command, const char *letter, size_t until)
{
	const struct command_value *options = command->options.items;

	for (size_t i = 0; i < until; i++)
		if (options[i].letter && *options[i].letter == *letter)
			return true;
	return false;
}

static const struct yaml_node *
child_of(const struct yaml_node *node, const char *key, const char *name)
{
	const struct yaml_node *list = yaml_get(node, key);
	const struct yaml_node *child = list ? yaml_get(list, name) : NULL;

	return child ? child : list ? list : node; /* what plugd.yaml lays over has neither */
}

static void
check_options(struct field_ctx *ctx, const struct yaml_node *node, const struct command *command)
{
	const struct command_value *options = command->options.items;

	for (size_t i = 0; i < command->options.count; i++) {
		const struct command_value *option = &options[i];
		const struct yaml_node *at = child_of(node, "options", option->name);

		for (size_t k = 0; global_options[k]; k++)
			if (!strcmp(global_options[k], option->name))
				field_error(ctx, at,
					    "options: --%s is plugctl's own; expected another name",
					    option->name);
		if (option->letter && takes_letter(command, option->letter, i))
			field_error(
				ctx, at,
				"options: -%s is taken by another option; expected another letter",
				option->letter);
	}
}

static bool
names_before(const struct command *command, size_t arg)
{
	const struct command_value *args = command->args.items, *options = command->options.items;

	for (size_t i = 0; i < arg; i++)
		if (args[i].name && !strcmp(args[i].name, args[arg].name))
			return true;
	for (size_t i = 0; i < command->options.count; i++)
		if (!strcmp(options[i].name, args[arg].name))
			return true;
	return false;
}

static void
check_args(struct field_ctx *ctx, const struct yaml_node *node, const struct command *command)
{
	const struct yaml_node *list = yaml_get(node, "args"), *at = list ? list->first : NULL;
	const struct command_value *args = command->args.items;

	for (size_t i = 0; at && i < command->args.count; i++, at = at->next) {
		if (args[i].name && names_before(command, i))
			field_error(ctx, at,
				    "args: \"%s\" is the name of another one; expected a name of "
				    "its own",
				    args[i].name);
		if (args[i].many && i + 1 < command->args.count)
			field_error(
				ctx, at,
				"args: only the last one can be many; expected no other after it");
		if (i && args[i].required && !args[i - 1].required)
			field_error(ctx, at,
				    "args: \"%s\" is required, the one before it is not; expected "
				    "those that are required first",
				    args[i].name);
	}
}

static size_t
value_bytes(const struct command_value *value)
{
	size_t bytes = 64 + strlen(value->name ? value->name : "") +
		       strlen(value->help ? value->help : "") +
		       strlen(value->fallback ? value->fallback : "");

	for (size_t i = 0; i < value->values.count; i++)
		bytes += strlen(value->values.items[i]) + 4;
	return bytes;
}

static void
check_size(struct field_ctx *ctx, const struct yaml_node *node, const struct command *command)
{
	const struct command_value *options = command->options.items, *args = command->args.items;
	size_t bytes = 0;

	for (size_t i = 0; i < command->options.count; i++)
		bytes += value_bytes(&options[i]);
	for (size_t i = 0; i < command->args.count; i++)
		bytes += value_bytes(&args[i]);
	if (bytes > COMMAND_TEXT_BYTES)
		field_error(ctx, node, "found %zu bytes of names and texts; expected at most %zu",
			    bytes, COMMAND_TEXT_BYTES);
}

static void
check_command(struct field_ctx *ctx, const struct yaml_node *node, void *dest)
{
	const struct command *command = dest;

	check_options(ctx, node, command);
	check_args(ctx, node, command);
	check_size(ctx, node, command);
}

static const struct field command_fields[] = {
	FIELD(struct command, "help", help, string, .min = 1, .max = 4096, .flags = FIELD_REQUIRED,
	      .help = "What it does; the first line is what `plugctl help` shows."),
	FIELD(struct command, "method", method, name, .names = &field_identifiers,
	      .help = "Method that is called; the command's name when left out."),
	FIELD(struct command, "aliases", aliases, strings, .names = &field_command_names, .max = 8,
	      .help = "Other names of it."),
	FIELD(struct command, "stdin", takes_stdin, bool, .fallback = "false",
	      .help = "It gets what plugctl reads from its standard input."),
	FIELD(struct command, "options", options, entries, .table = &option_table,
	      .names = &field_command_names, .max = COMMAND_OPTIONS,
	      .help = "Its options by name."),
	FIELD(struct command, "args", args, sections, .table = &arg_table, .max = COMMAND_ARGS,
	      .help = "Its arguments by their place."),
};
const struct field_table command_table =
	FIELD_TABLE(struct command, command_fields, .check = check_command);

/* ---- all of them ---- */

const char *
command_method(const struct command *command)
{
	return command->method ? command->method : command->name;
}

static bool
has_word(const struct command *command, const char *word)
{
	return !strcmp(command->name, word) || field_strings_have(&command->aliases, word);
}

const struct command *
commands_find(const struct field_entries *commands, const char *word)
{
	const struct command *items = commands->items;

	for (size_t i = 0; i < commands->count; i++)
		if (has_word(&items[i], word))
			return &items[i];
	return NULL;
}

const char *
commands_clash(const struct field_entries *left, const struct field_entries *right)
{
	const struct command *items = left->items;

	for (size_t i = 0; i < left->count; i++) {
		if (commands_find(right, items[i].name))
			return items[i].name;
		for (size_t k = 0; k < items[i].aliases.count; k++)
			if (commands_find(right, items[i].aliases.items[k]))
				return items[i].aliases.items[k];
	}
	return NULL;
}

struct checked {
	const struct field_entries *commands;
	const char *plugin;
	const struct yaml_node *at; /* of the command in hand */
};

static void
check_word(struct field_ctx *ctx, const struct checked *checked, const struct command *command,
	   const char *word)
{
	const struct command *first = commands_find(checked->commands, word);

	for (size_t i = 0; commands_reserved[i]; i++)
		if (!strcmp(commands_reserved[i], word))
			field_error(ctx, checked->at,
				    "commands: \"%s\" is plugctl's own, \"%s\" cannot have it; "
				    "expected another name",
				    word, checked->plugin ? checked->plugin : "");
	if (first != command)
		field_error(ctx, checked->at,
			    "commands: \"%s\" is a name of \"%s\" already; expected another one",
			    word, first->name);
}

void
commands_check(struct field_ctx *ctx, const struct yaml_node *node,
	       const struct field_entries *commands, const char *plugin)
{
	struct checked checked = {.commands = commands, .plugin = plugin};
	const struct command *items = commands->items;

	for (size_t i = 0; i < commands->count; i++) {
		const struct command *command = &items[i];

		checked.at = child_of(node, "commands", command->name);
		check_word(ctx, &checked, command, command->name);
		for (size_t k = 0; k < command->aliases.count; k++) {
			if (!strcmp(command->aliases.items[k], command->name))
				field_error(ctx, checked.at,
					    "commands: \"%s\" is an alias of itself; expected "
					    "other names",
					    command->name);
			check_word(ctx, &checked, command, command->aliases.items[k]);
		}
	}
}
