/* A plugin's command as a verb, and its values from the words that were typed. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codec.h"
#include "command.h"
#include "command_run.h"
#include "core/schema.h"
#include "out.h"

/* ---- the verb ---- */

/* A verb and the texts that were made for it. */
struct made {
	struct verb verb;
	struct option_spec *options;
	char **texts;
	size_t count;
};

static char *
keep(struct made *made, char *text)
{
	made->texts = out_must(realloc(made->texts, (made->count + 1) * sizeof(char *)));
	return made->texts[made->count++] = text;
}

static char *
upper(const char *name)
{
	char *text = out_must(strdup(name));

	for (char *c = text; *c; c++)
		if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - 'a' + 'A');
	return text;
}

static void
list_words(FILE *to, const Plug__CommandValue *value)
{
	for (size_t i = 0; i < value->n_words; i++)
		fprintf(to, "%s%s", i ? ", " : "one of ", value->words[i]);
}

/* "how good (90)", "what it becomes: one of png, jpeg (required)" */
static char *
value_help(const Plug__CommandValue *value)
{
	const char *help = plug_str(value->help);
	char *text = NULL;
	size_t size;
	FILE *to = out_must(open_memstream(&text, &size));
	char *safe = out_escape(help, strlen(help));

	fputs(safe, to);
	free(safe);
	if (value->n_words) {
		fputs(*help ? ": " : "", to);
		list_words(to, value);
	} else if (!*help && strcmp(value->type, "bool") != 0) {
		fprintf(to, "a value of type %s", value->type);
	}
	if (value->required)
		fputs(" (required)", to);
	else if (value->has_default && strcmp(value->type, "bool") != 0)
		fprintf(to, " (%s)", plug_str(value->default_));
	fclose(to);
	return out_must(text);
}

static struct option_spec *
make_options(struct made *made, const Plug__Command *command)
{
	struct option_spec *options = out_must(calloc(command->n_options + 1, sizeof(*options)));

	for (size_t i = 0; i < command->n_options; i++) {
		const Plug__CommandValue *value = command->options[i];
		bool flag = strcmp(value->type, "bool") == 0;
		bool is_path = strcmp(value->type, "path") == 0;

		options[i] = (struct option_spec){
			.name = value->name,
			.letter = *plug_str(value->letter),
			.arg = flag ? NULL : keep(made, upper(is_path ? "file" : value->type)),
			.help = keep(made, value_help(value)),
			.complete = is_path ? COMPLETE_FILE : COMPLETE_NOTHING,
		};
	}
	return options;
}

/* "FILE [MORE…]" */
static char *
make_args(const Plug__Command *command)
{
	char *text = NULL, *name;
	size_t size;
	FILE *to = out_must(open_memstream(&text, &size));

	for (size_t i = 0; i < command->n_args; i++) {
		const Plug__CommandValue *arg = command->args[i];

		name = upper(arg->name);
		fprintf(to, "%s%s%s%s%s", i ? " " : "", arg->required ? "" : "[", name,
			arg->many ? "…" : "", arg->required ? "" : "]");
		free(name);
	}
	fclose(to);
	return out_must(text);
}

static char *
make_help(const Plug__Command *command)
{
	char *text = NULL, *name, *help;
	size_t size;
	FILE *to = out_must(open_memstream(&text, &size));

	for (const char *at = plug_str(command->help); *at;) {
		size_t length = strcspn(at, "\n");

		help = out_escape(at, length);
		fprintf(to, "%s%s", help, at[length] ? "\n" : "");
		free(help);
		at += length + (at[length] == '\n');
	}
	fprintf(to, "\n\nA command of the plugin %s", plug_str(command->plugin));
	for (size_t i = 0; i < command->n_aliases; i++)
		fprintf(to, "%s%s", i ? ", " : "; also ", command->aliases[i]);
	fputs(command->takes_stdin ? ".  It reads the standard input." : ".", to);
	for (size_t i = 0; i < command->n_args; i++) {
		name = upper(command->args[i]->name);
		help = value_help(command->args[i]);
		fprintf(to, "%s%s: %s", i ? "\n" : "\n\n", name, help);
		free(help);
		free(name);
	}
	fclose(to);
	return out_must(text);
}

static size_t
required_args(const Plug__Command *command)
{
	size_t count = 0;

	while (count < command->n_args && command->args[count]->required)
		count++;
	return count;
}

const struct verb *
command_verb(const Plug__Command *command)
{
	struct made *made = out_must(calloc(1, sizeof(*made)));
	size_t count = command->n_args;
	const char *args = keep(made, make_args(command));

	made->options = make_options(made, command);
	made->verb = (struct verb){
		.name = command->name,
		.args = *args ? args : NULL,
		.summary = plug_str(command->help),
		.help = keep(made, make_help(command)),
		.options = command->n_options ? made->options : NULL,
		.complete = COMPLETE_FILE,
		.min_args = required_args(command),
		.max_args = count && command->args[count - 1]->many ? VERB_ANY : count,
		.run = command_run,
	};
	command_run_this = command;
	return &made->verb;
}

void
command_verb_free(const struct verb *verb)
{
	struct made *made = (struct made *)verb; /* its first member */

	if (!made)
		return;
	for (size_t i = 0; i < made->count; i++)
		free(made->texts[i]);
	free(made->texts);
	free(made->options);
	free(made);
}

/* ---- values ---- */

struct reader {
	struct arena *arena;
	char *why;
	size_t why_size;
	char directory[PATH_MAX];
};

static bool
make_key(const Plug__CommandValue *value, struct arena *arena, struct schema_key *key)
{
	const char **words = arena_array(arena, value->n_words + 1, sizeof(*words));
	int type = 0;

	while (schema_type_words[type] && strcmp(schema_type_words[type], plug_str(value->type)))
		type++;
	if (!words || !schema_type_words[type])
		return false;
	for (size_t i = 0; i < value->n_words; i++)
		words[i] = value->words[i];
	*key = (struct schema_key){
		.name = value->name,
		.type = (enum schema_type)type,
		.rule = {.key = value->name,
			 .type = schema_decoder((enum schema_type)type),
			 .min = value->min,
			 .max = value->max,
			 .min_float = value->min_float,
			 .max_float = value->max_float,
			 .words = words},
	};
	return true;
}

/* "--quality: expected a whole number from 1 to 100; found …" */
static bool
refuse(struct reader *reader, const char *dashes, const struct diags *diags)
{
	snprintf(reader->why, reader->why_size, "%s%s", dashes,
		 diags->first ? diags->first->message : "cannot be read");
	return false;
}

/* Adds what `text` means to the argument. */
static bool
add_value(struct reader *reader, const Plug__CommandValue *value, const char *dashes,
	  const char *text, Plug__CommandArgument *argument)
{
	struct schema_value decoded;
	struct schema_key key;
	struct diags diags;
	struct field_ctx ctx = {.arena = reader->arena,
				.diags = &diags,
				.file = value->name,
				.base_dir = reader->directory};
	bool done;

	diags_init(&diags);
	if (!make_key(value, reader->arena, &key)) {
		diags_fini(&diags);
		snprintf(reader->why, reader->why_size,
			 "%s%s has a type that this plugctl does not know: update it", dashes,
			 value->name);
		return false;
	}
	field_enter(&ctx, value->name);
	done = schema_decode_text(&ctx, &key, text, &decoded) || refuse(reader, dashes, &diags);
	diags_fini(&diags);
	if (done && key.type == SCHEMA_LIST) {
		argument->values = (char **)decoded.list.items;
		argument->n_values = decoded.list.count;
	} else if (done) {
		argument->values[argument->n_values++] = (char *)decoded.text;
	}
	return done;
}

static Plug__CommandArgument *
new_argument(struct reader *reader, Plug__CommandCall *call, const Plug__CommandValue *value,
	     size_t values)
{
	Plug__CommandArgument *argument =
		out_must(arena_array(reader->arena, 1, sizeof(*argument)));

	plug__command_argument__init(argument);
	argument->name = value->name;
	argument->type = value->type;
	argument->values = out_must(arena_array(reader->arena, values + 1, sizeof(char *)));
	call->values[call->n_values++] = argument;
	return argument;
}

/* What was given for an option; of a list all of it, with commas between.  NULL: nothing. */
static const char *
given_text(struct reader *reader, const struct args *args, const Plug__CommandValue *value)
{
	bool list = strcmp(value->type, "list") == 0;
	const char *text = NULL;

	for (size_t i = 0; i < args->given_count; i++) {
		if (strcmp(args->given[i].option->name, value->name) != 0)
			continue;
		if (list && text)
			text = out_must(
				arena_printf(reader->arena, "%s,%s", text, args->given[i].text));
		else
			text = args->given[i].text;
	}
	return text && strcmp(value->type, "bool") == 0 ? "true" : text;
}

static bool
read_option(struct reader *reader, const struct args *args, const Plug__CommandValue *value,
	    Plug__CommandCall *call)
{
	const char *text = given_text(reader, args, value);
	Plug__CommandArgument *argument;

	if (!text && value->required) {
		char *help = value_help(value);

		snprintf(reader->why, reader->why_size, "--%s is missing: %s", value->name, help);
		free(help);
		return false;
	}
	if (!text && !value->has_default)
		return true;
	argument = new_argument(reader, call, value, 1);
	argument->given = text != NULL;
	return add_value(reader, value, "--", text ? text : value->default_, argument);
}

static bool
read_arg(struct reader *reader, const struct args *args, size_t at, const Plug__CommandValue *value,
	 Plug__CommandCall *call)
{
	size_t left = at < args->word_count ? args->word_count - at : 0;
	size_t taken = value->many ? left : left > 0;
	Plug__CommandArgument *argument;

	if (!taken && !value->has_default)
		return true; /* those that are required were counted before */
	argument = new_argument(reader, call, value, taken ? taken : 1);
	argument->given = taken > 0;
	if (!taken)
		return add_value(reader, value, "", value->default_, argument);
	for (size_t i = 0; i < taken; i++)
		if (!add_value(reader, value, "", args->words[at + i], argument))
			return false;
	return true;
}

bool
command_values(const Plug__Command *command, const struct args *args, struct arena *arena,
	       Plug__CommandCall *call, char *why, size_t why_size)
{
	struct reader reader = {.arena = arena, .why = why, .why_size = why_size};

	if (!getcwd(reader.directory, sizeof(reader.directory)))
		snprintf(reader.directory, sizeof(reader.directory), "/");
	call->command = command->name;
	call->directory = out_must(arena_strdup(arena, reader.directory));
	call->values = out_must(
		arena_array(arena, command->n_options + command->n_args + 1, sizeof(void *)));
	for (size_t i = 0; i < command->n_options; i++)
		if (!read_option(&reader, args, command->options[i], call))
			return false;
	for (size_t i = 0; i < command->n_args; i++)
		if (!read_arg(&reader, args, i, command->args[i], call))
			return false;
	return true;
}
