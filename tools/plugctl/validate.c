/* The parser is plugd's own, so what is accepted here is accepted there.  plugd need not run. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/manifest.h"
#include "core/yaml.h"
#include "out.h"
#include "plugin_json.h"
#include "verb.h"
#include "wire.h"

#define MANIFEST_NAME "plugin.yaml"
#define OPEN_DIRS     16
#define MANIFESTS_MAX 4096 /* of one folder */

struct validation {
	struct ctl *ctl;
	json_t *plugins;
	size_t checked, invalid;
};

/* ---- what the parser does not check ---- */

static bool
is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static bool
in_path(const char *program)
{
	const char *dirs = getenv("PATH"), *end;
	char path[PATH_MAX];

	for (; dirs && *dirs; dirs = *end ? end + 1 : end) {
		end = strchrnul(dirs, ':');
		snprintf(path, sizeof(path), "%.*s/%s", (int)(end - dirs), dirs, program);
		if (is_program(path))
			return true;
	}
	return false;
}

static void
check_exec(const struct manifest *manifest, struct diags *diags)
{
	const char *program = manifest->exec.count ? manifest->exec.items[0] : NULL;
	const struct diag_pos *pos = manifest_origin(manifest, "exec");
	struct stat st;

	if (!program)
		return;
	if (!strchr(program, '/')) {
		if (!in_path(program))
			diag_error(diags, pos,
				   "exec: \"%s\" is in no folder of $PATH; install it, or write "
				   "\"./%s\" for a file beside the manifest",
				   program, program);
	} else if (stat(program, &st) < 0) {
		diag_error(diags, pos, "exec: %s: %s; build the plugin, or correct the path",
			   program, strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		diag_error(diags, pos, "exec: %s is not a file", program);
	} else if (access(program, X_OK) < 0) {
		diag_error(diags, pos, "exec: %s is not executable; chmod +x it", program);
	}
}

static void
check_programs(const struct manifest *manifest, struct diags *diags)
{
	const struct field_strings *programs = &manifest->requires.programs;
	const struct diag_pos *pos = manifest_origin(manifest, "requires.programs");

	for (size_t i = 0; i < programs->count; i++)
		if (!in_path(programs->items[i]))
			diag_warning(diags, pos,
				     "requires.programs: \"%s\" is in no folder of $PATH here; the "
				     "plugin cannot start on this machine",
				     programs->items[i]);
}

/* ---- one manifest ---- */

static void
report(struct validation *validation, const char *path, const struct manifest *manifest,
       const struct diags *diags)
{
	json_t *errors = json_array(), *warnings = json_array();
	char line[DIAG_LINE_BYTES];

	for (const struct diag *diag = diags->first; diag; diag = diag->next) {
		diag_format(diag, line, sizeof(line));
		json_array_append_new(diag->severity == DIAG_ERROR ? errors : warnings,
				      out_json_text(line));
		fprintf(stderr, "%s\n", line);
	}
	if (!validation->ctl->json && !diags->errors)
		printf("%s: valid: %s %s (%s)\n", path, manifest->plugin, manifest->version.text,
		       manifest_type_name(manifest->type));
	json_array_append_new(
		validation->plugins,
		json_pack("{s:o, s:b, s:o, s:o, s:o, s:o}", "path", out_json_text(path), "valid",
			  diags->errors == 0, "plugin",
			  manifest ? out_json_text(manifest->plugin) : json_null(), "version",
			  manifest ? out_json_text(manifest->version.text) : json_null(), "errors",
			  errors, "warnings", warnings));
	validation->checked++;
	validation->invalid += diags->errors > 0;
}

/* NULL with an error added.  The caller frees it. */
static char *
read_file(const char *path, size_t *ret_size, struct diags *diags)
{
	const struct diag_pos pos = {.file = path};
	char *text = malloc(YAML_BYTES + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t got = 1;
	size_t size = 0;

	while (text && fd >= 0 && got > 0 && size <= YAML_BYTES) {
		got = read(fd, text + size, YAML_BYTES + 1 - size);
		size += got > 0 ? (size_t)got : 0;
	}
	if (!text || fd < 0 || got < 0) {
		diag_error(diags, &pos, "cannot be read: %s", strerror(errno));
		free(text);
		text = NULL;
	}
	if (fd >= 0)
		close(fd);
	*ret_size = size;
	return text;
}

static struct manifest *
parse(const char *path, struct diags *diags)
{
	struct manifest_input input = {.source = {.file = path}};
	struct manifest *manifest = NULL;
	char *text = read_file(path, &input.source.length, diags);
	char *absolute = text ? realpath(path, NULL) : NULL;

	if (absolute) {
		*strrchr(absolute, '/') = '\0';
		input.dir = *absolute ? absolute : "/";
		input.source.text = text;
		manifest = manifest_parse(&input, diags);
	}
	free(absolute);
	free(text);
	return manifest;
}

static void
validate_file(struct validation *validation, const char *path)
{
	struct manifest *manifest;
	struct diags diags;

	diags_init(&diags);
	manifest = parse(path, &diags);
	if (manifest) {
		manifest_fits_host(manifest, PLUG_VERSION, &diags);
		check_exec(manifest, &diags);
		check_programs(manifest, &diags);
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
	(void)st;
	if (kind == FTW_F && strcmp(path + where->base, MANIFEST_NAME) == 0 &&
	    found.count < MANIFESTS_MAX && (found.paths[found.count] = strdup(path)))
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
	diag_error(&diags, &pos, "no " MANIFEST_NAME " in this folder or below it");
	report(validation, path, NULL, &diags);
	diags_fini(&diags);
}

static void
validate(struct validation *validation, const char *path)
{
	struct stat st;
	char beside[PATH_MAX];

	snprintf(beside, sizeof(beside), "%s/" MANIFEST_NAME, path);
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
	struct validation validation = {.ctl = ctl, .plugins = json_array()};

	for (size_t i = 0; i < args->word_count; i++)
		validate(&validation, args->words[i]);
	if (ctl->json)
		out_json(json_pack("{s:b, s:O}", "valid", validation.invalid == 0, "plugins",
				   validation.plugins));
	json_decref(validation.plugins);
	if (validation.invalid)
		fprintf(stderr, "plugctl: %zu of %zu not valid\n", validation.invalid,
			validation.checked);
	return validation.invalid ? CTL_FAILED : CTL_DONE;
}

const struct verb verb_validate = {
	.name = "validate",
	.args = "PATH…",
	.summary = "check manifests without plugd",
	.help = "Checks each manifest as plugd would, and that the program it names is there and "
		"can be "
		"executed.  PATH is a plugin.yaml, a plugin's folder, or a folder of plugins, "
		"which is "
		"searched.  Errors and warnings are printed on stderr as FILE:LINE:COLUMN: like a "
		"compiler's; the exit status is 1 if there are errors.",
	.examples =
		(const struct verb_example[]){
			{"plugctl validate .", "the plugin in this folder"},
			{NULL},
		},
	.complete = COMPLETE_FILE,
	.min_args = 1,
	.max_args = VERB_ANY,
	.run = run,
};
