#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "format.h"
#include "install.h"
#include "install/choose.h"
#include "out.h"

#define UPGRADE_MS 30000

static bool
on_result(const Plug__Response *response, void *user)
{
	struct ctl *ctl = user;
	const Plug__UpgradeResult *result;
	char took[FORMAT_BYTES];

	if (response->outcome != PLUG_OK || response->body_case != PLUG__RESPONSE__BODY_UPGRADE)
		return true;
	result = response->upgrade;
	if (ctl->json)
		out_json(json_pack(
			"{s:o, s:o, s:I, s:I, s:i}", "from", out_json_text(plug_str(result->from)),
			"to", out_json_text(plug_str(result->to)), "took_ms",
			(json_int_t)result->took_ms, "pause_us", (json_int_t)result->pause_us,
			"upgrades", (int)result->upgrades));
	else
		printf("plugd: from %s to %s, after %s, with a pause of %.1f ms\n",
		       plug_str(result->from), plug_str(result->to),
		       format_duration(result->took_ms, took), (double)result->pause_us / 1e3);
	return true;
}

static int
upgrade_daemon(struct ctl *ctl, const struct args *args)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__UpgradeRequest upgrade = PLUG__UPGRADE_REQUEST__INIT;
	char absolute[PATH_MAX];

	if (args->word_count > 1)
		return ctl_usage(ctl,
				 "\"%s\" is one argument too many: plugctl upgrade --daemon "
				 "[BINARY]",
				 args->words[1]);
	if (args->word_count) {
		if (!realpath(args->words[0], absolute))
			return ctl_usage(ctl, "%s: %s", args->words[0], strerror(errno));
		upgrade.binary = absolute;
	}
	request.body_case = PLUG__REQUEST__BODY_UPGRADE;
	request.upgrade = &upgrade;
	return ctl_request(ctl, &request, NULL, ctl_timeout(ctl, UPGRADE_MS), on_result, ctl);
}

/* ---- a plugin ---- */

/* What it took in does not stay when it is of no use: the next try may bring other bytes. */
static int
take_back(struct ctl *ctl, const struct placed *placed, struct where *where, int status)
{
	struct reason why;
	char chosen[STORE_VERSION_BYTES] = "";

	if (placed->already)
		return status;
	if (where->store.lock_fd < 0 &&
	    store_lock(&where->store, ctl_timeout(ctl, UPGRADE_MS), &why))
		return status;
	store_current(where->store.fd, placed->name, chosen);
	if (!store_remove_version(&where->store, placed->name, placed->version))
		fprintf(stderr, "plugctl: version %s was removed again; %s stays the chosen one\n",
			placed->version, *chosen ? chosen : "none");
	return status;
}

static int
go_over(struct ctl *ctl, struct where *where, const struct placed *placed)
{
	struct chosen chosen = {""};
	json_t *document = ctl->json ? install_json(placed, where) : NULL;
	int status;

	if (!ctl->json)
		install_say(placed);
	fflush(stdout);
	status = choose_version(ctl, where, placed->name, placed->version, &chosen);
	if (status != CTL_DONE) {
		json_decref(document);
		return take_back(ctl, placed, where, status);
	}
	if (ctl->json) {
		json_object_set_new(document, "state", out_json_text(chosen.state.state));
		json_object_set_new(document, "detail", out_json_text(chosen.detail));
		out_json(document);
	} else {
		printf("%s: version %s is chosen%s%s\n", placed->name, placed->version,
		       *chosen.detail ? ": " : "", chosen.detail);
	}
	return CTL_DONE;
}

static int
check_installed(struct ctl *ctl, const struct args *args)
{
	struct where where = WHERE_INIT;
	char chosen[STORE_VERSION_BYTES];
	int status = where_open(ctl, args, WHERE_READ, &where);

	if (status == CTL_DONE && store_current(where.store.fd, args->words[0], chosen))
		status = ctl_fail(ctl, PLUG_ENOTFOUND, args->words[0],
				  "is not installed; then: plugctl install");
	where_close(&where);
	return status;
}

static int
upgrade_plugin(struct ctl *ctl, const struct args *args)
{
	struct where where = WHERE_INIT;
	struct placed placed;
	int status;

	if (args->word_count != 2)
		return ctl_usage(ctl, "expected NAME and ARCHIVE, or --daemon for plugd itself");
	status = check_installed(ctl, args);
	if (status != CTL_DONE)
		return status;
	status = install_take(ctl, args, args->words[1], args->words[0], &where, &placed);
	if (status == CTL_DONE)
		status = go_over(ctl, &where, &placed);
	where_close(&where);
	return status;
}

static int
run(struct ctl *ctl, const struct args *args)
{
	return args_flag(args, "daemon") ? upgrade_daemon(ctl, args) : upgrade_plugin(ctl, args);
}

static const struct option_spec options[] = {
	{"daemon", 0, NULL, "plugd itself"},
	INSTALL_OPTIONS,
	WHERE_OPTIONS,
	{NULL},
};

const struct verb verb_upgrade = {
	.name = "upgrade",
	.args = "NAME ARCHIVE | --daemon [BINARY]",
	.summary = "replace an installed plugin, or plugd itself, by another version",
	.help = "ARCHIVE, or a folder, is installed as by `plugctl install`, then the plugin goes "
		"over to it as by `plugctl use`: the new process starts beside the old one, and no "
		"call is lost.  If it does not become ready, the version before goes on, stays the "
		"chosen one, and the new one is removed again.\n\n"
		"With --daemon BINARY takes the place of the plugd that runs, in the same process: "
		"plugins, calls and clients go on and do not notice.  Without BINARY it is the "
		"file "
		"that plugd was started from, as it is on disk now.  BINARY first proves on a copy "
		"of plugd's state that it understands all of it.  A file that is no plugd, that is "
		"older than the state, or that breaks, is refused with the reason, and the plugd "
		"that runs goes on.",
	.options = options,
	.examples =
		(const struct verb_example[]){
			{"plugctl upgrade gpt2 gpt2-1.3.0.tar.zst", "a plugin of the store"},
			{"plugctl upgrade --daemon", "after a new version was installed"},
			{"plugctl upgrade --daemon ./build/bin/plugd", "to this one"},
			{NULL},
		},
	.complete = COMPLETE_FILE,
	.max_args = 2,
	.run = run,
};
