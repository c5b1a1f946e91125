#include <locale.h>
#include <plug/command.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"

struct plug_command {
	struct plug_call *call;
	Plug__CommandCall *said;
	char *input; /* with a NUL behind it */
	plug_err failed;
};

plug_err
plug_command_open(struct plug_call *call, struct plug_command **ret)
{
	struct plug_command *command;
	size_t size;
	const void *data = plug_call_payload(call, &size);
	plug_err err;

	if (strcmp(plug_call_content_type(call), PLUG_COMMAND_TYPE) != 0)
		return plug_fail(
			call, PLUG_EINVAL,
			"found a payload of the type \"%.100s\", expected a command's: run "
			"it as plugctl COMMAND",
			plug_call_content_type(call));
	command = calloc(1, sizeof(*command));
	err = command ? plug_command_call_unpack(data, size, &command->said) : PLUG_ENOMEM;
	if (!err) {
		command->input = malloc(command->said->input.len + 1);
		err = command->input ? PLUG_OK : PLUG_ENOMEM;
	}
	if (err) {
		plug_command_free(command);
		return plug_fail(call, err, "the command cannot be read: %s", plug_err_text(err));
	}
	if (command->said->input.len)
		memcpy(command->input, command->said->input.data, command->said->input.len);
	command->input[command->said->input.len] = '\0';
	command->call = call;
	*ret = command;
	return PLUG_OK;
}

void
plug_command_free(struct plug_command *command)
{
	if (!command)
		return;
	plug_command_call_free(command->said);
	free(command->input);
	free(command);
}

/* ---- what was said ---- */

const char *
plug_command_name(const struct plug_command *command)
{
	return plug_str(command->said->command);
}

static const Plug__CommandArgument *
find(const struct plug_command *command, const char *name)
{
	for (size_t i = 0; i < command->said->n_values; i++)
		if (strcmp(plug_str(command->said->values[i]->name), name) == 0)
			return command->said->values[i];
	return NULL;
}

/* Its first value, if it is of one of these types, which end with NULL. */
static const char *
typed(const struct plug_command *command, const char *name, const char *const *types)
{
	const Plug__CommandArgument *argument = find(command, name);

	for (; argument && argument->n_values && *types; types++)
		if (strcmp(plug_str(argument->type), *types) == 0)
			return plug_str(argument->values[0]);
	return NULL;
}

bool
plug_command_given(const struct plug_command *command, const char *name)
{
	const Plug__CommandArgument *argument = find(command, name);

	return argument && argument->given;
}

const char *
plug_command_string(const struct plug_command *command, const char *name, const char *fallback)
{
	static const char *const types[] = {"string", "enum", "path", NULL};
	const char *value = typed(command, name, types);

	return value ? value : fallback;
}

int64_t
plug_command_int(const struct plug_command *command, const char *name, int64_t fallback)
{
	static const char *const types[] = {"int", NULL};
	const char *value = typed(command, name, types);

	return value ? strtoll(value, NULL, 10) : fallback;
}

double
plug_command_float(const struct plug_command *command, const char *name, double fallback)
{
	static const char *const types[] = {"float", NULL};
	const char *value = typed(command, name, types);
	locale_t c = value ? newlocale(LC_NUMERIC_MASK, "C", (locale_t)0) : (locale_t)0;
	double number = fallback;

	if (value)
		number = c ? strtod_l(value, NULL, c) : strtod(value, NULL);
	if (c)
		freelocale(c);
	return number;
}

bool
plug_command_bool(const struct plug_command *command, const char *name)
{
	static const char *const types[] = {"bool", NULL};
	const char *value = typed(command, name, types);

	return value && strcmp(value, "true") == 0;
}

uint64_t
plug_command_duration_ns(const struct plug_command *command, const char *name, uint64_t fallback)
{
	static const char *const types[] = {"duration", NULL};
	const char *value = typed(command, name, types);

	return value ? strtoull(value, NULL, 10) : fallback;
}

uint64_t
plug_command_bytes(const struct plug_command *command, const char *name, uint64_t fallback)
{
	static const char *const types[] = {"bytes", NULL};
	const char *value = typed(command, name, types);

	return value ? strtoull(value, NULL, 10) : fallback;
}

size_t
plug_command_count(const struct plug_command *command, const char *name)
{
	const Plug__CommandArgument *argument = find(command, name);

	return argument ? argument->n_values : 0;
}

const char *
plug_command_item(const struct plug_command *command, const char *name, size_t index)
{
	const Plug__CommandArgument *argument = find(command, name);

	return argument && index < argument->n_values ? plug_str(argument->values[index]) : NULL;
}

const void *
plug_command_input(const struct plug_command *command, size_t *ret_size)
{
	if (ret_size)
		*ret_size = command->said->input.len;
	return command->input;
}

const char *
plug_command_directory(const struct plug_command *command)
{
	return plug_str(command->said->directory);
}

unsigned
plug_command_columns(const struct plug_command *command)
{
	return command->said->columns;
}

/* ---- the answer ---- */

plug_err
plug_command_write(struct plug_command *command, enum plug_command_stream stream, const void *data,
		   size_t size)
{
	const char *type = stream == PLUG_COMMAND_STDERR ? PLUG_STDERR_TYPE : PLUG_STDOUT_TYPE;

	if (!command->failed && size)
		command->failed = plug_reply_piece(command->call, type, data, size);
	return command->failed;
}

static plug_err
write_format(struct plug_command *command, enum plug_command_stream stream, const char *format,
	     va_list args)
{
	char *text = NULL;
	int size = vasprintf(&text, format, args);
	plug_err err;

	if (size < 0)
		return command->failed = PLUG_ENOMEM;
	err = plug_command_write(command, stream, text, (size_t)size);
	free(text);
	return err;
}

plug_err
plug_command_print(struct plug_command *command, const char *format, ...)
{
	va_list args;
	plug_err err;

	va_start(args, format);
	err = write_format(command, PLUG_COMMAND_STDOUT, format, args);
	va_end(args);
	return err;
}

plug_err
plug_command_complain(struct plug_command *command, const char *format, ...)
{
	va_list args;
	plug_err err;

	va_start(args, format);
	err = write_format(command, PLUG_COMMAND_STDERR, format, args);
	va_end(args);
	return err;
}

plug_err
plug_command_end(struct plug_command *command, unsigned status)
{
	plug_err err = command->failed;
	char text[16];
	int size = snprintf(text, sizeof(text), "%u", status & 255);

	if (err == PLUG_ESTATE)
		plug_fail(command->call, err,
			  "the method cannot write: it is not declared PLUG_METHOD_STREAM");
	if (!err)
		err = plug_reply(command->call, PLUG_EXIT_TYPE, text, (size_t)size);
	plug_command_free(command);
	return err;
}
