#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "os/scan.h"
#include "os/statedir.h"
#include "plugin/registry.h"
#include "wire.h"

#define CONFIG_BYTES ((size_t)256 * 1024)

extern char **environ;

static void
file_error(struct diags *diags, const char *path, const char *text)
{
	struct diag_pos pos = {.file = path};

	diag_error(diags, &pos, "%s; expected a readable file of at most 256 KiB", text);
}

static struct settings *
parse_file(const char *path, struct diags *diags)
{
	struct settings_input input = {.source = {.file = path}};
	char absolute[PATH_MAX], folder[PATH_MAX];
	AUTO_FREE char *text = NULL;
	size_t size;
	plug_err err;

	if (!realpath(path, absolute)) {
		file_error(diags, path, strerror(errno));
		return NULL;
	}
	strcpy(folder, absolute);
	err = statedir_read(AT_FDCWD, absolute, CONFIG_BYTES, &text, &size);
	if (err) {
		file_error(diags, path, err == PLUG_ESYS ? strerror(errno) : plug_err_text(err));
		return NULL;
	}
	input.source.text = text;
	input.source.length = size;
	input.dir = dirname(folder);
	return settings_parse(&input, diags);
}

struct settings *
config_load(const struct options *options, struct diags *diags)
{
	struct settings *settings;

	if (options->config_file)
		return parse_file(options->config_file, diags);
	settings = settings_default();
	if (!settings)
		file_error(diags, "plugd", "out of memory");
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

void
config_dirs(const struct options *options, const struct settings *settings, struct config_dirs *ret)
{
	ret->count = 0;
	for (size_t i = 0; i < options->plugin_dir_count; i++)
		ret->paths[ret->count++] = options->plugin_dirs[i];
	for (size_t i = 0; i < settings->plugin_dirs.count && i < CONFIG_DIRS; i++)
		ret->paths[ret->count++] = settings->plugin_dirs.items[i];
}

/* ---- discovery ---- */

static struct spec *
make_spec(const struct scan_plugin *found, const struct settings *settings, struct diags *diags)
{
	struct spec_layers layers = {.environment = environ};
	struct manifest_input input = {
		.source = {.file = found->manifest, .text = found->text, .length = found->size},
		.dir = found->folder,
	};
	struct manifest *manifest = manifest_parse(&input, diags);

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
	return manifest ? spec_new(manifest, &layers, diags) : NULL;
}

static void
add_bad(struct list *bad, const char *path, const struct diags *diags)
{
	struct bad_plugin *one = bad_plugin_new(path, diags);

	if (one)
		list_append(bad, &one->node);
}

static void
add_scan_errors(const struct scan *scan, struct list *bad)
{
	for (size_t i = 0; i < scan->error_count; i++) {
		struct diag_pos pos = {.file = scan->errors[i].path};
		struct diags diags;

		diags_init(&diags);
		diag_error(&diags, &pos, "%s", scan->errors[i].why.text);
		add_bad(bad, scan->errors[i].path, &diags);
		diags_fini(&diags);
	}
}

plug_err
config_discover(const struct options *options, const struct settings *settings,
		struct spec ***ret_specs, size_t *ret_count, struct list *bad)
{
	struct config_dirs dirs;
	struct scan scan;
	struct spec **specs;
	size_t count = 0;
	plug_err err;

	config_dirs(options, settings, &dirs);
	err = scan_run(dirs.paths, dirs.count, &scan);
	if (err)
		return err;
	specs = calloc(scan.plugin_count + 1, sizeof(struct spec *));
	for (size_t i = 0; specs && i < scan.plugin_count; i++) {
		struct diags diags;
		struct spec *spec;

		diags_init(&diags);
		spec = make_spec(&scan.plugins[i], settings, &diags);
		if (spec)
			specs[count++] = spec;
		else
			add_bad(bad, scan.plugins[i].manifest, &diags);
		diags_fini(&diags);
	}
	add_scan_errors(&scan, bad);
	scan_fini(&scan);
	if (!specs)
		return PLUG_ENOMEM;
	*ret_specs = specs;
	*ret_count = count;
	return PLUG_OK;
}
