#include "act.h"

static int
run(struct ctl *ctl, const struct args *args)
{
	return act_on_plugins(ctl, args, PLUG__ACTION__ACTION_RESTART);
}

const struct verb verb_restart = {
	.name = "restart",
	.args = "NAME…",
	.summary = "stop plugins in order and start them again",
	.help = "Stops each plugin as `plugctl stop` does and starts it again.  Calls that arrive "
		"meanwhile wait for the new process, as long as their deadlines allow.",
	.options = act_options,
	.examples =
		(const struct verb_example[]){
			{"plugctl restart gpt2", "a fresh process"},
			{NULL},
		},
	.complete = COMPLETE_PLUGINS,
	.min_args = 1,
	.max_args = VERB_ANY,
	.run = run,
};
