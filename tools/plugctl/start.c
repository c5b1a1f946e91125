#include "act.h"

static int
run(struct ctl *ctl, const struct args *args)
{
	return act_on_plugins(ctl, args, PLUG__ACTION__ACTION_START);
}

const struct verb verb_start = {
	.name = "start",
	.args = "NAME…",
	.summary = "start plugins and wait until they are ready",
	.help = "Starts each plugin and waits until it is ready or has failed.  A plugin in "
		"quarantine "
		"or backoff is started at once, and its failures are forgotten.\n\n"
		"--set gives a value of the plugin's configuration for as long as plugd runs; it "
		"goes "
		"before those of plugd.yaml and of the environment and is checked like them.",
	.options =
		(const struct option_spec[]){
			{"set", 's', "KEY=VALUE", "set a configuration value; may be repeated"},
			{"no-wait", 0, NULL, "return when plugd has begun, not when it is done"},
			{NULL},
		},
	.examples =
		(const struct verb_example[]){
			{"plugctl start gpt2 --set device=cpu", "with a configuration value"},
			{NULL},
		},
	.complete = COMPLETE_PLUGINS,
	.min_args = 1,
	.max_args = VERB_ANY,
	.run = run,
};
