#include <stdio.h>

#include "out.h"
#include "verb.h"
#include "wire.h"

static int
run(struct ctl *ctl, const struct args *args)
{
	const char *server;
	int status;

	if (args_flag(args, "client")) {
		if (ctl->json)
			out_json(json_pack("{s:s}", "plugctl", PLUG_VERSION));
		else
			puts("plugctl " PLUG_VERSION);
		return CTL_DONE;
	}
	if (!ctl->json)
		puts("plugctl " PLUG_VERSION);
	status = ctl_connect(ctl);
	if (status != CTL_DONE)
		return status;
	server = plug_client_server_version(ctl->client);
	if (ctl->json)
		out_json(json_pack("{s:s, s:o}", "plugctl", PLUG_VERSION, "plugd",
				   out_json_text(server)));
	else
		printf("plugd %s\n", server);
	return CTL_DONE;
}

const struct verb verb_version = {
	.name = "version",
	.summary = "show the versions of plugctl and of the plugd that runs",
	.help = "Prints the version of plugctl and that of the plugd it reaches.",
	.options =
		(const struct option_spec[]){
			{"client", 'c', NULL, "plugctl's own only, without asking plugd"},
			{NULL},
		},
	.run = run,
};
