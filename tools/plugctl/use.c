#include <stdio.h>
#include <string.h>

#include "install/choose.h"
#include "out.h"

static int
check(struct ctl *ctl, const struct where *where, const char *name, const char *version)
{
	char text[256];

	if (store_has(where->store.fd, name, version))
		return CTL_DONE;
	snprintf(text, sizeof(text), "version %.100s is not installed; plugctl versions %.60s",
		 version, name);
	return ctl_fail(ctl, PLUG_ENOTFOUND, name, text);
}

static int
run(struct ctl *ctl, const struct args *args)
{
	const char *name = args->words[0], *version = args->words[1];
	struct where where = WHERE_INIT;
	struct chosen chosen = {""};
	int status = where_open(ctl, args, WHERE_CHANGE, &where);

	if (status == CTL_DONE)
		status = check(ctl, &where, name, version);
	if (status == CTL_DONE)
		status = choose_version(ctl, &where, name, version, &chosen);
	where_close(&where);
	if (status != CTL_DONE)
		return status;
	if (ctl->json)
		out_json(json_pack("{s:o, s:o, s:o, s:o}", "name", out_json_text(name), "version",
				   out_json_text(version), "state",
				   out_json_text(chosen.state.state), "detail",
				   out_json_text(chosen.detail)));
	else
		printf("%s: version %s is chosen%s%s\n", name, version, *chosen.detail ? ": " : "",
		       chosen.detail);
	return CTL_DONE;
}

const struct verb verb_use = {
	.name = "use",
	.args = "NAME VERSION",
	.summary = "choose one of the installed versions of a plugin",
	.help = "A plugin that runs goes over to the version as in a reload: the new process "
		"starts beside the old one, and no call is lost.  If it does not become ready, or "
		"fails within five seconds, the version before goes on and stays the chosen one.",
	.options = (const struct option_spec[]){WHERE_OPTIONS, {NULL}},
	.examples =
		(const struct verb_example[]){
			{"plugctl use gpt2 1.1.0", "back to an older one"},
			{NULL},
		},
	.complete = COMPLETE_PLUGIN,
	.min_args = 2,
	.max_args = 2,
	.run = run,
};
