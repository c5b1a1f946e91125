#include "act.h"

static int
run_enable(struct ctl *ctl, const struct args *args)
{
	return act_on_plugins(ctl, args, PLUG__ACTION__ACTION_ENABLE);
}

static int
run_disable(struct ctl *ctl, const struct args *args)
{
	return act_on_plugins(ctl, args, PLUG__ACTION__ACTION_DISABLE);
}

const struct verb verb_enable = {
	.name = "enable",
	.args = "NAME…",
	.summary = "start plugins, now and whenever plugd starts",
	.help = "From now on the plugin starts with plugd, also where its manifest says "
		"run.autostart: false or discovery.autoload of plugd.yaml leaves it out, and it is "
		"started now.  That is kept in the state directory, until `plugctl disable`.",
	.options = act_options,
	.complete = COMPLETE_PLUGINS,
	.min_args = 1,
	.max_args = VERB_ANY,
	.run = run_enable,
};

const struct verb verb_disable = {
	.name = "disable",
	.args = "NAME…",
	.summary = "stop plugins, and do not start them again",
	.help = "The plugin is stopped, and from now on nothing starts it: not plugd, not a plugin "
		"that requires it, not `plugctl start`.  That is kept in the state directory, over "
		"restarts and upgrades of plugd, until `plugctl enable`.",
	.options = act_options,
	.complete = COMPLETE_PLUGINS,
	.min_args = 1,
	.max_args = VERB_ANY,
	.run = run_disable,
};
