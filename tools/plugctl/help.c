#include <string.h>

#include "usage.h"

static int
run(struct ctl *ctl, const struct args *args)
{
	const struct verb *verb;
	const char *near;

	if (args->word_count == 0) {
		usage_all(stdout);
		return CTL_DONE;
	}
	verb = verb_find(args->words[0]);
	if (verb) {
		usage_verb(stdout, verb);
		return CTL_DONE;
	}
	near = verb_near(args->words[0]);
	return ctl_usage(ctl, "no verb \"%s\"%s%s%s", args->words[0], near ? "; did you mean " : "",
			 near ? near : "", near ? "?" : "");
}

const struct verb verb_help = {
	.name = "help",
	.args = "[VERB]",
	.summary = "explain plugctl or one verb",
	.help = "Prints the list of verbs, or the options and examples of one.",
	.complete = COMPLETE_VERB,
	.max_args = 1,
	.run = run,
};
