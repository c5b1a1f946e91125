/* The parser is plugd's own, so what is accepted here is accepted there.  plugd need not run. */
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "check_read.h"
#include "out.h"
#include "verb.h"

#define OPEN_DIRS     16
#define MANIFESTS_MAX 4096 /* of one folder */

struct validation {
	struct ctl *ctl;
	bool strict, quiet;
	json_t *plugins;
	json_t *names; /* plugin -> path of the manifest that has that name */
	json_t *words; /* command or alias -> plugin */
	size_t checked, invalid, warned;
};

/* ---- one manifest ---- */

static json_t *
diag_json(const struct diag *diag)
{
	return json_pack("{s:s, s:o, s:i, s:i, s:o}", "severity",
			 diag->severity == DIAG_ERROR  ? "error"
			 : diag->severity == DIAG_NOTE ? "note"
						       : "warning",
			 "file", out_json_text(diag->pos.file ? diag->pos.file : ""), "line",
			 (int)diag->pos.line, "column", (int)diag->pos.column, "message",
			 out_json_text(diag->message));
}

static json_t *
lines_json(const struct diags *diags, enum diag_severity severity)
{
	json_t *lines = json_array();
	char line[DIAG_LINE_BYTES];

	for (const struct diag *diag = diags->first; diag; diag = diag->next) {
		if (diag->severity != severity)
			continue;
		diag_format(diag, line, sizeof(line));
		json_array_append_new(lines, out_json_text(line));
	}
	return lines;
}

static json_t *
report_json(const char *path, bool valid, const struct manifest *manifest,
	    const struct diags *diags)
{
	json_t *all = json_array();

	for (const struct diag *diag = diags->first; diag; diag = diag->next)
		json_array_append_new(all, diag_json(diag));
	return json_pack("{s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "path", out_json_text(path),
			 "valid", (int)valid, "plugin",
			 manifest ? out_json_text(manifest->plugin) : json_null(), "version",
			 manifest ? out_json_text(manifest->version.text) : json_null(), "type",
			 manifest ? json_string(manifest_type_name(manifest->type)) : json_null(),
			 "errors", lines_json(diags, DIAG_ERROR), "warnings",
			 lines_json(diags, DIAG_WARNING), "diagnostics", all);
}

static void
report(struct validation *validation, const char *path, const struct manifest *manifest,
       const struct diags *diags)
{
	bool valid = !diags->errors && !(validation->strict && diags->warnings);

	check_print(diags);
	if (!validation->ctl->json && !validation->quiet && valid)
		printf("%s: valid: %s %s (%s)\n", path, manifest->plugin, manifest->version.text,
		       manifest_type_name(manifest->type));
	json_array_append_new(validation->plugins, report_json(path, valid, manifest, diags));
	validation->checked++;
	validation->warned += diags->warnings > 0;
	validation->invalid += !valid;
}

/* plugd takes the first of two plugins with one name and refuses the other. */
static void
check_name(struct validation *validation, const char *path, const struct manifest *manifest,
	   struct diags *diags)
{
	const char *other = json_string_value(json_object_get(validation->names, manifest->plugin));

	if (other)
		diag_error(diags, manifest_origin(manifest, "plugin"),
			   "plugin: the name \"%s\" is that of %s too; names are unique on a host",
			   manifest->plugin, other);
	else
		json_object_set_new(validation->names, manifest->plugin, out_json_text(path));
}

/* Of two plugins with one command plugd takes the first, too. */
static void
check_word(struct validation *validation, const char *word, const struct manifest *manifest,
	   struct diags *diags)
{
	const char *other = json_string_value(json_object_get(validation->words, word));

	if (other && strcmp(other, manifest->plugin) != 0)
		diag_error(diags, manifest_command_origin(manifest, word),
			   "commands: \"%s\" of %s is a command of %s already, which keeps it; "
			   "expected another name",
			   word, manifest->plugin, other);
	else
		json_object_set_new(validation->words, word, json_string(manifest->plugin));
}

static void
check_commands(struct validation *validation, const struct manifest *manifest, struct diags *diags)
{
	const struct command *commands = manifest->commands.items;

	for (size_t i = 0; i < manifest->commands.count; i++) {
		check_word(validation, commands[i].name, manifest, diags);
		for (size_t k = 0; k < commands[i].aliases.count; k++)
			check_word(validation, commands[i].aliases.items[k], manifest, diags);
	}
}

static void
validate_file(struct validation *validation, const char *path)
{
	struct manifest *manifest;
	struct diags diags;

	diags_init(&diags);
	manifest = check_manifest(path, &diags);
	if (manifest) {
		check_name(validation, path, manifest, &diags);
		check_commands(validation, manifest, &diags);
	}
	report(validation, path, manifest, &diags);
	manifest_free(manifest);
	diags_fini(&diags);
}

/* ---- folders ---- */

/* nftw() has no argument for its function. */
static struct {
	char *paths[MANIFESTS_MAX];
	size_t count;
} found;

static int
on_file(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	const char *name = path + where->base;
	bool is_plugin = kind == FTW_F && (strcmp(name, CHECK_MANIFEST) == 0 ||
					   (*name != '.' && *name != '_' && st->st_mode & 0111 &&
					    check_holds_manifest(path)));

	if (is_plugin && found.count < MANIFESTS_MAX && (found.paths[found.count] = strdup(path)))
		found.count++;
	return 0;
}

static int
by_path(const void *left, const void *right)
{
	return strcmp(*(char *const *)left, *(char *const *)right);
}

static void
validate_folder(struct validation *validation, const char *path)
{
	const struct diag_pos pos = {.file = path};
	struct diags diags;

	found.count = 0;
	nftw(path, on_file, OPEN_DIRS, FTW_PHYS);
	qsort(found.paths, found.count, sizeof(*found.paths), by_path);
	for (size_t i = 0; i < found.count; i++) {
		validate_file(validation, found.paths[i]);
		free(found.paths[i]);
	}
	if (found.count)
		return;
	diags_init(&diags);
	diag_error(&diags, &pos,
		   "no " CHECK_MANIFEST " in this folder or below it, and no executable "
		   "that holds a manifest");
	report(validation, path, NULL, &diags);
	diags_fini(&diags);
}

static void
validate(struct validation *validation, const char *path)
{
	struct stat st;
	char beside[PATH_MAX];

	snprintf(beside, sizeof(beside), "%s/" CHECK_MANIFEST, path);
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		validate_file(validation, path);
	else if (access(beside, F_OK) == 0)
		validate_file(validation, beside);
	else
		validate_folder(validation, path);
}

static int
run(struct ctl *ctl, const struct args *args)
{
	struct validation validation = {.ctl = ctl,
					.strict = args_flag(args, "strict"),
					.quiet = args_flag(args, "quiet"),
					.plugins = json_array(),
					.names = json_object(),
					.words = json_object()};

	for (size_t i = 0; i < args->word_count; i++)
		validate(&validation, args->words[i]);
	if (ctl->json)
		out_json(json_pack("{s:b, s:O}", "valid", validation.invalid == 0, "plugins",
				   validation.plugins));
	json_decref(validation.plugins);
	json_decref(validation.names);
	json_decref(validation.words);
	if (validation.invalid)
		fprintf(stderr, "plugctl: %zu of %zu not valid\n", validation.invalid,
			validation.checked);
	return validation.invalid ? CTL_FAILED : CTL_DONE;
}

const struct verb verb_validate = {
	.name = "validate",
	.args = "PATH…",
	.summary = "check manifests without plugd",
	.help = "Checks each manifest as plugd would, and what it names on this machine: that the "
		"program is there, can be executed and is for this processor, its interpreter, the "
		"programs, Python packages and the user that it requires, the paths of its "
		"sandbox; and that no "
		"name is there twice.  PATH is a plugin.yaml, an executable that holds its "
		"manifest, a plugin's folder, or a folder of plugins, which is searched.\n\n"
		"Errors and warnings are printed on stderr as FILE:LINE:COLUMN: like a compiler's. "
		"The exit status is 1 if there are errors, with --strict also if there are "
		"warnings.  Nothing is executed, and plugd need not run.",
	.options =
		(const struct option_spec[]){
			{"strict", 's', NULL, "warnings are errors"},
			{"quiet", 'q', NULL, "print nothing of what is valid"},
			{NULL},
		},
	.examples =
		(const struct verb_example[]){
			{"plugctl validate .", "the plugin in this folder"},
			{"plugctl validate --strict --json plugins | jq '.plugins[].diagnostics[]'",
			 "all below a folder, for a CI job"},
			{NULL},
		},
	.complete = COMPLETE_FILE,
	.min_args = 1,
	.max_args = VERB_ANY,
	.paged = true,
	.run = run,
};
