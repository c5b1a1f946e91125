#include "usage.h"

#include <string.h>

#include "format.h"

#define LINE_WIDTH   80
#define OPTION_WIDTH 28

const char *
usage_option(const struct option_spec *option, char buffer[USAGE_OPTION_BYTES])
{
	char letter[5] = "    ";

	if (option->letter)
		snprintf(letter, sizeof(letter), "-%c, ", option->letter);
	snprintf(buffer, USAGE_OPTION_BYTES, "%s--%s%s%s", letter, option->name,
		 option->arg ? " " : "", option->arg ? option->arg : "");
	return buffer;
}

/* Words up to the margin, from a column on; paragraphs are parted by empty lines. */
static void
wrap(FILE *to, const char *text, size_t margin)
{
	size_t column = 0, width_left = LINE_WIDTH - margin;

	while (*text) {
		size_t length = strcspn(text, " \n"), width = 0;

		for (size_t i = 0; i < length; i++)
			width += ((unsigned char)text[i] & 0xc0) != 0x80;
		if (column && column + 1 + width > width_left) {
			fprintf(to, "\n%*s", (int)margin, "");
			column = 0;
		} else if (column && length) {
			fputc(' ', to);
			column++;
		}
		fwrite(text, 1, length, to);
		column += width;
		text += length;
		if (*text == '\n') {
			fputc('\n', to);
			column = 0;
		}
		text += *text ? 1 : 0;
	}
	fputc('\n', to);
}

static void
options(FILE *to, const struct option_spec *options_of)
{
	char text[USAGE_OPTION_BYTES];

	for (const struct option_spec *o = options_of; o && o->name; o++) {
		fprintf(to, "  %-*s ", OPTION_WIDTH, usage_option(o, text));
		wrap(to, o->help, OPTION_WIDTH + 3);
	}
}

void
usage_verb(FILE *to, const struct verb *verb)
{
	fprintf(to, "usage: plugctl [global options] %s%s%s%s\n\n", verb->name,
		verb->options ? " [options]" : "", verb->args ? " " : "",
		verb->args ? verb->args : "");
	wrap(to, verb->help, 0);
	if (verb->options && verb->options->name) {
		fputs("\noptions:\n", to);
		options(to, verb->options);
	}
	fputs("\nglobal options:\n", to);
	options(to, global_options);
	if (verb->examples)
		fputs("\nexamples:\n", to);
	for (const struct verb_example *e = verb->examples; e && e->command; e++)
		fprintf(to, "  # %s\n  %s\n", e->text, e->command);
}

void
usage_all(FILE *to)
{
	fputs("usage: plugctl [global options] VERB …\n\n"
	      "plugctl asks plugd, the plugin supervisor, about its plugins and directs them.\n\n"
	      "verbs:\n",
	      to);
	for (const struct verb *const *verb = verbs; *verb; verb++)
		fprintf(to, "  %-10s %s\n", (*verb)->name, (*verb)->summary);
	fputs("\nglobal options:\n", to);
	options(to, global_options);
	fputs("\nexit status:\n", to);
	for (const struct exit_text *e = exit_texts; e->text; e++)
		fprintf(to, "  %d  %s\n", e->status, e->text);
	fputs("\n`plugctl VERB --help` explains one verb.\n", to);
}

/* ---- for programs ---- */

static json_t *
options_json(const struct option_spec *options_of)
{
	json_t *list = json_array();

	for (const struct option_spec *o = options_of; o && o->name; o++) {
		char letter[2] = {o->letter};

		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s?, s:s}", "name", o->name, "letter",
						letter, "arg", o->arg, "help", o->help));
	}
	return list;
}

json_t *
usage_verb_json(const struct verb *verb)
{
	json_t *examples = json_array();

	for (const struct verb_example *e = verb->examples; e && e->command; e++)
		json_array_append_new(
			examples, json_pack("{s:s, s:s}", "command", e->command, "text", e->text));
	return json_pack("{s:s, s:s, s:s?, s:s, s:o, s:o, s:o}", "name", verb->name, "args",
			 verb->args ? verb->args : "", "summary", verb->summary, "help", verb->help,
			 "options", options_json(verb->options), "global_options",
			 options_json(global_options), "examples", examples);
}

json_t *
usage_all_json(void)
{
	json_t *list = json_array(), *statuses = json_array();

	for (const struct verb *const *verb = verbs; *verb; verb++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", (*verb)->name,
						      "args", (*verb)->args ? (*verb)->args : "",
						      "summary", (*verb)->summary));
	for (const struct exit_text *e = exit_texts; e->text; e++)
		json_array_append_new(
			statuses, json_pack("{s:i, s:s}", "status", e->status, "text", e->text));
	return json_pack("{s:o, s:o, s:o}", "verbs", list, "global_options",
			 options_json(global_options), "exit_statuses", statuses);
}
