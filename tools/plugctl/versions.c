#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/fields.h"
#include "core/semver.h"
#include "install/place.h"
#include "install/where.h"
#include "os/dir.h"
#include "out.h"

#define VERSIONS_MAX 1024 /* of one plugin */

struct versions {
	struct ctl *ctl;
	const struct where *where;
	const char *plugin;
	bool verify;
	char *items[VERSIONS_MAX];
	size_t count;
	json_t *plugins, *of_plugin;
	unsigned damaged, shown;
};

static bool
on_version(void *context, const char *version)
{
	struct versions *versions = context;

	if (store_has(versions->where->store.fd, versions->plugin, version) &&
	    versions->count < VERSIONS_MAX && (versions->items[versions->count] = strdup(version)))
		versions->count++;
	return true;
}

static int
newest_first(const void *left, const void *right)
{
	char why[SEMVER_ERR_BYTES];
	struct semver a, b;

	if (!semver_parse(*(char *const *)left, &a, why) ||
	    !semver_parse(*(char *const *)right, &b, why))
		return 0;
	return semver_compare(&b, &a);
}

static json_t *
text_or_null(const char *text)
{
	return text ? out_json_text(text) : json_null();
}

static void
show_json(struct versions *versions, const char *version, bool chosen,
	  const struct store_record *record, const char *trouble)
{
	json_t *one = json_pack("{s:o, s:b, s:o, s:o, s:o, s:o, s:o}", "version",
				out_json_text(version), "chosen", (int)chosen, "installed",
				text_or_null(record ? record->installed : NULL), "source",
				text_or_null(record ? record->source : NULL), "sha256",
				text_or_null(record ? record->sha256 : NULL), "signed_by",
				text_or_null(record ? record->signed_by : NULL), "comment",
				text_or_null(record ? record->comment : NULL));

	if (versions->verify)
		json_object_set_new(one, "trouble", text_or_null(*trouble ? trouble : NULL));
	json_array_append_new(versions->of_plugin, one);
}

static void
show_line(const struct versions *versions, const char *version, bool chosen,
	  const struct store_record *record)
{
	printf("%s %-20s %-14s %s", chosen ? "*" : " ", versions->plugin, version,
	       record && record->installed ? record->installed : "");
	if (record && record->signed_by)
		printf("  signed by %s", record->signed_by);
	if (versions->verify)
		fputs("  whole", stdout);
	putchar('\n');
}

static void
show(struct versions *versions, const char *version, bool chosen)
{
	const struct store *store = &versions->where->store;
	struct reason why = {""};
	struct store_record *record = place_record(store, versions->plugin, version, &why);

	if (record && versions->verify)
		place_verify(store, versions->plugin, version, true, &why);
	versions->damaged += *why.text != '\0';
	if (versions->ctl->json)
		show_json(versions, version, chosen, record, why.text);
	else if (*why.text)
		printf("%s %-20s %-14s %s\n", chosen ? "*" : " ", versions->plugin, version,
		       why.text);
	else
		show_line(versions, version, chosen, record);
	versions->shown++;
	store_record_free(record);
}

static void
show_plugin(struct versions *versions, const char *plugin)
{
	char chosen[STORE_VERSION_BYTES] = "";

	versions->plugin = plugin;
	versions->count = 0;
	if (store_each_version(versions->where->store.fd, plugin, on_version, versions))
		return;
	store_current(versions->where->store.fd, plugin, chosen);
	qsort(versions->items, versions->count, sizeof(*versions->items), newest_first);
	versions->of_plugin = json_array();
	for (size_t i = 0; i < versions->count; i++) {
		show(versions, versions->items[i], !strcmp(versions->items[i], chosen));
		free(versions->items[i]);
	}
	if (versions->count)
		json_array_append_new(versions->plugins,
				      json_pack("{s:o, s:o, s:O}", "name", out_json_text(plugin),
						"chosen", text_or_null(*chosen ? chosen : NULL),
						"versions", versions->of_plugin));
	json_decref(versions->of_plugin);
}

static bool
on_plugin(void *context, int dir_fd, const char *name, int type)
{
	(void)dir_fd;
	(void)type;
	if (field_plugin_names.ok(name))
		show_plugin(context, name);
	return true;
}

static int
run(struct ctl *ctl, const struct args *args)
{
	const char *name = args->word_count ? args->words[0] : NULL;
	struct where where = WHERE_INIT;
	AUTO_FREE struct versions *versions = out_must(calloc(1, sizeof(*versions)));
	int status = where_open(ctl, args, WHERE_LOOK, &where);

	*versions = (struct versions){.ctl = ctl,
				      .where = &where,
				      .verify = args_flag(args, "verify"),
				      .plugins = json_array()};
	if (status == CTL_DONE && name && where.store.fd >= 0)
		show_plugin(versions, name);
	else if (status == CTL_DONE && where.store.fd >= 0)
		dir_each(where.store.fd, ".", on_plugin, versions);
	if (status == CTL_DONE && name && !versions->shown)
		status = ctl_fail(ctl, PLUG_ENOTFOUND, name, "is not installed");
	else if (status == CTL_DONE && ctl->json)
		out_json(json_pack("{s:o, s:O}", "store", out_json_text(where.path), "plugins",
				   versions->plugins));
	else if (status == CTL_DONE && !versions->shown)
		printf("nothing is installed in %s\n", where.path);
	if (status == CTL_DONE && versions->damaged)
		status = CTL_FAILED;
	json_decref(versions->plugins);
	where_close(&where);
	return status;
}

const struct verb verb_versions = {
	.name = "versions",
	.args = "[NAME]",
	.summary = "list what is installed",
	.help = "The installed versions of a plugin, or of all, the newest first; a * is before "
		"the "
		"chosen one.  With --verify every file is read and compared with what was "
		"installed; the exit status is 1 if one was changed, is missing, or was added.",
	.options =
		(const struct option_spec[]){
			{"verify", 0, NULL, "compare every file with what was installed"},
			WHERE_OPTIONS,
			{NULL},
		},
	.examples =
		(const struct verb_example[]){
			{"plugctl versions gpt2", "which there are"},
			{"plugctl versions --verify", "has anything been touched?"},
			{NULL},
		},
	.complete = COMPLETE_PLUGIN,
	.max_args = 1,
	.paged = true,
	.run = run,
};
