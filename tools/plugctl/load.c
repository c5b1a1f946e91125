/* Plugins by their path, wherever they are. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "act.h"

static int
run_load(struct ctl *ctl, const struct args *args)
{
	char path[PATH_MAX];

	if (!realpath(args->words[0], path))
		return ctl_usage(ctl, "%s: %s", args->words[0], strerror(errno));
	return act_load(ctl, args, path);
}

const struct verb verb_load = {
	.name = "load",
	.args = "PATH",
	.summary = "start the plugin at a path",
	.help = "PATH is a plugin's folder, its plugin.yaml, or an executable that holds its "
		"manifest; it need not be in a plugin directory.  plugd looks at it, registers it "
		"if it is valid, and starts it.  It is kept in the state directory, so it is there "
		"again after plugd was restarted, until `plugctl unload`.  What is in a plugin "
		"directory already is only started.",
	.options = act_options,
	.examples =
		(const struct verb_example[]){
			{"plugctl load ./build/my-plugin", "what was just built"},
			{NULL},
		},
	.complete = COMPLETE_FILE,
	.min_args = 1,
	.max_args = 1,
	.run = run_load,
};

static int
run_unload(struct ctl *ctl, const struct args *args)
{
	return act_on_plugins(ctl, args, PLUG__ACTION__ACTION_UNLOAD);
}

const struct verb verb_unload = {
	.name = "unload",
	.args = "NAME…",
	.summary = "stop and forget plugins that were loaded by path",
	.help = "The plugin is stopped and is none of plugd's any more; its files are left alone.  "
		"One that is in a plugin directory would be found again: `plugctl disable` keeps "
		"it "
		"from running.",
	.options = act_options,
	.complete = COMPLETE_PLUGINS,
	.min_args = 1,
	.max_args = VERB_ANY,
	.run = run_unload,
};
