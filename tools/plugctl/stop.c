#include "act.h"

static int
run(struct ctl *ctl, const struct args *args)
{
	return act_on_plugins(ctl, args, PLUG__ACTION__ACTION_STOP);
}

const struct verb verb_stop = {
	.name = "stop",
	.args = "NAME…",
	.summary = "stop plugins: finish calls in flight, then end the process",
	.help = "Stops each plugin in order: no new calls, those in flight may finish, then the "
		"process "
		"is asked to stop, and killed with everything it started if it does not within its "
		"stop_timeout.  It stays stopped until it is started.",
	.options = act_options,
	.examples =
		(const struct verb_example[]){
			{"plugctl stop gpt2 echo", "two plugins, one after the other"},
			{NULL},
		},
	.complete = COMPLETE_PLUGINS,
	.min_args = 1,
	.max_args = VERB_ANY,
	.run = run,
};
