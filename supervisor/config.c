#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "config_safety.h"
#include "config_store.h"
#include "core/excerpt.h"
#include "os/statedir.h"
#include "plugin/registry.h"
#include "plugin/runtime_file.h"
#include "wire.h"

#define CONFIG_BYTES ((size_t)256 * 1024)

extern char **environ;

static void
file_error(struct diags *diags, const char *path, const char *text)
{
	struct diag_pos pos = {.file = path};

	diag_error(diags, &pos, "%s; expected a readable file of at most 256 KiB", text);
}

static bool
read_models(struct settings *settings, struct diags *diags)
{
	const struct diag_pos *pos = settings_origin(settings, "models_file");
	AUTO_FREE char *text = NULL;
	struct kept_text *kept;
	bool good = false;
	size_t size;
	plug_err err = statedir_read(AT_FDCWD, settings->models_file, CONFIG_BYTES, &text, &size);

	if (err) {
		diag_error(diags, pos ? pos : &(struct diag_pos){.file = settings->file},
			   "models_file: %s: %s; expected a readable file of at most 256 KiB",
			   settings->models_file,
			   err == PLUG_ESYS ? strerror(errno) : plug_err_text(err));
		return false;
	}
	kept = kept_text_new(settings->models_file, text, size);
	if (kept)
		good = settings_add_models(settings, kept, diags);
	else
		file_error(diags, settings->models_file, plug_err_text(PLUG_ENOMEM));
	excerpt_keep(diags, settings->models_file, text, size, true);
	kept_text_unref(kept);
	return good;
}

static struct settings *
parse_file(const char *path, struct diags *diags)
{
	char absolute[PATH_MAX];
	AUTO_FREE char *text = NULL;
	struct settings *settings = NULL;
	struct kept_text *kept;
	size_t size;
	plug_err err;

	if (!realpath(path, absolute)) {
		file_error(diags, path, strerror(errno));
		return NULL;
	}
	err = statedir_read(AT_FDCWD, absolute, CONFIG_BYTES, &text, &size);
	if (err) {
		file_error(diags, path, err == PLUG_ESYS ? strerror(errno) : plug_err_text(err));
		return NULL;
	}
	kept = kept_text_new(absolute, text, size);
	if (kept)
		settings = settings_from_text(kept, diags);
	else
		file_error(diags, path, plug_err_text(PLUG_ENOMEM));
	excerpt_keep(diags, absolute, text, size, true);
	if (settings && settings->models_file && !read_models(settings, diags)) {
		settings_free(settings);
		settings = NULL;
	}
	kept_text_unref(kept);
	return settings;
}

struct settings *
config_load(const struct options *options, struct diags *diags)
{
	struct settings *settings;

	if (options->config_file)
		return parse_file(options->config_file, diags);
	settings = settings_default();
	if (!settings)
		diag_error(diags, &(struct diag_pos){.file = "plugd"}, "out of memory");
	return settings;
}

void
config_state_dir(const struct options *options, const struct settings *settings, char *path,
		 size_t size)
{
	const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (options->state_dir)
		snprintf(path, size, "%s", options->state_dir);
	else if (settings->state_dir)
		snprintf(path, size, "%s", settings->state_dir);
	else if (options->runtime_dir)
		snprintf(path, size, "%s/state", options->runtime_dir);
	else if (geteuid() == 0)
		snprintf(path, size, "/var/lib/plugd");
	else if (xdg && *xdg)
		snprintf(path, size, "%s/plugd", xdg);
	else
		snprintf(path, size, "%s/.local/state/plugd", home ? home : "");
}

/* ---- discovery ---- */

static uint64_t
hash_node(uint64_t hash, const struct yaml_node *node)
{
	hash = hash_bytes(hash, &node->kind, sizeof(node->kind));
	hash = hash_text(hash_text(hash, node->key), node->text);
	for (const struct yaml_node *child = node->first; child; child = child->next)
		hash = hash_node(hash, child);
	return hash_bytes(hash, &node->count, sizeof(node->count));
}

static uint64_t
fingerprint(const char *text, size_t size, const struct manifest_override *override)
{
	uint64_t hash = hash_bytes(HASH_START, text, size);

	if (override && override->node)
		hash = hash_node(hash, override->node);
	return hash ? hash : 1;
}

uint64_t
config_fingerprint(const struct settings *settings, const struct spec *spec)
{
	AUTO_FREE char *text = NULL;
	size_t size;

	if (plugin_file_read(AT_FDCWD, spec->path, &text, &size, NULL))
		return 0;
	return fingerprint(text, size, settings_override(settings, spec->name));
}

/* What is laid over a manifest besides plugd.yaml. */
struct config_layers {
	struct spec_layers given;
	int state_fd; /* of what an operator has set; -1: of nothing */
};

/* What runs can be made anew from these, whatever is on disk by then. */
static struct spec *
keep_texts(struct spec *spec, const struct scan_plugin *found, const struct settings *settings,
	   struct diags *diags)
{
	struct kept_text *text = kept_text_new(found->manifest, found->text, found->size);

	if (text) {
		spec_keep(spec, text, settings->text);
		kept_text_unref(text);
		return spec;
	}
	file_error(diags, found->manifest, plug_err_text(PLUG_ENOMEM));
	spec_free(spec);
	return NULL;
}

static bool
still_there(const struct spec *spec)
{
	return !spec->set_count && !spec->file_count && !spec->runtime_count &&
	       !spec->manifest->requires.programs.count &&
	       !spec->manifest->requires.packages.count && !access(spec->program, X_OK) &&
	       (!spec->under_program || !access(spec->under_program, X_OK));
}

/* What is in the store was pinned, and is looked at anew. */
static struct spec *
find_known(const struct config_making *making, const struct scan_plugin *found)
{
	const struct config_present *present = &making->present;
	struct spec *spec = present->find ? present->find(present->user, found->manifest) : NULL;
	size_t length = strlen(making->store.dir);

	if (!spec || !still_there(spec) ||
	    (length && !strncmp(found->manifest, making->store.dir, length)) ||
	    spec->fingerprint != fingerprint(found->text, found->size,
					     settings_override(making->settings, spec->name)))
		return NULL;
	return spec_ref(spec);
}

/* The layer of `plugctl config set`, which is known by the plugin's name only.  Takes `manifest`.
 */
static struct spec *
with_runtime(struct manifest *manifest, struct spec_layers layers, int state_fd,
	     struct diags *diags)
{
	struct runtime *runtime = runtime_file_load(state_fd, manifest->plugin, diags);
	struct spec *spec;

	if (!runtime) {
		manifest_free(manifest);
		return NULL;
	}
	layers.runtime = runtime->values;
	layers.runtime_count = runtime->value_count;
	spec = spec_new(manifest, &layers, diags);
	runtime_free(runtime);
	return spec;
}

static struct spec *
parse_spec(const struct scan_plugin *found, const struct settings *settings,
	   const struct config_layers *layers, struct config_store *store, struct diags *diags)
{
	struct manifest_input input = {
		.source = {.file = found->manifest, .text = found->text, .length = found->size},
		.dir = found->folder,
		.program = plugin_file_is_single(found->manifest) ? found->manifest : NULL,
	};
	struct manifest *manifest = manifest_parse(&input, diags);
	struct spec *spec;

	/* The name says which part of plugd.yaml is laid over it, and it is known only now. */
	if (manifest) {
		input.override = settings_override(settings, manifest->plugin);
		if (input.override) {
			manifest_free(manifest);
			manifest = manifest_parse(&input, diags);
		}
	}
	if (manifest && !manifest_fits_host(manifest, PLUG_VERSION, diags)) {
		manifest_free(manifest);
		return NULL;
	}
	spec = manifest ? with_runtime(manifest, layers->given, layers->state_fd, diags) : NULL;
	if (!spec)
		return NULL;
	if (!config_is_safe(spec, settings, diags)) {
		spec_free(spec);
		return NULL;
	}
	if (!config_store_pin(store, spec, found->text, found->size, diags)) {
		spec_free(spec);
		return NULL;
	}
	spec->fingerprint = fingerprint(found->text, found->size, input.override);
	return keep_texts(spec, found, settings, diags);
}

/* With the lines that errors are about. */
static struct spec *
make_spec(const struct scan_plugin *found, const struct settings *settings,
	  const struct config_layers *layers, struct config_store *store, struct diags *diags)
{
	struct spec *spec = parse_spec(found, settings, layers, store, diags);

	excerpt_keep(diags, found->manifest, found->text, found->size, false);
	if (settings->text)
		excerpt_keep(diags, settings->text->file, settings->text->bytes,
			     settings->text->size, true);
	return spec;
}

static struct bad_plugin *
add_bad(struct list *bad, const char *path, const struct diags *diags)
{
	struct bad_plugin *one = bad_plugin_new(path, diags);

	if (one)
		list_append(bad, &one->node);
	return one;
}

void
config_scan_errors(const struct scan *scan, struct list *bad)
{
	for (size_t i = 0; i < scan->error_count; i++) {
		struct diag_pos pos = {.file = scan->errors[i].path};
		struct bad_plugin *one;
		struct diags diags;

		diags_init(&diags);
		diag_error(&diags, &pos, "%s", scan->errors[i].why.text);
		one = add_bad(bad, scan->errors[i].path, &diags);
		if (one)
			one->unseen = scan->errors[i].unseen;
		diags_fini(&diags);
	}
}

static void
warn_line(void *context, const char *line)
{
	(void)context;
	log_warn("%s", line);
}

void
config_making_init(struct config_making *making, const struct options *options,
		   const struct settings *settings, const struct config_present *present)
{
	making->settings = settings;
	making->present = *present;
	config_store_init(&making->store, options, settings);
}

void
config_making_fini(struct config_making *making)
{
	config_store_fini(&making->store);
}

static struct spec *
make_or_take(struct config_making *making, const struct scan_plugin *found, struct diags *diags)
{
	struct config_layers layers = {{.environment = environ}, making->present.state_fd};
	struct spec *spec = find_known(making, found);

	if (!spec)
		return make_spec(found, making->settings, &layers, &making->store, diags);
	if (config_is_safe(spec, making->settings, diags))
		return spec;
	spec_free(spec);
	return NULL;
}

struct spec *
config_make(struct config_making *making, const struct scan_plugin *found, struct list *bad)
{
	char in_force[REGISTRY_IN_FORCE_BYTES];
	struct diags diags;
	struct spec *spec;

	diags_init(&diags);
	diags.in_force = registry_in_force(making->present.known, found->manifest, in_force);
	spec = make_or_take(making, found, &diags);
	if (!spec)
		add_bad(bad, found->manifest, &diags);
	if (spec && spec->refs == 1 && diags.warnings)
		diags_each(&diags, warn_line, NULL);
	diags_fini(&diags);
	return spec;
}

plug_err
config_discover(const struct options *options, const struct config_dirs *dirs,
		const struct settings *settings, const struct config_present *present,
		struct spec ***ret_specs, size_t *ret_count, struct list *bad)
{
	struct config_making making;
	struct scan scan;
	struct spec **specs;
	size_t count = 0;
	plug_err err = scan_run(dirs->paths, dirs->count, &scan);

	if (err)
		return err;
	config_making_init(&making, options, settings, present);
	specs = calloc(scan.plugin_count + 1, sizeof(struct spec *));
	for (size_t i = 0; specs && i < scan.plugin_count; i++)
		if ((specs[count] = config_make(&making, &scan.plugins[i], bad)))
			count++;
	config_making_fini(&making);
	config_scan_errors(&scan, bad);
	scan_fini(&scan);
	if (!specs)
		return PLUG_ENOMEM;
	*ret_specs = specs;
	*ret_count = count;
	return PLUG_OK;
}

static struct spec *
reread(const struct options *options, const struct spec *spec, const char *version,
       const struct settings *settings, int state_fd, struct diags *diags)
{
	struct config_layers layers = {
		{.environment = environ, .set = spec->set, .set_count = spec->set_count}, state_fd};
	char folder[PATH_MAX], path[PATH_MAX + 64];
	struct scan_plugin found = {.folder = folder, .manifest = path};
	struct config_store store;
	struct spec *fresh = NULL;
	struct reason why;
	plug_err err;

	config_store_init(&store, options, settings);
	if (config_store_folder(&store, spec, version, folder, diags)) {
		/* What it was read from may have another name than a folder's manifest. */
		if (!strcmp(folder, spec->folder))
			snprintf(path, sizeof(path), "%s", spec->path);
		else
			snprintf(path, sizeof(path), "%s/" SCAN_MANIFEST, folder);
		if (access(path, F_OK)) /* one file, by the plugin's name */
			snprintf(path, sizeof(path), "%s/%s", folder, spec->name);
		err = plugin_file_read(AT_FDCWD, path, &found.text, &found.size, &why);
		if (err)
			file_error(diags, path, err == PLUG_ENOMEM ? "out of memory" : why.text);
		else
			fresh = make_spec(&found, settings, &layers, &store, diags);
		free(found.text);
	}
	config_store_fini(&store);
	return fresh;
}

struct spec *
config_reread(const struct options *options, const struct spec *spec, const char *version,
	      int state_fd, struct diags *diags)
{
	struct settings *settings = config_load(options, diags);
	struct spec *fresh;

	if (!settings)
		return NULL;
	fresh = reread(options, spec, version, settings, state_fd, diags);
	settings_free(settings);
	return fresh;
}
