#include <stdlib.h>
#include <string.h>

#include "act.h"

#define INSTANCES_MAX 64

static const struct option_spec options[] = {
	{"reset", 0, NULL, "as many as the manifest says, from now on"},
	{"no-wait", 0, NULL, "return when plugd has begun, not when it is done"},
	{NULL},
};

/* 0: it is no such number. */
static unsigned
number_of(const char *text)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || number > INSTANCES_MAX)
		return 0;
	return (unsigned)number;
}

static int
run(struct ctl *ctl, const struct args *args)
{
	bool reset = args_flag(args, "reset");
	struct args plugin = *args;
	unsigned instances = 0;

	if (args->word_count != (reset ? 1u : 2u))
		return ctl_usage(ctl, reset ? "--reset: expected NAME and nothing else"
					    : "expected NAME and how many instances");
	if (!reset)
		instances = number_of(args->words[1]);
	if (!reset && !instances)
		return ctl_usage(ctl, "%s: expected a number from 1 to %d; for none, plugctl stop",
				 args->words[1], INSTANCES_MAX);
	plugin.word_count = 1;
	return act_scale(ctl, &plugin, instances);
}

const struct verb verb_scale = {
	.name = "scale",
	.args = "NAME N",
	.summary = "say how many processes share a plugin's calls",
	.help = "From now on the plugin has N instances, also after plugd was restarted, until "
		"`plugctl scale NAME --reset` gives it back to run.instances of its manifest.  "
		"More "
		"are started beside those that run; of those that are too many the last ones "
		"finish "
		"their calls and end.  Each call goes to the instance with the fewest.",
	.options = options,
	.examples =
		(const struct verb_example[]){
			{"plugctl scale gpt2 3", "three instances"},
			{"plugctl scale gpt2 --reset", "as the manifest says"},
			{NULL},
		},
	.complete = COMPLETE_PLUGIN,
	.min_args = 1,
	.max_args = 2,
	.run = run,
};
