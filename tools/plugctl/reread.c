#include <stdio.h>

#include "act.h"
#include "out.h"

#define REREAD_MS 30000

static bool
ignore(const Plug__Response *response, void *user)
{
	(void)response;
	(void)user;
	return true;
}

static int
run(struct ctl *ctl, const struct args *args)
{
	int status;

	(void)args;
	status = act_on_daemon(ctl, PLUG__ACTION__ACTION_REREAD, ctl_timeout(ctl, REREAD_MS),
			       ignore, NULL);
	if (status != CTL_DONE)
		return status;
	if (ctl->json)
		out_json(json_pack("{s:b}", "reread", 1));
	else
		puts("plugd has read its configuration and plugin directories again");
	return CTL_DONE;
}

const struct verb verb_reread = {
	.name = "reread",
	.summary = "make plugd read its configuration and plugin directories again",
	.help = "Does what SIGHUP does.  A configuration with errors is refused as a whole, and "
		"what was "
		"in force stays in force.",
	.run = run,
};
