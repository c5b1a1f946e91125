#include "os/packages.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "core/distribution.h"
#include "os/dir.h"
#include "os/statedir.h"

#define VENV          ".venv" /* in the plugin's folder; tools/plugctl/install/environment.c */
#define VENV_FILE     "pyvenv.cfg"
#define VENV_BYTES    ((size_t)8 * 1024)
#define PATH_FOLDERS  32 /* of PYTHONPATH */
#define VERSION_BYTES 64

enum kind {
	KIND_VENV,
	KIND_PREFIX, /* an installation of Python */
	KIND_SYSTEM,
	KIND_NOT_MADE,
};

struct place {
	enum kind kind;
	char prefix[PATH_MAX]; /* of a VENV or a PREFIX */
};

/* What was found of one required package. */
struct found {
	bool seen, fits;
	unsigned round;              /* in which it was seen */
	char version[VERSION_BYTES]; /* "": it has none */
	char *folder;                /* NULL: memory was short */
};

struct finder {
	const struct packages_look *look;
	const struct manifest_packages *wanted;
	struct found *found;
	struct place place;
	unsigned round;     /* counts the places that come after one another */
	unsigned left;      /* entries that may still be read */
	const char *folder; /* that is being read */
};

/* ---- one folder ---- */

static bool
fits(const struct manifest_package *package, const char *text)
{
	char why[PEP440_ERR_BYTES];
	struct pep440 version;

	if (!package->range.count && !*text)
		return true;
	return pep440_parse(text, &version, why) && pep440_range_matches(&package->range, &version);
}

/* Of two in one place, which a broken change of versions leaves, one that fits is enough. */
static void
note(struct finder *finder, size_t at, const struct distribution_entry *entry)
{
	struct found *found = &finder->found[at];
	size_t length =
		entry->version_length < VERSION_BYTES ? entry->version_length : VERSION_BYTES - 1;

	if (found->seen && (found->fits || found->round != finder->round))
		return;
	memcpy(found->version, entry->version, length);
	found->version[length] = '\0';
	found->fits = fits(&finder->wanted->items[at], found->version);
	found->seen = true;
	found->round = finder->round;
	free(found->folder);
	found->folder = strdup(finder->folder);
}

static bool
on_entry(void *context, int dir_fd, const char *name, int type)
{
	struct finder *finder = context;
	struct distribution_entry entry;

	(void)dir_fd;
	(void)type;
	if (!finder->left)
		return false;
	finder->left--;
	if (!distribution_entry(name, &entry))
		return true;
	for (size_t i = 0; i < finder->wanted->count; i++) {
		const char *wanted = finder->wanted->items[i].name;

		if (distribution_same(entry.name, entry.name_length, wanted, strlen(wanted)))
			note(finder, i, &entry);
	}
	return true;
}

static void
look_in(struct finder *finder, int dir_fd, const char *name, const char *path)
{
	finder->folder = path;
	dir_each(dir_fd, name, on_entry, finder);
}

/* ---- places ---- */

struct lib {
	struct finder *finder;
	const char *path;
	bool any;
};

/* "python3.11" */
static bool
on_lib(void *context, int dir_fd, const char *name, int type)
{
	static const char *const folders[] = {"site-packages", "dist-packages"};
	struct lib *lib = context;
	char path[PATH_MAX + 2 * NAME_MAX], below[2 * NAME_MAX];
	struct stat st;

	if (!lib->finder->left)
		return false;
	lib->finder->left--;
	if (strncmp(name, "python3.", 8) != 0 || type == DT_LNK)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		snprintf(below, sizeof(below), "%s/%s", name, folders[i]);
		snprintf(path, sizeof(path), "%s/%s", lib->path, below);
		if (fstatat(dir_fd, below, &st, AT_SYMLINK_NOFOLLOW) || !S_ISDIR(st.st_mode))
			continue;
		lib->any = true;
		if (lib->finder->wanted)
			look_in(lib->finder, dir_fd, below, path);
	}
	return true;
}

/* All PREFIX/lib/python3.N; false: there is none. */
static bool
look_below(struct finder *finder, const char *prefix)
{
	char path[PATH_MAX + 8];
	struct lib lib = {.finder = finder, .path = path};

	snprintf(path, sizeof(path), "%s/lib", prefix);
	dir_each(AT_FDCWD, path, on_lib, &lib);
	return lib.any;
}

static void
look_in_system(struct finder *finder)
{
	const char *root = finder->look->root ? finder->look->root : "";
	char path[PATH_MAX];

	finder->round++;
	snprintf(path, sizeof(path), "%s/usr/local", root);
	look_below(finder, path);
	snprintf(path, sizeof(path), "%s/usr/lib/python3/dist-packages", root); /* Debian's */
	look_in(finder, AT_FDCWD, path, path);
	if (!access(path, F_OK))
		return;
	snprintf(path, sizeof(path), "%s/usr", root);
	look_below(finder, path);
}

/* As the process will have it; NULL: none. */
static const char *
python_path(const struct manifest_run *run)
{
	static const char name[] = "PYTHONPATH";

	for (size_t i = 0; i < run->env.count; i++)
		if (!strcmp(run->env.items[i].name, name))
			return run->env.items[i].value;
	if (run->env_inherit.count && !field_strings_have(&run->env_inherit, name))
		return NULL;
	return getenv(name);
}

static void
look_in_path(struct finder *finder)
{
	const struct manifest *m = finder->look->manifest;
	const char *at = python_path(&m->run);
	char path[2 * PATH_MAX];

	for (unsigned i = 0; at && *at && i < PATH_FOLDERS; i++) {
		int length = (int)strcspn(at, ":");

		finder->round++;
		if (length && length < PATH_MAX) { /* the '.' follows a link */
			if (*at == '/')
				snprintf(path, sizeof(path), "%.*s/.", length, at);
			else
				snprintf(path, sizeof(path), "%s/%.*s/.", m->dir, length, at);
			look_in(finder, AT_FDCWD, path, path);
		}
		at += length + (at[length] == ':');
	}
}

static bool
sees_system(const char *prefix)
{
	AUTO_FREE char *text = NULL;
	char path[PATH_MAX + 16];
	const char *at;
	size_t size;

	snprintf(path, sizeof(path), "%s/" VENV_FILE, prefix);
	if (statedir_read(AT_FDCWD, path, VENV_BYTES, &text, &size))
		return false;
	at = strcasestr(text, "include-system-site-packages");
	if (!at)
		return false;
	at += strcspn(at, "=\n");
	at += *at == '=';
	return !strncasecmp(at + strspn(at, " \t"), "true", 4);
}

/* ---- which place ---- */

/* "/a/.venv" of "/a/.venv/bin/python" */
static bool
prefix_of(const char *program, char prefix[PATH_MAX])
{
	const char *name = program ? strrchr(program, '/') : NULL;
	size_t length = name ? (size_t)(name - program) : 0;

	if (length < 5 || length >= PATH_MAX || strncmp(name - 4, "/bin", 4) != 0)
		return false;
	memcpy(prefix, program, length - 4);
	prefix[length - 4] = '\0';
	return true;
}

static bool
is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool
is_venv(const char *prefix, const char *own)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/" VENV_FILE, prefix);
	return !strcmp(prefix, own) || access(path, F_OK) == 0;
}

static bool
is_python(const char *program)
{
	const char *name = program ? strrchr(program, '/') : NULL;

	return name && !strncmp(name + 1, "python", 6);
}

/* The installation that a Python is of, whatever links lead to it; not the system's. */
static bool
find_installation(const char *program, char prefix[PATH_MAX])
{
	struct finder only_look = {.left = PACKAGES_ENTRIES};
	char real[PATH_MAX];

	return realpath(program, real) && prefix_of(real, prefix) && strcmp(prefix, "/usr") != 0 &&
	       look_below(&only_look, prefix);
}

static void
choose(const struct packages_look *look, struct place *place)
{
	char own[PATH_MAX];

	*place = (struct place){.kind = KIND_SYSTEM};
	snprintf(own, sizeof(own), "%s/" VENV, look->manifest->dir);
	if (prefix_of(look->program, place->prefix) && is_venv(place->prefix, own)) {
		place->kind = is_folder(place->prefix) ? KIND_VENV : KIND_NOT_MADE;
	} else if (is_python(look->program)) {
		if (find_installation(look->program, place->prefix))
			place->kind = KIND_PREFIX;
	} else if (is_folder(own)) {
		place->kind = KIND_VENV;
		snprintf(place->prefix, sizeof(place->prefix), "%s", own);
	} else if (look->manifest->environment.python) {
		place->kind = KIND_NOT_MADE;
		snprintf(place->prefix, sizeof(place->prefix), "%s", own);
	}
}

bool
packages_are_made(const struct packages_look *look)
{
	struct place place;

	choose(look, &place);
	return place.kind != KIND_NOT_MADE;
}

/* ---- telling ---- */

static void
say_found(const struct finder *finder, size_t at, char *text, size_t size)
{
	static const char system[] = "/usr/lib/python3, /usr/local/lib/python3.*";
	const struct found *found = &finder->found[at];
	const char *name = finder->wanted->items[at].name, *prefix = finder->place.prefix;
	bool is_system = finder->place.kind == KIND_SYSTEM;

	if (found->seen)
		snprintf(text, size, "found %s %s in %.160s", name,
			 *found->version ? found->version : "without a version",
			 found->folder ? found->folder : "(out of memory)");
	else
		snprintf(text, size, "found no %s %s%.140s%s", name,
			 finder->left ? "in " : "among the first entries of ",
			 is_system ? system : prefix, is_system ? "" : "/lib/python3.*");
}

/* An environment's own python, or the one that the plugin is executed by. */
static void
say_remedy(const struct finder *finder, size_t at, char *text, size_t size)
{
	const struct place *place = &finder->place;
	const char *program = is_python(finder->look->program) ? finder->look->program : "python3";
	bool is_venv = place->kind == KIND_VENV;
	char range[PEP440_TEXT_BYTES];

	pep440_range_format(&finder->wanted->items[at].range, range, sizeof(range));
	snprintf(text, size, "%.140s%s -m pip install '%s%s'", is_venv ? place->prefix : program,
		 is_venv ? "/bin/python" : "", finder->wanted->items[at].name, range);
}

static void
describe(const struct finder *finder, size_t at, char text[PACKAGES_TEXT_BYTES])
{
	const char *expected = finder->wanted->items[at].text;
	char found[400], remedy[400];

	if (finder->place.kind == KIND_NOT_MADE) {
		snprintf(text, PACKAGES_TEXT_BYTES,
			 "found no %.160s, in which \"%.100s\" is expected; plugctl install makes "
			 "it",
			 finder->place.prefix, expected);
		return;
	}
	say_found(finder, at, found, sizeof(found));
	say_remedy(finder, at, remedy, sizeof(remedy));
	snprintf(text, PACKAGES_TEXT_BYTES, "%s; expected \"%.100s\": %s", found, expected, remedy);
}

/* ---- all of it ---- */

static void
look_everywhere(struct finder *finder)
{
	const struct place *place = &finder->place;

	look_in_path(finder);
	finder->round++;
	if (place->kind == KIND_VENV || place->kind == KIND_PREFIX)
		look_below(finder, place->prefix);
	if (place->kind == KIND_SYSTEM || (place->kind == KIND_VENV && sees_system(place->prefix)))
		look_in_system(finder);
}

bool
packages_check(const struct packages_look *look, packages_on_unmet on_unmet, void *context)
{
	const struct manifest_packages *wanted = &look->manifest->requires.packages;
	struct finder finder = {.look = look, .wanted = wanted, .left = PACKAGES_ENTRIES};
	char text[PACKAGES_TEXT_BYTES];
	bool all = true;

	if (!wanted->count)
		return true;
	finder.found = calloc(wanted->count, sizeof(*finder.found));
	if (!finder.found) {
		on_unmet(context, &wanted->items[0], "out of memory");
		return false;
	}
	choose(look, &finder.place);
	if (finder.place.kind != KIND_NOT_MADE)
		look_everywhere(&finder);
	for (size_t i = 0; i < wanted->count; i++) {
		if (!finder.found[i].fits) {
			describe(&finder, i, text);
			on_unmet(context, &wanted->items[i], text);
			all = false;
		}
		free(finder.found[i].folder);
	}
	free(finder.found);
	return all;
}
