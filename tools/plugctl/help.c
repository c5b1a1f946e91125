#include <string.h>

#include "command.h"
#include "out.h"
#include "usage.h"

void
help_print(struct ctl *ctl, const struct verb *verb)
{
	if (ctl->json) {
		out_json(verb ? usage_verb_json(verb) : usage_all_json());
	} else if (verb) {
		usage_verb(stdout, verb);
	} else {
		usage_all(stdout);
		command_help_all(ctl, stdout);
	}
}

static int
run(struct ctl *ctl, const struct args *args)
{
	struct command_list commands = {0};
	const struct verb *verb, *made = NULL;
	const char *near;

	if (args->word_count == 0) {
		help_print(ctl, NULL);
		return CTL_DONE;
	}
	verb = verb_named(args->words[0]);
	if (!verb && command_list_try(ctl, args->words[0], &commands) && commands.count)
		verb = made = command_verb(commands.items[0]);
	if (verb) {
		help_print(ctl, verb);
		command_verb_free(made);
		command_list_fini(&commands);
		return CTL_DONE;
	}
	command_list_fini(&commands);
	near = verb_near(args->words[0]);
	return ctl_usage(ctl, "no verb \"%s\"%s%s%s", args->words[0], near ? "; did you mean " : "",
			 near ? near : "", near ? "?" : "");
}

const struct verb verb_help = {
	.name = "help",
	.args = "[VERB]",
	.summary = "explain plugctl or one verb",
	.help = "Prints the list of verbs, and of the commands that plugins add when plugd can be "
		"reached; or the options and examples of one.  With --json plugctl's own as data; "
		"`plugctl commands --json` has those of plugins.",
	.examples =
		(const struct verb_example[]){
			{"plugctl help config", "one verb, as does plugctl config --help"},
			{NULL},
		},
	.complete = COMPLETE_VERB,
	.max_args = 1,
	.paged = true,
	.run = run,
};
