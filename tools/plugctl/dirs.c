/* Plugin directories. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codec.h"
#include "core/suggest.h"
#include "out.h"
#include "plugin_json.h"
#include "table.h"
#include "verb.h"

#define DIRS_MS 30000 /* all of them are searched */

static json_t *
dir_json(const Plug__Dir *dir)
{
	return json_pack("{s:o, s:o, s:i, s:o}", "path", out_json_text(plug_str(dir->path)),
			 "origin", out_json_text(plug_str(dir->origin)), "plugins",
			 (int)dir->plugins, "error", out_json_text(plug_str(dir->error)));
}

static void
show_table(const Plug__Dirs *dirs)
{
	static const char *const heads[] = {"DIRECTORY", "FROM", ">PLUGINS", "ERROR", NULL};
	struct table *table = table_new(heads);

	for (size_t i = 0; i < dirs->n_dirs; i++) {
		const Plug__Dir *dir = dirs->dirs[i];

		table_cell(table, OUT_BOLD, "%s", plug_str(dir->path));
		table_cell(table, OUT_PLAIN, "%s", plug_str(dir->origin));
		table_cell(table, OUT_PLAIN, "%u", dir->plugins);
		table_cell(table, OUT_RED, "%s", plug_str(dir->error));
		table_row(table);
	}
	if (dirs->n_dirs)
		table_print(table);
	else
		puts("no plugin directory; `plugctl dirs add PATH` adds one");
	table_free(table);
}

static bool
on_dirs(const Plug__Response *response, void *user)
{
	const struct ctl *ctl = user;
	json_t *array;

	if (response->outcome != PLUG_OK || response->body_case != PLUG__RESPONSE__BODY_DIRS)
		return true;
	if (!ctl->json) {
		show_table(response->dirs);
		return true;
	}
	array = json_array();
	for (size_t i = 0; i < response->dirs->n_dirs; i++)
		json_array_append_new(array, dir_json(response->dirs->dirs[i]));
	out_json(json_pack("{s:o}", "dirs", array));
	return true;
}

/* plugd's working directory is another one, and one that is to be made is not there yet. */
static bool
make_absolute(const char *path, char ret[PATH_MAX])
{
	char here[PATH_MAX];

	if (realpath(path, ret))
		return true;
	if (*path == '/')
		return snprintf(ret, PATH_MAX, "%s", path) < PATH_MAX;
	return getcwd(here, sizeof(here)) &&
	       snprintf(ret, PATH_MAX, "%s/%s", here, path) < PATH_MAX;
}

static const char *const actions[] = {"list", "add", "remove", NULL};

static int
run(struct ctl *ctl, const struct args *args)
{
	const char *word = args->word_count ? args->words[0] : "list", *near;
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__DirsRequest dirs = PLUG__DIRS_REQUEST__INIT;
	char path[PATH_MAX] = "";
	int action = 0;

	while (actions[action] && strcmp(actions[action], word))
		action++;
	near = actions[action] ? NULL : suggest_from(word, actions);
	if (!actions[action])
		return ctl_usage(ctl, "%s: expected list, add or remove%s%s%s", word,
				 near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	if (args->word_count > (action ? 2u : 1u) || (action && args->word_count < 2))
		return ctl_usage(
			ctl, action ? "%s: expected one PATH" : "%s: expected nothing else", word);
	if (action && !make_absolute(args->words[1], path))
		return ctl_usage(ctl, "%s: %s", args->words[1], strerror(errno));
	request.body_case = PLUG__REQUEST__BODY_DIRS;
	request.dirs = &dirs;
	dirs.action = (Plug__DirsAction)action; /* numbered alike */
	dirs.path = path;
	dirs.create = args_flag(args, "create");
	return ctl_request(ctl, &request, NULL, ctl_timeout(ctl, DIRS_MS), on_dirs, ctl);
}

const struct verb verb_dirs = {
	.name = "dirs",
	.args = "[list | add PATH | remove PATH]",
	.summary = "show, add or remove plugin directories",
	.help = "Shows the directories that plugd searches for plugins, in the order of "
		"precedence: of two plugins with one name, that in the earlier directory is used, "
		"and `plugctl list` reports the other.\n\n"
		"add searches PATH from now on, after those of the command line and of plugd.yaml; "
		"remove takes one that was added out again: what is only there is stopped and "
		"forgotten.  What was added is kept in the state directory.",
	.options =
		(const struct option_spec[]){
			{"create", 0, NULL, "add: make PATH if it is not there"},
			{NULL},
		},
	.examples =
		(const struct verb_example[]){
			{"plugctl dirs add ~/plugins --create", "search one more"},
			{NULL},
		},
	.complete = COMPLETE_DIR,
	.max_args = 2,
	.run = run,
};
