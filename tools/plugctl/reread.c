#include <stdio.h>

#include "act.h"
#include "bad_plugins.h"
#include "out.h"
#include "plugin_json.h"

#define REREAD_MS 30000

static bool
ignore(const Plug__Response *response, void *user)
{
	(void)response;
	(void)user;
	return true;
}

static bool
on_list(const Plug__Response *response, void *user)
{
	const Plug__ListResponse *list = response->list;

	if (response->outcome != PLUG_OK || response->body_case != PLUG__RESPONSE__BODY_LIST)
		return true;
	for (size_t i = 0; i < list->n_bad; i++)
		json_array_append_new(user, bad_plugin_json(list->bad[i]));
	return true;
}

static int
list_bad(struct ctl *ctl, json_t *bad)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__ListRequest list = PLUG__LIST_REQUEST__INIT;

	request.body_case = PLUG__REQUEST__BODY_LIST;
	request.list = &list;
	list.type = (char *)"";
	list.tag = (char *)"";
	return ctl_request(ctl, &request, NULL, ctl_timeout(ctl, CTL_ANSWER_MS), on_list, bad);
}

static int
run(struct ctl *ctl, const struct args *args)
{
	json_t *bad;
	int status;

	(void)args;
	status = act_on_daemon(ctl, PLUG__ACTION__ACTION_REREAD, ctl_timeout(ctl, REREAD_MS),
			       ignore, NULL);
	if (status != CTL_DONE)
		return status;
	bad = out_must(json_array());
	status = list_bad(ctl, bad);
	if (status == CTL_DONE && ctl->json) {
		out_json(json_pack("{s:b, s:O}", "reread", 1, "bad", bad));
	} else if (status == CTL_DONE) {
		puts("plugd has read its configuration and plugin directories again");
		fflush(stdout);
		bad_plugins_warn(bad);
	}
	json_decref(bad);
	return status;
}

const struct verb verb_reread = {
	.name = "reread",
	.summary = "make plugd read its configuration and plugin directories again",
	.help = "Does what SIGHUP does.  A configuration with errors is refused as a whole, and "
		"what was "
		"in force stays in force.  Manifests that cannot be used are told on stderr; the "
		"other plugins are none the worse for them, and the exit status is 0.",
	.examples =
		(const struct verb_example[]){
			{"plugctl reread --json | jq -r '.bad[].path'", "what cannot be used"},
			{NULL},
		},
	.run = run,
};
