#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "check.h"
#include "core/fields.h"
#include "install/tell.h"
#include "install/where.h"
#include "os/dir.h"
#include "out.h"

struct removal {
	struct ctl *ctl;
	struct where where;
	char name[STORE_NAME_BYTES];
	const char *version; /* NULL: all of them */
	unsigned installed;  /* versions */
	char dependents[1024];
};

/* ---- what there is ---- */

static bool
on_version(void *context, const char *version)
{
	struct removal *removal = context;

	removal->installed += store_has(removal->where.store.fd, removal->name, version);
	return true;
}

static int
split_name(struct removal *removal, const char *word)
{
	size_t length = strcspn(word, "@");

	if (!length || length >= sizeof(removal->name))
		return ctl_usage(removal->ctl, "%.80s: expected NAME or NAME@VERSION", word);
	memcpy(removal->name, word, length);
	removal->name[length] = '\0';
	if (!field_plugin_names.ok(removal->name))
		return ctl_usage(removal->ctl, "%.80s: expected NAME or NAME@VERSION", word);
	removal->version = word[length] ? word + length + 1 : NULL;
	return CTL_DONE;
}

/* The chosen one goes only with the whole plugin, or as its last version. */
static int
check_version(struct removal *removal)
{
	char chosen[STORE_VERSION_BYTES] = "", text[512];
	int fd = removal->where.store.fd;

	store_each_version(fd, removal->name, on_version, removal);
	if (!removal->installed)
		return ctl_fail(removal->ctl, PLUG_ENOTFOUND, removal->name, "is not installed");
	if (!removal->version)
		return CTL_DONE;
	if (!store_has(fd, removal->name, removal->version)) {
		snprintf(text, sizeof(text), "version %.100s is not installed", removal->version);
		return ctl_fail(removal->ctl, PLUG_ENOTFOUND, removal->name, text);
	}
	store_current(fd, removal->name, chosen);
	if (removal->installed == 1) {
		removal->version = NULL;
		return CTL_DONE;
	}
	if (strcmp(chosen, removal->version))
		return CTL_DONE;
	snprintf(text, sizeof(text),
		 "version %s is the chosen one; choose another first (plugctl use %s VERSION), or "
		 "remove all of it: plugctl uninstall %s",
		 chosen, removal->name, removal->name);
	return ctl_fail(removal->ctl, PLUG_ESTATE, removal->name, text);
}

/* ---- who needs it ---- */

static bool
on_plugin(void *context, int dir_fd, const char *name, int type)
{
	struct removal *removal = context;
	char path[PATH_MAX];
	struct manifest *manifest;
	struct diags diags;
	size_t used = strlen(removal->dependents);

	(void)dir_fd;
	(void)type;
	if (!field_plugin_names.ok(name) || !strcmp(name, removal->name))
		return true;
	snprintf(path, sizeof(path), "%.3000s/%.255s/" STORE_CURRENT "/" CHECK_MANIFEST,
		 removal->where.store.path, name);
	diags_init(&diags);
	manifest = access(path, R_OK) ? NULL : check_parse(path, &diags);
	for (size_t i = 0; manifest && i < manifest->requires.plugins.count; i++)
		if (!strcmp(manifest->requires.plugins.items[i].name, removal->name))
			snprintf(removal->dependents + used, sizeof(removal->dependents) - used,
				 "%s%s", used ? ", " : "", name);
	manifest_free(manifest);
	diags_fini(&diags);
	return true;
}

/* plugd knows of those that are not in the store, too. */
static int
check_dependents(struct removal *removal)
{
	char text[1200];
	int status = CTL_DONE;

	if (removal->version)
		return CTL_DONE;
	if (removal->where.has_plugd)
		status = tell_dependents(removal->ctl, removal->name, removal->dependents,
					 sizeof(removal->dependents));
	else
		dir_each(removal->where.store.fd, ".", on_plugin, removal);
	if (status != CTL_DONE || !*removal->dependents)
		return status;
	snprintf(text, sizeof(text),
		 "is required by %s; it stays installed. Uninstall what requires it first",
		 removal->dependents);
	return ctl_fail(removal->ctl, PLUG_ESTATE, removal->name, text);
}

/* ---- removing ---- */

/* Before its files go: what it loads later would be missing. */
static int
stop(struct removal *removal)
{
	struct tell_state state;
	int status;

	if (removal->version || !removal->where.has_plugd)
		return CTL_DONE;
	status = tell_find(removal->ctl, removal->name, &state);
	if (status == CTL_DONE && *state.state && where_holds(&removal->where, state.path))
		status = tell_stop(removal->ctl, removal->name);
	return status;
}

static int
discard(struct removal *removal)
{
	const struct store *store = &removal->where.store;
	char log[STORE_PATH_BYTES], text[256];
	plug_err err = removal->version
			       ? store_remove_version(store, removal->name, removal->version)
			       : store_discard(store, removal->name);

	if (!err && !removal->version) {
		snprintf(log, sizeof(log), STORE_LOG, removal->name);
		unlinkat(store->fd, log, 0);
	}
	if (!err)
		return CTL_DONE;
	snprintf(text, sizeof(text), "cannot be removed: %s; it stays installed",
		 err == PLUG_ESTATE ? "it became the chosen version" : strerror(errno));
	return ctl_fail(removal->ctl, err, removal->name, text);
}

static int
run(struct ctl *ctl, const struct args *args)
{
	struct removal removal = {.ctl = ctl, .where = WHERE_INIT};
	int status = split_name(&removal, args->words[0]);

	if (status == CTL_DONE)
		status = where_open(ctl, args, WHERE_CHANGE, &removal.where);
	if (status == CTL_DONE)
		status = check_version(&removal);
	if (status == CTL_DONE)
		status = check_dependents(&removal);
	if (status == CTL_DONE)
		status = stop(&removal);
	if (status == CTL_DONE)
		status = discard(&removal);
	where_unlock(&removal.where);
	if (status == CTL_DONE && removal.where.has_plugd && !removal.version)
		status = tell_reread(ctl);
	where_close(&removal.where);
	if (status != CTL_DONE)
		return status;
	if (ctl->json)
		out_json(json_pack("{s:o, s:o}", "name", out_json_text(removal.name), "version",
				   removal.version ? out_json_text(removal.version) : json_null()));
	else
		printf("%s%s%s uninstalled\n", removal.name, removal.version ? " " : "",
		       removal.version ? removal.version : "");
	return CTL_DONE;
}

const struct verb verb_uninstall = {
	.name = "uninstall",
	.args = "NAME[@VERSION]",
	.summary = "remove a plugin, or one version of it, from the store",
	.help = "A plugin that runs is stopped first, and its calls end in the usual way.  It is "
		"refused while other plugins require it.  A single version can be removed if it is "
		"not the chosen one.",
	.options = (const struct option_spec[]){WHERE_OPTIONS, {NULL}},
	.examples =
		(const struct verb_example[]){
			{"plugctl uninstall gpt2", "all its versions"},
			{"plugctl uninstall gpt2@1.1.0", "only this one"},
			{NULL},
		},
	.complete = COMPLETE_PLUGIN,
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
