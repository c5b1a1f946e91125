#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/turn.h"
#include "command.h"
#include "core/suggest.h"
#include "out.h"
#include "pager.h"
#include "usage.h"
#include "verb.h"
#include "watch.h"
#include "wire.h"

static int
no_such_verb(struct ctl *ctl, const char *name, const struct command_list *commands)
{
	struct suggest suggest;

	suggest_start(&suggest, name);
	for (const struct verb *const *verb = verbs; *verb; verb++)
		suggest_offer(&suggest, (*verb)->name);
	for (size_t i = 0; i < commands->count; i++)
		suggest_offer(&suggest, commands->items[i]->name);
	return ctl_usage(ctl, "no verb \"%s\"%s%s%s%s", name,
			 ctl->client ? ", and no plugin has such a command"
				     : "; plugd, which knows the commands of plugins, cannot be "
				       "reached",
			 suggest.best ? "; did you mean " : "", suggest.best ? suggest.best : "",
			 suggest.best ? "?" : "");
}

/* "METHOD is missing": the first word of the usage that was not given. */
static int
missing(struct ctl *ctl, const struct args *args)
{
	const char *word = args->verb->args;

	for (size_t i = 0; i < args->word_count; i++)
		word += strcspn(word, " ") + 1;
	return ctl_usage(ctl, "%.*s is missing", (int)strcspn(word, " …"), word);
}

static int
run_verb(struct ctl *ctl, const struct args *args)
{
	const struct verb *verb = args->verb;
	int status;

	if (args->word_count < verb->min_args)
		return missing(ctl, args);
	if (args->word_count > verb->max_args)
		return ctl_usage(ctl, "\"%s\" is one argument too many",
				 args->words[verb->max_args]);
	if (args_flag(args, "watch"))
		return watch_run(ctl, args);
	pager_begin(!verb->paged || args_flag(args, "no-pager") || args_flag(args, "follow"));
	status = verb->run(ctl, args);
	pager_end();
	return status;
}

static void
take_globals(struct ctl *ctl, const struct args *args)
{
	ctl->verb = args->verb;
	ctl->json = args_flag(args, "json");
	ctl->runtime_dir = args_text(args, "runtime-dir", ctl->runtime_dir);
	ctl->timeout_ms = args_number(args, "timeout", 0);
	out_init(args_flag(args, "no-color"));
}

static int
run_parsed(struct ctl *ctl, const struct args *args)
{
	if (args_flag(args, "version")) {
		puts("plugctl " PLUG_VERSION);
		return CTL_DONE;
	}
	if (args_flag(args, "help")) {
		pager_begin(args_flag(args, "no-pager"));
		help_print(ctl, args->verb);
		pager_end();
		return CTL_DONE;
	}
	if (!args->verb) {
		usage_all(stderr);
		return CTL_USAGE;
	}
	return run_verb(ctl, args);
}

/* ---- commands of plugins ---- */

/* Where to ask what the word means is to be known before the words behind it are understood. */
static const char *
runtime_dir_behind(int argc, char **argv)
{
	static const char option[] = "--runtime-dir";
	size_t length = sizeof(option) - 1;

	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strncmp(argv[i], option, length) != 0)
			continue;
		if (argv[i][length] == '=')
			return argv[i] + length + 1;
		if (!argv[i][length] && i + 1 < argc)
			return argv[i + 1];
	}
	return NULL;
}

/* So that also an error is a document. */
static bool
json_behind(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--json") == 0 || strcmp(argv[i], "-j") == 0)
			return true;
	return false;
}

/* The command line once more, now that its verb is known. */
static int
run_command(struct ctl *ctl, int argc, char **argv, const Plug__Command *command, const char *word)
{
	struct args args;
	char why[256];
	bool parsed;
	int status;

	verb_added = command_verb(command);
	verb_added_as = word;
	parsed = args_parse(argc, argv, &args, why, sizeof(why));
	take_globals(ctl, &args);
	status = parsed ? run_parsed(ctl, &args) : ctl_usage(ctl, "%s", why);
	command_verb_free(verb_added);
	verb_added = ctl->verb = NULL;
	return status;
}

static int
run_unknown(struct ctl *ctl, int argc, char **argv, const char *word)
{
	struct command_list commands, all;
	int status;

	if (!ctl->runtime_dir)
		ctl->runtime_dir = runtime_dir_behind(argc, argv);
	ctl->json = ctl->json || json_behind(argc, argv);
	if (command_list_try(ctl, word, &commands) && commands.count) {
		status = run_command(ctl, argc, argv, commands.items[0], word);
	} else {
		command_list_try(ctl, NULL, &all);
		status = no_such_verb(ctl, word, &all);
		command_list_fini(&all);
	}
	command_list_fini(&commands);
	return status;
}

static int
run(struct ctl *ctl, int argc, char **argv)
{
	/* args_parse() puts its words in order, and may have to look at them once more. */
	char **again = out_must(calloc((size_t)argc + 1, sizeof(char *)));
	struct args args;
	char why[256];
	bool parsed;
	int status;

	memcpy(again, argv, (size_t)argc * sizeof(char *));
	parsed = args_parse(argc, argv, &args, why, sizeof(why));
	take_globals(ctl, &args);
	if (!parsed)
		status = ctl_usage(ctl, "%s", why);
	else if (!args.verb && args.word_count)
		status = run_unknown(ctl, argc, again, args.words[0]);
	else
		status = run_parsed(ctl, &args);
	free(again);
	return status;
}

int
main(int argc, char **argv)
{
	struct ctl ctl = {.json = false};
	int status;

	turn_begin(1); /* what the loader took, somebody's call may have waited */
	turn_offer();
	status = run(&ctl, argc, argv);
	ctl_close(&ctl);
	if (!out_finish() && status == CTL_DONE) {
		perror("plugctl: the output cannot be written");
		status = CTL_FAILED;
	}
	return status;
}
