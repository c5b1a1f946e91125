#include "check.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "check_read.h"
#include "core/contract.h"
#include "core/excerpt.h"
#include "os/packages.h"
#include "wire.h"

#define ALLOW      ", or say allow_unsafe: true in plugd.yaml"

#define HEAD_BYTES 256 /* of a program: its ELF header or its first line */

/* ---- programs ---- */

static bool
is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static bool
find_program(const char *name, char path[PATH_MAX])
{
	const char *dirs = getenv("PATH"), *end;

	if (strchr(name, '/')) {
		snprintf(path, PATH_MAX, "%s", name);
		return is_program(path);
	}
	for (; dirs && *dirs; dirs = *end ? end + 1 : end) {
		end = strchrnul(dirs, ':');
		snprintf(path, PATH_MAX, "%.*s/%s", (int)(end - dirs), dirs, name);
		if (is_program(path))
			return true;
	}
	return false;
}

bool
check_program(const char *name)
{
	char path[PATH_MAX];

	return find_program(name, path);
}

/* The first bytes of a file, NUL behind them; how many. */
static size_t
read_head(const char *path, char head[HEAD_BYTES])
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t got = fd < 0 ? 0 : read(fd, head, HEAD_BYTES - 1);

	head[got > 0 ? got : 0] = '\0';
	return got > 0 ? (size_t)got : 0;
}

bool
check_interpreter(const char *path, char *ret, size_t size)
{
	char head[HEAD_BYTES];
	const char *word = head + 2;

	if (read_head(path, head) < 3 || head[0] != '#' || head[1] != '!')
		return false;
	word += strspn(word, " \t");
	snprintf(ret, size, "%.*s", (int)strcspn(word, " \t\r\n"), word);
	return true;
}

static unsigned
machine_of(const char *path)
{
	char head[HEAD_BYTES];
	Elf64_Ehdr header;

	if (read_head(path, head) < sizeof(header) || memcmp(head, ELFMAG, SELFMAG) != 0)
		return 0;
	memcpy(&header, head, sizeof(header)); /* e_machine is at the same place in both classes */
	return header.e_machine;
}

/* A file that the kernel would refuse to execute. */
static void
check_format(const char *program, const struct diag_pos *pos, struct diags *diags)
{
	char interpreter[PATH_MAX], head[HEAD_BYTES];
	size_t size = read_head(program, head);
	unsigned machine = machine_of(program), ours = machine_of("/proc/self/exe");

	if (check_interpreter(program, interpreter, sizeof(interpreter))) {
		if (!is_program(interpreter))
			diag_error(diags, pos,
				   "exec: %s begins with #!%s, which is no program here; install "
				   "it, or correct the first line",
				   program, interpreter);
	} else if (machine && ours && machine != ours) {
		diag_error(diags, pos,
			   "exec: %s is for another kind of processor (ELF machine %u, this one is "
			   "%u); build it here",
			   program, machine, ours);
	} else if (size && !machine) {
		diag_error(diags, pos,
			   "exec: %s is neither an ELF program nor a script that begins with #!",
			   program);
	} else if (!size && access(program, R_OK) == 0) {
		diag_error(diags, pos, "exec: %s is empty", program);
	}
}

static bool
is_of_environment(const struct manifest *manifest, const char *program)
{
	size_t length = strlen(manifest->dir);

	return manifest->environment.python && !strncmp(program, manifest->dir, length) &&
	       !strncmp(program + length, "/.venv/", 7);
}

static void
check_exec(const struct manifest *manifest, struct diags *diags)
{
	const char *program = manifest->exec.count ? manifest->exec.items[0] : NULL;
	const struct diag_pos file = {.file = manifest->file};
	const struct diag_pos *pos = manifest_origin(manifest, "exec");
	struct stat st;

	if (!program)
		return;
	if (!pos) /* a single file executes itself, and does not say so */
		pos = &file;
	if (!strchr(program, '/')) {
		if (!check_program(program))
			diag_error(diags, pos,
				   "exec: \"%s\" is in no folder of $PATH; install it, or write "
				   "\"./%s\" for a file beside the manifest",
				   program, program);
	} else if (is_of_environment(manifest, program) && stat(program, &st) < 0) {
		diag_warning(diags, pos,
			     "exec: %s is not there yet: plugctl install makes it (environment); "
			     "for yourself: python3 -m venv .venv && .venv/bin/pip install -r %s",
			     program, manifest->environment.python);
	} else if (stat(program, &st) < 0) {
		diag_error(diags, pos, "exec: %s: %s; build the plugin, or correct the path",
			   program, strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		diag_error(diags, pos, "exec: %s is not a file", program);
	} else if (access(program, X_OK) < 0) {
		diag_error(diags, pos, "exec: %s is not executable; chmod +x it", program);
	} else {
		check_format(program, pos, diags);
		if (st.st_mode & S_IWOTH)
			diag_error(diags, pos,
				   "exec: found that everybody may write to %s, and so decide what "
				   "runs; expected that only its owner may: chmod o-w it" ALLOW,
				   program);
	}
}

/* Arguments such as ./model.bin, which are relative to the plugin's folder. */
static void
check_arguments(const struct manifest *manifest, struct diags *diags)
{
	char path[PATH_MAX];

	for (size_t i = 1; i < manifest->exec.count; i++) {
		const char *word = manifest->exec.items[i];

		if (strncmp(word, "./", 2) != 0 && strncmp(word, "../", 3) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", manifest->dir, word);
		if (access(path, F_OK) < 0)
			diag_warning(diags, manifest_origin(manifest, "exec"),
				     "exec: the argument %s looks like a file, and is not there",
				     word);
	}
}

static void
check_programs(const struct manifest *manifest, struct diags *diags)
{
	const struct field_strings *programs = &manifest->requires.programs;
	const struct diag_pos *pos = manifest_origin(manifest, "requires.programs");

	for (size_t i = 0; i < programs->count; i++)
		if (!check_program(programs->items[i]))
			diag_warning(diags, pos,
				     "requires.programs: \"%s\" is in no folder of $PATH here; the "
				     "plugin cannot start on this machine",
				     programs->items[i]);
}

struct unmet {
	bool is_own; /* the environment is the plugin's own: then it is wrong on every machine */
	struct diags *diags;
};

static void
on_unmet(void *context, const struct manifest_package *package, const char *text)
{
	const struct unmet *unmet = context;

	if (unmet->is_own)
		diag_error(unmet->diags, &package->pos, "requires.packages: %s", text);
	else
		diag_warning(unmet->diags, &package->pos,
			     "requires.packages: %s; the plugin cannot start on this machine",
			     text);
}

/* What `plugctl install` makes is looked at when it has made it. */
static void
check_packages(const struct manifest *manifest, struct diags *diags)
{
	char path[PATH_MAX];
	struct packages_look look = {.manifest = manifest};
	struct unmet unmet = {manifest->environment.python, diags};

	if (manifest->exec.count && find_program(manifest->exec.items[0], path))
		look.program = path;
	else if (manifest->exec.count && strchr(manifest->exec.items[0], '/'))
		look.program = manifest->exec.items[0];
	if (!unmet.is_own || packages_are_made(&look))
		packages_check(&look, on_unmet, &unmet);
}

/* ---- what else it names ---- */

static void
check_user(const struct manifest *manifest, struct diags *diags)
{
	const char *user = manifest->run.user;

	if (user && !getpwnam(user))
		diag_warning(diags, manifest_origin(manifest, "run.user"),
			     "run.user: there is no user \"%s\" here; adduser --system it, or the "
			     "plugin cannot start on this machine",
			     user);
}

static void
check_paths(const struct manifest *manifest, const char *key, const struct field_strings *paths,
	    struct diags *diags)
{
	for (size_t i = 0; i < paths->count; i++)
		if (access(paths->items[i], F_OK) < 0)
			diag_warning(diags, manifest_origin(manifest, key), "%s: %s: %s", key,
				     paths->items[i], strerror(errno));
}

static void
check_config(const struct manifest *manifest, struct diags *diags)
{
	const struct diag_pos pos = {.file = manifest->file};

	for (size_t i = 0; i < manifest->config.count; i++) {
		const struct schema_key *key = &manifest->config.keys[i];

		if (key->required && !key->fallback.is_set)
			diag_warning(diags, &pos,
				     "config.%s is required and has no default: the plugin does "
				     "not start until plugd.yaml, the environment or --set gives "
				     "it a value",
				     key->name);
	}
}

static bool
is_declared(const void *of, const char *method)
{
	return manifest_method(of, method) != NULL;
}

/* It may offer what it does not declare, so this is known for sure only when it starts. */
static void
check_contract(const struct manifest *manifest, struct diags *diags)
{
	const struct contract_methods declared = {is_declared, manifest};
	const struct contract_need *need = contract_unmet(manifest->type, &declared, &declared);
	char text[CONTRACT_TEXT_BYTES];

	if (!need || !manifest->methods.count)
		return;
	contract_need_text(need, text);
	diag_warning(diags, manifest_origin(manifest, "type"),
		     "type: %s must offer the method %s, which is not declared; a plugin that does "
		     "not offer it is refused",
		     manifest_type_name(manifest->type), text);
}

static void
check_methods(const struct manifest *manifest, struct diags *diags)
{
	const char *probe = manifest->probe.method;
	const struct diag_pos pos = {.file = manifest->file};

	if (!manifest->methods.count)
		diag_warning(diags, &pos,
			     "methods: none is declared; until it runs nobody can tell what it "
			     "does");
	else if (probe && !manifest_method(manifest, probe))
		diag_warning(diags, manifest_origin(manifest, "probe.method"),
			     "probe.method: \"%s\" is not among the methods that are declared; a "
			     "plugin that does not offer it is refused",
			     probe);
}

static void
check_words(const struct manifest *manifest, struct diags *diags)
{
	const struct diag_pos pos = {.file = manifest->file};

	if (!manifest->description)
		diag_warning(diags, &pos, "description: say in a sentence what it is for");
	if (!manifest->license)
		diag_warning(diags, &pos,
			     "license: without one nobody else may use it; name it (Apache-2.0)");
}

/* plugd's rule: config_safety.c of its source. */
static void
check_mode(const char *path, struct diags *diags)
{
	const struct diag_pos pos = {.file = path};
	struct stat st;

	if (stat(path, &st) == 0 && st.st_mode & S_IWOTH &&
	    !(S_ISDIR(st.st_mode) && st.st_mode & S_ISVTX))
		diag_error(diags, &pos,
			   "found that everybody may write to it, and so decide what plugd runs; "
			   "expected that only its owner may: chmod o-w it" ALLOW);
}

/* ---- the file ---- */

static struct manifest *
parse(const char *path, struct diags *diags)
{
	struct manifest_input input = {.source = {.file = path}};
	struct manifest *manifest = NULL;
	bool single;
	char *text = check_read(path, &input.source.length, &single, diags);
	char *absolute = text ? realpath(path, NULL) : NULL;
	char *program = absolute && single ? strdup(absolute) : NULL;

	if (absolute) {
		input.program = program;
		*strrchr(absolute, '/') = '\0';
		input.dir = *absolute ? absolute : "/";
		input.source.text = text;
		manifest = manifest_parse(&input, diags);
		excerpt_keep(diags, input.source.file, text, input.source.length, false);
	}
	free(program);
	free(absolute);
	free(text);
	return manifest;
}

static void
check_environment(const struct manifest *manifest, struct diags *diags)
{
	const char *file = manifest->environment.python;

	if (file && access(file, R_OK) < 0)
		diag_error(diags, manifest_origin(manifest, "environment.python"),
			   "environment.python: %s: %s; expected a requirements file", file,
			   strerror(errno));
}

struct manifest *
check_parse(const char *path, struct diags *diags)
{
	struct manifest *manifest = parse(path, diags);

	if (!manifest)
		return NULL;
	manifest_fits_host(manifest, PLUG_VERSION, diags);
	check_environment(manifest, diags);
	return manifest;
}

struct manifest *
check_manifest(const char *path, struct diags *diags)
{
	struct manifest *manifest = check_parse(path, diags);

	if (!manifest)
		return NULL;
	check_exec(manifest, diags);
	check_arguments(manifest, diags);
	check_programs(manifest, diags);
	check_packages(manifest, diags);
	check_user(manifest, diags);
	check_paths(manifest, "sandbox.read", &manifest->sandbox.read, diags);
	check_paths(manifest, "sandbox.write", &manifest->sandbox.write, diags);
	check_config(manifest, diags);
	check_methods(manifest, diags);
	check_contract(manifest, diags);
	check_words(manifest, diags);
	check_mode(path, diags);
	check_mode(manifest->dir, diags);
	return manifest;
}

void
check_manifest_path(const char *path, char *ret, size_t size)
{
	struct stat st;
	bool folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);

	snprintf(ret, size, "%s%s", path, folder ? "/" CHECK_MANIFEST : "");
}

const char *
check_plugin_path(const struct manifest *manifest, char path[PATH_MAX])
{
	return manifest->single && realpath(manifest->file, path) ? path : manifest->dir;
}

static void
print_line(void *context, const char *text)
{
	(void)context;
	fprintf(stderr, "%s\n", text);
}

void
check_print(const struct diags *diags)
{
	excerpt_each(diags, print_line, NULL);
}
