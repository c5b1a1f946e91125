/* A plugin to begin with: it builds, runs, and passes its own test. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/suggest.h"
#include "out.h"
#include "template.h"
#include "verb.h"
#include "wire.h"

#define NAME_BYTES_MAX 63
#define VALUES_MAX     16

enum language { LANGUAGE_C, LANGUAGE_PYTHON };
static const char *const languages[] = {"c", "python", NULL};

/* What is written: `file` of the folder `from`, or of the type's own where that is NULL. */
struct item {
	const char *from, *file;
	enum language language;
	bool both, executable;
	const char *type; /* of this one only; NULL: of all */
	const char *about;
};
static const struct item items[] = {
	{NULL, "plugin.yaml", .both = true},
	{NULL, "main.c", LANGUAGE_C, .about = "its methods, and a table of them"},
	{"c", "json.c", LANGUAGE_C, .about = "arguments and answers as JSON"},
	{"c", "json.h", LANGUAGE_C},
	{"c", "CMakeLists.txt", LANGUAGE_C, .about = "how it is built"},
	{NULL, "main.py", LANGUAGE_PYTHON, .executable = true, .about = "its methods"},
	{"python", "plug.py", LANGUAGE_PYTHON, .about = "the session with plugd"},
	{"python", "plug_messages.py", LANGUAGE_PYTHON, .about = "the messages of that session"},
	{"python", "plug_client.py", LANGUAGE_PYTHON, .type = "gateway",
	 .about = "calls of other plugins"},
	{"common", "test.sh", .both = true, .executable = true},
	{"common", "README.md", .both = true},
	{"common", "gitignore", .both = true},
};
#define ITEMS (sizeof(items) / sizeof(*items))

struct writing {
	struct ctl *ctl;
	const char *type, *name;
	enum language language;
	char path[PATH_MAX], temporary[PATH_MAX];
	char *descriptors, *files; /* base64; the README's rows */
	struct template_value values[VALUES_MAX];
};

/* ---- the command line ---- */

static bool
is_word(const char *const *words, const char *word)
{
	for (; *words; words++)
		if (strcmp(*words, word) == 0)
			return true;
	return false;
}

static int
unknown(struct ctl *ctl, const char *what, const char *word, const char *const *words)
{
	const char *near = suggest_from(word, words);
	char all[256] = "";

	for (; *words; words++)
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", *all ? ", " : "",
			 *words);
	return ctl_usage(ctl, "no %s \"%s\"; %s%s%s", what, word,
			 near ? "did you mean " : "there are ", near ? near : all, near ? "?" : "");
}

/* As the manifest wants it. */
static bool
is_name(const char *name)
{
	size_t length = strlen(name);

	return length && length <= NAME_BYTES_MAX && name[0] != '-' && name[length - 1] != '-' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

/* ---- what stands for the placeholders ---- */

static const char *
own_text(const struct writing *writing, const char *file)
{
	const struct template *found = template_find(writing->type, file);

	return found ? found->text : "";
}

static bool
is_wanted(const struct writing *writing, const struct item *item)
{
	return (item->both || item->language == writing->language) &&
	       (!item->type || strcmp(item->type, writing->type) == 0);
}

static char *
rows_of_files(const struct writing *writing)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	for (size_t i = 0; to && i < ITEMS; i++)
		if (items[i].about && is_wanted(writing, &items[i]))
			fprintf(to, "| `%s` | %s |\n", items[i].file, items[i].about);
	if (!to || fclose(to) != 0)
		return NULL;
	return text;
}

static bool
fill_values(struct writing *writing)
{
	const struct template *descriptors = templates;
	bool c = writing->language == LANGUAGE_C, gateway = strcmp(writing->type, "gateway") == 0;
	struct template_value values[VALUES_MAX] = {
		{"NAME", writing->name},
		{"TYPE", writing->type},
		{"LANGUAGE", c ? "C" : "Python"},
		{"EXEC", c ? "[build/@NAME@-plugin]" : "[./main.py]"},
		{"RANGE", ">=" PLUG_VERSION},
		{"HOST", PLUG_VERSION},
		{"ABOUT", own_text(writing, "about.md")},
		{"CALLS", own_text(writing, "calls.sh")},
		{"COMPONENTS", gateway ? "plugin client" : "plugin"},
		{"TARGETS", gateway ? "plug::plug plug::client m" : "plug::plug m"},
		{"BUILD_COMMANDS", c ? "cmake -S . -B build && cmake --build build\n" : ""},
		{"BUILD_TEST",
		 c ? "\tcmake -S . -B build > build.log && cmake --build build >> build.log "
		     "|| { cat build.log; exit 1; }\n"
		   : ""},
	};
	size_t at = 12;

	while (descriptors->name && strcmp(descriptors->name, "descriptors") != 0)
		descriptors++;
	writing->descriptors = template_base64(descriptors->text, descriptors->size);
	writing->files = rows_of_files(writing);
	values[at++] = (struct template_value){"DESCRIPTORS", writing->descriptors};
	values[at++] = (struct template_value){"FILES", writing->files};
	memcpy(writing->values, values, sizeof(values));
	return writing->descriptors && writing->files;
}

/* ---- files ---- */

static bool
write_item(const struct writing *writing, const struct item *item)
{
	const struct template *found =
		template_find(item->from ? item->from : writing->type, item->file);
	char path[PATH_MAX + 64];
	FILE *to;
	int fd;

	snprintf(path, sizeof(path), "%s/%s%s", writing->temporary,
		 strcmp(item->file, "gitignore") == 0 ? "." : "", item->file);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, item->executable ? 0777 : 0666);
	to = fd < 0 ? NULL : fdopen(fd, "w");
	if (!to)
		return false;
	template_write(to, found->text, writing->values);
	return fclose(to) == 0;
}

static bool
write_all(const struct writing *writing)
{
	for (size_t i = 0; i < ITEMS; i++)
		if (is_wanted(writing, &items[i]) && !write_item(writing, &items[i]))
			return false;
	return true;
}

static void
remove_all(const struct writing *writing)
{
	char path[PATH_MAX + 64];

	for (size_t i = 0; i < ITEMS; i++) {
		snprintf(path, sizeof(path), "%s/%s%s", writing->temporary,
			 strcmp(items[i].file, "gitignore") == 0 ? "." : "", items[i].file);
		unlink(path);
	}
	rmdir(writing->temporary);
}

/* All of it or nothing: it gets its name when it is whole.  rename() replaces an empty folder. */
static bool
make_folder(struct writing *writing, const char *dir)
{
	mode_t mask = umask(0);
	bool made;

	umask(mask);
	snprintf(writing->path, sizeof(writing->path), "%s/%s", dir, writing->name);
	snprintf(writing->temporary, sizeof(writing->temporary), "%s/.%s.XXXXXX", dir,
		 writing->name);
	if (!mkdtemp(writing->temporary))
		return false;
	made = write_all(writing) && chmod(writing->temporary, 0777 & ~mask) == 0 &&
	       rename(writing->temporary, writing->path) == 0;
	if (!made) {
		int error = errno;

		remove_all(writing);
		errno = error;
	}
	return made;
}

/* ---- the verb ---- */

static json_t *
files_json(const struct writing *writing)
{
	json_t *files = json_array();

	for (size_t i = 0; i < ITEMS; i++)
		if (is_wanted(writing, &items[i]))
			json_array_append_new(
				files,
				json_sprintf("%s%s",
					     strcmp(items[i].file, "gitignore") == 0 ? "." : "",
					     items[i].file));
	return files;
}

static void
show(const struct writing *writing)
{
	bool c = writing->language == LANGUAGE_C;

	if (writing->ctl->json) {
		out_json(json_pack("{s:o, s:s, s:s, s:s, s:o}", "path",
				   out_json_text(writing->path), "name", writing->name, "type",
				   writing->type, "language", languages[writing->language], "files",
				   files_json(writing)));
		return;
	}
	printf("%s: %s %s plugin in %s\n", writing->path,
	       strchr("aeiou", *writing->type) ? "an" : "a", writing->type, c ? "C" : "Python");
	puts("next:");
	printf("  cd %s\n", writing->path);
	if (c)
		puts("  cmake -S . -B build && cmake --build build");
	puts("  plugctl run .      in the foreground; Ctrl-C stops it\n"
	     "  sh test.sh         its tests");
}

static int
write_plugin(struct writing *writing, const char *dir)
{
	char why[PATH_MAX + 128];
	bool filled = fill_values(writing), made = filled && make_folder(writing, dir);
	int error = errno;

	free(writing->descriptors);
	free(writing->files);
	if (made) {
		show(writing);
		return CTL_DONE;
	}
	if (error == ENOTEMPTY || error == EEXIST || error == ENOTDIR)
		snprintf(why, sizeof(why),
			 "%s is there already; choose another name or --dir, nothing was written",
			 writing->path);
	else if (error == ENOENT && *writing->path)
		snprintf(why, sizeof(why),
			 "there is no folder %s; make it, or choose another --dir, nothing was "
			 "written",
			 dir);
	else
		snprintf(why, sizeof(why), "%s cannot be written: %s; nothing is left of it",
			 *writing->path ? writing->path : dir, strerror(error));
	return ctl_fail(writing->ctl, PLUG_ESYS, NULL, why);
}

static int
run(struct ctl *ctl, const struct args *args)
{
	struct writing writing = {.ctl = ctl, .type = args->words[0], .name = args->words[1]};
	const char *language = args_text(args, "lang", "c");

	if (!is_word(plugin_types, writing.type))
		return unknown(ctl, "type", writing.type, plugin_types);
	if (!is_word(languages, language))
		return unknown(ctl, "language", language, languages);
	if (!is_name(writing.name))
		return ctl_usage(ctl,
				 "\"%s\" is no name of a plugin: expected a-z, 0-9 and -, at most "
				 "%d, no - at either end",
				 writing.name, NAME_BYTES_MAX);
	writing.language = strcmp(language, "c") == 0 ? LANGUAGE_C : LANGUAGE_PYTHON;
	return write_plugin(&writing, args_text(args, "dir", "."));
}

const struct verb verb_new = {
	.name = "new",
	.args = "TYPE NAME",
	.summary = "write a plugin to begin with",
	.help = "Makes a folder NAME with a plugin of that type that does something small and real "
		"of its kind: a manifest, a program, a test and a README.  It builds, runs and "
		"passes its test as it is; what is to be changed is said in it.\n\n"
		"TYPE is model, device, interface, provider, optimization, feature, memory or "
		"gateway.  In C it uses libplug, found by CMake or pkg-config, and jansson; in "
		"Python nng and protobuf (libnng1, python3-protobuf) and no libplug.",
	.options =
		(const struct option_spec[]){
			{"lang", 'l', "LANGUAGE", "c or python (c)"},
			{"dir", 'C', "DIR", "where the folder is made (.)", COMPLETE_DIR},
			{NULL},
		},
	.examples =
		(const struct verb_example[]){
			{"plugctl new model my-model", "in C"},
			{"plugctl new --lang python --dir plugins provider my-provider",
			 "in Python, below plugins/"},
			{NULL},
		},
	.complete = COMPLETE_TYPE,
	.min_args = 2,
	.max_args = 2,
	.run = run,
};
