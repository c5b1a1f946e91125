#include <stdlib.h>
#include <string.h>

#include "act.h"
#include "plugin_json.h"

static const struct option_spec options[] = {
	{"all", 'a', NULL, "every plugin that is not stopped"},
	{"in-place", 0, NULL, "end the old process before the new one starts"},
	{"no-wait", 0, NULL, "return when plugd has begun, not when it is done"},
	{NULL},
};

struct names {
	char **items;
	size_t count;
	bool failed; /* memory ran out */
};

static bool
on_list(const Plug__Response *response, void *user)
{
	struct names *names = user;
	const Plug__ListResponse *list = response->list;

	if (response->outcome != PLUG_OK || response->body_case != PLUG__RESPONSE__BODY_LIST)
		return true;
	for (size_t i = 0; i < list->n_plugins; i++) {
		const Plug__PluginLine *line = list->plugins[i];
		char **longer = realloc(names->items, (names->count + 1) * sizeof(*longer));
		char *name = strdup(plug_str(line->name));

		names->items = longer ? longer : names->items;
		if (strcmp(plug_str(line->state), "stopped") != 0 && longer && name)
			names->items[names->count++] = name;
		else
			free(name);
		names->failed = names->failed || !longer || !name;
	}
	return true;
}

static int
find_all(struct ctl *ctl, struct names *names)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__ListRequest list = PLUG__LIST_REQUEST__INIT;
	int status;

	request.body_case = PLUG__REQUEST__BODY_LIST;
	request.list = &list;
	status = ctl_request(ctl, &request, NULL, ctl_timeout(ctl, CTL_ANSWER_MS), on_list, names);
	if (status == CTL_DONE && names->failed)
		return ctl_fail(ctl, PLUG_ENOMEM, NULL, "out of memory");
	return status;
}

static int
run(struct ctl *ctl, const struct args *args)
{
	struct names names = {0};
	struct args every = *args;
	int status;

	if (!args_flag(args, "all")) {
		if (!args->word_count)
			return ctl_usage(ctl, "expected NAME… or --all");
		return act_on_plugins(ctl, args, PLUG__ACTION__ACTION_RELOAD);
	}
	if (args->word_count)
		return ctl_usage(ctl, "--all and NAME exclude each other");
	status = find_all(ctl, &names);
	every.words = (const char **)names.items;
	every.word_count = names.count;
	if (status == CTL_DONE)
		status = act_on_plugins(ctl, &every, PLUG__ACTION__ACTION_RELOAD);
	for (size_t i = 0; i < names.count; i++)
		free(names.items[i]);
	free(names.items);
	return status;
}

const struct verb verb_reload = {
	.name = "reload",
	.args = "NAME…",
	.summary = "replace plugins by what is on disk now, while they are called",
	.help = "Reads plugd.yaml and the plugin's manifest anew, starts a new process beside the "
		"old one, waits until it is ready, probes it, gives it the calls, and lets the old "
		"one finish its own before it ends.  No call is lost.  Several instances are "
		"replaced one after the other.\n\n"
		"Where anything fails before the switch, the new process ends and the old one goes "
		"on untouched; the reason is told.  Where it fails within five seconds after, the "
		"version before is started again.\n\n"
		"With too little memory for both, or with --in-place, the old process ends first "
		"and calls wait meanwhile; the answer says which it was.",
	.options = options,
	.examples =
		(const struct verb_example[]){
			{"plugctl reload gpt2", "what was built last"},
			{"plugctl reload --all", "all that run, one after the other"},
			{NULL},
		},
	.complete = COMPLETE_PLUGINS,
	.max_args = VERB_ANY,
	.run = run,
};
