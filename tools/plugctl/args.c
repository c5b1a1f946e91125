#include "args.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/suggest.h"
#include "core/units.h"
#include "verb.h"

struct parser {
	int argc, at;
	char **argv;
	struct args *args;
	char *why;
	size_t why_size;
};

const struct option_spec *
option_find(const struct option_spec *options, const char *name, size_t length)
{
	for (; options && options->name; options++)
		if (strlen(options->name) == length && memcmp(options->name, name, length) == 0)
			return options;
	return NULL;
}

const struct option_spec *
option_by_letter(const struct option_spec *options, char letter)
{
	for (; options && options->name; options++)
		if (options->letter == letter)
			return options;
	return NULL;
}

bool
args_duration_ms(const char *text, uint64_t *ret_ms)
{
	char seconds[UNITS_TEXT_BYTES];
	uint64_t ns;

	if (units_duration_ns(text, &ns) != UNITS_OK) {
		if (strlen(text) >= sizeof(seconds) - 1)
			return false;
		snprintf(seconds, sizeof(seconds), "%ss", text);
		if (units_duration_ns(seconds, &ns) != UNITS_OK)
			return false;
	}
	*ret_ms = (ns + 999999) / 1000000;
	return true;
}

static bool
count_value(const char *text, uint64_t *ret)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || number > INT_MAX)
		return false;
	*ret = number;
	return true;
}

static bool
take_value(struct parser *parser, const struct option_spec *option, const char *text)
{
	struct args *args = parser->args;
	struct args_given given = {.option = option, .text = text};

	if (option->arg && option->kind == ARGS_COUNT && !count_value(text, &given.number)) {
		snprintf(parser->why, parser->why_size, "--%s: \"%s\" is not a number",
			 option->name, text);
		return false;
	}
	if (option->arg && text &&
	    (option->kind == ARGS_DURATION || option->kind == ARGS_MAYBE_DURATION) &&
	    (!args_duration_ms(text, &given.number) || given.number == 0)) {
		snprintf(parser->why, parser->why_size,
			 "--%s: \"%s\" is not a duration; write for example 500ms, 30s or 2m",
			 option->name, text);
		return false;
	}
	if (args->given_count == ARGS_OPTIONS_MAX) {
		snprintf(parser->why, parser->why_size, "more than %d options", ARGS_OPTIONS_MAX);
		return false;
	}
	args->given[args->given_count++] = given;
	return true;
}

/* The next word is its value if it reads as one and could be no name: it begins with a digit. */
static bool
may_have_value(struct parser *parser, const struct option_spec *option)
{
	const char *next = parser->at + 1 < parser->argc ? parser->argv[parser->at + 1] : "";
	uint64_t ms;

	if (*next < '0' || *next > '9' || !args_duration_ms(next, &ms))
		return take_value(parser, option, NULL);
	return take_value(parser, option, parser->argv[++parser->at]);
}

static bool
needs_value(struct parser *parser, const struct option_spec *option)
{
	if (option->kind == ARGS_MAYBE_DURATION)
		return may_have_value(parser, option);
	if (parser->at + 1 >= parser->argc) {
		snprintf(parser->why, parser->why_size, "--%s needs a value: --%s %s", option->name,
			 option->name, option->arg);
		return false;
	}
	return take_value(parser, option, parser->argv[++parser->at]);
}

static void
unknown_option(struct parser *parser, const char *word, size_t length)
{
	const struct verb *verb = parser->args->verb;
	struct suggest suggest;
	char name[SUGGEST_NAME_BYTES];
	int written;

	snprintf(name, sizeof(name), "%.*s", (int)length, word + 2);
	suggest_start(&suggest, name);
	for (const struct option_spec *o = verb ? verb->options : NULL; o && o->name; o++)
		suggest_offer(&suggest, o->name);
	for (const struct option_spec *o = global_options; o->name; o++)
		suggest_offer(&suggest, o->name);
	written = snprintf(parser->why, parser->why_size, "there is no option %.*s",
			   (int)length + 2, word);
	if (suggest.best && written > 0 && (size_t)written < parser->why_size)
		snprintf(parser->why + written, parser->why_size - (size_t)written,
			 "; did you mean --%s?", suggest.best);
}

static bool
long_option(struct parser *parser, const char *word)
{
	const struct verb *verb = parser->args->verb;
	size_t length = strcspn(word + 2, "=");
	const char *value = word[2 + length] ? word + 2 + length + 1 : NULL;
	const struct option_spec *option =
		option_find(verb ? verb->options : NULL, word + 2, length);

	if (!option)
		option = option_find(global_options, word + 2, length);
	if (!option) {
		unknown_option(parser, word, length);
		return false;
	}
	if (value && !option->arg) {
		snprintf(parser->why, parser->why_size, "--%s takes no value", option->name);
		return false;
	}
	if (option->arg && !value)
		return needs_value(parser, option);
	return take_value(parser, option, value ? value : "");
}

static bool
short_options(struct parser *parser, const char *word)
{
	const struct verb *verb = parser->args->verb;

	for (const char *c = word + 1; *c; c++) {
		const struct option_spec *option =
			option_by_letter(verb ? verb->options : NULL, *c);

		if (!option)
			option = option_by_letter(global_options, *c);
		if (!option) {
			snprintf(parser->why, parser->why_size, "there is no option -%c", *c);
			return false;
		}
		if (option->arg)
			return c[1] ? take_value(parser, option, c + 1)
				    : needs_value(parser, option);
		if (!take_value(parser, option, ""))
			return false;
	}
	return true;
}

static void
take_word(struct args *args, const char *word)
{
	if (args->word_count == 0 && !args->verb)
		args->verb = verb_named(word);
	args->words[args->word_count++] = word;
}

bool
args_parse(int argc, char **argv, struct args *ret, char *why, size_t why_size)
{
	struct parser parser = {
		.argc = argc, .argv = argv, .args = ret, .why = why, .why_size = why_size};
	bool only_words = false;

	*ret = (struct args){.words = (const char **)argv};
	for (parser.at = 1; parser.at < argc; parser.at++) {
		const char *word = argv[parser.at];

		if (only_words || word[0] != '-' || !word[1])
			take_word(ret, word);
		else if (strcmp(word, "--") == 0)
			only_words = true;
		else if (ret->word_count && !ret->verb)
			return true; /* options of a verb that does not exist */
		else if (word[1] == '-' ? !long_option(&parser, word)
					: !short_options(&parser, word))
			return false;
	}
	if (ret->verb) {
		ret->words++;
		ret->word_count--;
	}
	return true;
}

static const struct args_given *
last_given(const struct args *args, const char *name)
{
	for (size_t i = args->given_count; i-- > 0;)
		if (strcmp(args->given[i].option->name, name) == 0)
			return &args->given[i];
	return NULL;
}

bool
args_flag(const struct args *args, const char *name)
{
	return last_given(args, name) != NULL;
}

const char *
args_text(const struct args *args, const char *name, const char *fallback)
{
	const struct args_given *given = last_given(args, name);

	return given ? given->text : fallback;
}

uint64_t
args_number(const struct args *args, const char *name, uint64_t fallback)
{
	const struct args_given *given = last_given(args, name);

	return given ? given->number : fallback;
}
