/* Properties of the whole verb table, and of what is generated from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/commands.h"
#include "generate.h"
#include "usage.h"

static char *
text_of(void (*generate)(FILE *))
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	generate(to);
	fclose(to);
	return text;
}

static char *
usage_text(const struct verb *verb)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	usage_verb(to, verb);
	fclose(to);
	return text;
}

static void
check_summary(const char *whose, const char *text)
{
	if (!text || !*text || text[strlen(text) - 1] == '.' || strchr(text, '\n'))
		fail_msg("%s: its summary is one line without a full stop", whose);
}

static void
check_options(const char *whose, const struct option_spec *options)
{
	for (const struct option_spec *o = options; o && o->name; o++) {
		check_summary(o->name, o->help);
		assert_ptr_equal(option_find(options, o->name, strlen(o->name)), o);
		if (o->letter && option_by_letter(options, o->letter) != o)
			fail_msg("%s: two options have the letter -%c", whose, o->letter);
		if (o->kind != ARGS_TEXT && !o->arg)
			fail_msg("%s: --%s is checked and takes no value", whose, o->name);
		if (options == global_options)
			continue;
		if (option_find(global_options, o->name, strlen(o->name)) ||
		    (o->letter && option_by_letter(global_options, o->letter)))
			fail_msg("%s: --%s hides a global option", whose, o->name);
	}
}

static void
test_every_verb_is_complete(void **state)
{
	(void)state;
	check_options("plugctl", global_options);
	for (const struct verb *const *verb = verbs; *verb; verb++) {
		const struct verb *v = *verb;

		check_summary(v->name, v->summary);
		check_options(v->name, v->options);
		assert_non_null(v->run);
		assert_non_null(v->help);
		assert_true(strlen(v->help) > 30);
		assert_true(v->max_args >= v->min_args);
		assert_ptr_equal(verb_named(v->name), v);
		if ((v->max_args > 0) != (v->args != NULL))
			fail_msg("%s: its arguments and its usage disagree", v->name);
		if (v->complete != COMPLETE_NOTHING && v->max_args == 0)
			fail_msg("%s: takes no arguments, but completes them", v->name);
	}
}

/* Examples are commands that would be accepted. */
static void
test_examples_are_accepted(void **state)
{
	(void)state;
	for (const struct verb *const *verb = verbs; *verb; verb++) {
		for (const struct verb_example *e = (*verb)->examples; e && e->command; e++) {
			char line[512], *argv[32], *rest, why[256];
			struct args args;
			int argc = 0;

			snprintf(line, sizeof(line), "%s", e->command);
			line[strcspn(line, "|")] = '\0';
			for (char *word = strtok_r(line, " ", &rest); word;
			     word = strtok_r(NULL, " ", &rest))
				argv[argc++] = word;
			assert_string_equal(argv[0], "plugctl");
			if (!args_parse(argc, argv, &args, why, sizeof(why)))
				fail_msg("%s: %s", e->command, why);
			assert_ptr_equal(args.verb, *verb);
			assert_true(args.word_count >= (*verb)->min_args);
			assert_true(args.word_count <= (*verb)->max_args);
		}
	}
}

static void
must_hold(const char *where, const char *text, const char *what)
{
	if (!strstr(text, what))
		fail_msg("%s does not mention %s", where, what);
}

/* However it is broken into lines. */
static void
join_lines(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		char c = *from == '\n' ? ' ' : *from;

		if (c != ' ' || to == text || to[-1] != ' ')
			*to++ = c;
	}
	*to = '\0';
}

static void
test_help_names_every_option(void **state)
{
	(void)state;
	for (const struct verb *const *verb = verbs; *verb; verb++) {
		char *text = usage_text(*verb), option[64];

		join_lines(text);
		must_hold((*verb)->name, text, (*verb)->args ? (*verb)->args : (*verb)->name);
		for (const struct option_spec *o = (*verb)->options; o && o->name; o++) {
			snprintf(option, sizeof(option), "--%s%s%s ", o->name, o->arg ? " " : "",
				 o->arg ? o->arg : "");
			must_hold((*verb)->name, text, option);
			must_hold((*verb)->name, text, o->help);
		}
		free(text);
	}
}

static void
test_lines_of_help_fit(void **state)
{
	(void)state;
	for (const struct verb *const *verb = verbs; *verb; verb++) {
		char *text = usage_text(*verb);
		const char *line = text;

		while (*line && strncmp(line, "options:", 8) != 0 &&
		       strncmp(line, "global options:", 15) != 0) {
			if (strcspn(line, "\n") > 100)
				fail_msg("%s: a line of help is too long", (*verb)->name);
			line += strcspn(line, "\n");
			line += *line == '\n';
		}
		free(text);
	}
}

static const struct {
	const char *what;
	void (*generate)(FILE *to);
	const char *long_option; /* how one is written there */
} documents[] = {
	{"the manual page", generate_man, "\\-\\-%s\\fR"},
	{"bash completion", generate_bash, "--%s"},
	{"zsh completion", generate_zsh, "*--%s"},
	{"fish completion", generate_fish, "-l %s "},
};

/* As roff writes it. */
static void
escape_dashes(const char *text, char *to)
{
	for (; *text; text++) {
		if (*text == '-')
			*to++ = '\\';
		*to++ = *text;
	}
	*to = '\0';
}

static void
check_document(size_t at, const char *text, const struct option_spec *options)
{
	for (const struct option_spec *o = options; o && o->name; o++) {
		char name[64], written[96];

		if (at == 0)
			escape_dashes(o->name, name);
		else
			snprintf(name, sizeof(name), "%s", o->name);
		snprintf(written, sizeof(written), documents[at].long_option, name);
		must_hold(documents[at].what, text, written);
	}
}

static void
test_documents_name_everything(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(documents) / sizeof(*documents); i++) {
		char *text = text_of(documents[i].generate);

		check_document(i, text, global_options);
		for (const struct verb *const *verb = verbs; *verb; verb++) {
			must_hold(documents[i].what, text, (*verb)->name);
			check_document(i, text, (*verb)->options);
		}
		free(text);
	}
}

/* Every exit status that can be returned is documented. */
static void
test_exit_statuses(void **state)
{
	(void)state;
	for (int err = 0; err < 64; err++) {
		const struct exit_text *e = exit_texts;

		while (e->text && e->status != ctl_status((plug_err)err))
			e++;
		assert_non_null(e->text);
	}
	assert_int_equal(ctl_status(PLUG_OK), 0);
	assert_int_equal(ctl_status(PLUG_EPLUGIN), 1);
	assert_int_equal(ctl_status(PLUG_EUNREACHABLE), 3);
	assert_int_equal(ctl_status(PLUG_ENOTFOUND), 4);
	assert_int_equal(ctl_status(PLUG_ETIMEOUT), 5);
}

/* A plugin's command with the name of a verb could never be called. */
static void
test_no_plugin_may_take_a_verb(void **state)
{
	(void)state;
	for (const struct verb *const *verb = verbs; *verb; verb++) {
		const char *const *reserved = commands_reserved;

		while (*reserved && strcmp(*reserved, (*verb)->name) != 0)
			reserved++;
		if (!*reserved)
			fail_msg("%s is missing in commands_reserved of core/commands.c",
				 (*verb)->name);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_verb_is_complete),
		cmocka_unit_test(test_examples_are_accepted),
		cmocka_unit_test(test_help_names_every_option),
		cmocka_unit_test(test_lines_of_help_fit),
		cmocka_unit_test(test_documents_name_everything),
		cmocka_unit_test(test_exit_statuses),
		cmocka_unit_test(test_no_plugin_may_take_a_verb),
	};

	return cmocka_run_group_tests_name("plugctl_verbs", tests, NULL, NULL);
}
