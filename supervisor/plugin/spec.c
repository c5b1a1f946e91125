#include "plugin/spec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/packages.h"
#include "os/value_file.h"

#define SPEC_ARENA_BYTES ((size_t)1024 * 1024)

struct spec_source {
	struct manifest *manifest;
	struct kept_text *text, *settings;
	struct spec_pin *pins;
	size_t pin_count;
	unsigned refs;
};

static void
free_pins(struct spec_pin *pins, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free((char *)(uintptr_t)pins[i].path);
	free(pins);
}

static void
source_unref(struct spec_source *source)
{
	if (!source || --source->refs)
		return;
	manifest_free(source->manifest);
	kept_text_unref(source->text);
	kept_text_unref(source->settings);
	free_pins(source->pins, source->pin_count);
	free(source);
}

void
spec_free(struct spec *spec)
{
	if (!spec || --spec->refs)
		return;
	effective_free(spec->effective);
	arena_fini(&spec->arena);
	source_unref(spec->source);
	free(spec);
}

void
spec_keep(struct spec *spec, struct kept_text *manifest, struct kept_text *settings)
{
	kept_text_unref(spec->source->text);
	kept_text_unref(spec->source->settings);
	spec->source->text = kept_text_ref(manifest);
	spec->source->settings = kept_text_ref(settings);
}

bool
spec_set_pins(struct spec *spec, const struct spec_pin *pins, size_t count)
{
	struct spec_pin *made = calloc(count + 1, sizeof(*made));
	bool whole = made;

	for (size_t i = 0; whole && i < count; i++) {
		made[i] = pins[i];
		made[i].path = strdup(pins[i].path);
		whole = made[i].path;
	}
	if (!whole) {
		free_pins(made, made ? count : 0);
		return false;
	}
	free_pins(spec->source->pins, spec->source->pin_count);
	spec->source->pins = made;
	spec->source->pin_count = count;
	return true;
}

const struct spec_pin *
spec_pins(const struct spec *spec, size_t *ret_count)
{
	*ret_count = spec->source->pin_count;
	return spec->source->pins;
}

struct kept_text *
spec_manifest_text(const struct spec *spec)
{
	return spec->source->text;
}

struct kept_text *
spec_settings_text(const struct spec *spec)
{
	return spec->source->settings;
}

struct spec *
spec_ref(struct spec *spec)
{
	spec->refs++;
	return spec;
}

const struct spec_method *
spec_method(const struct spec *spec, const char *name)
{
	for (size_t i = 0; i < spec->method_count; i++)
		if (!strcmp(spec->methods[i].name, name))
			return &spec->methods[i];
	return NULL;
}

/* ---- the program ---- */

static const char *
find_in_path(struct arena *arena, const char *name)
{
	const char *path = getenv("PATH");

	for (const char *at = path ? path : "/usr/bin:/bin"; *at;) {
		size_t length = strcspn(at, ":");
		const char *candidate = arena_printf(arena, "%.*s/%s", (int)length, at, name);

		if (candidate && length && access(candidate, X_OK) == 0)
			return candidate;
		at += length + (at[length] == ':');
	}
	return NULL;
}

/* What `key` of the manifest names first; NULL after an error was added. */
static const char *
find_named(struct spec *spec, const char *key, const char *name, struct diags *diags)
{
	const struct diag_pos *declared = manifest_origin(spec->manifest, key);
	struct diag_pos pos =
		declared ? *declared : (struct diag_pos){.file = spec->manifest->file};
	const char *found = strchr(name, '/') ? name : find_in_path(&spec->arena, name);

	if (!found)
		diag_error(diags, &pos,
			   "%s: \"%s\" is not in PATH; expected a program there, or a path such as "
			   "./%s",
			   key, name, name);
	else if (access(found, X_OK) == 0)
		return found;
	else
		diag_error(diags, &pos, "%s: %s: %s; expected an executable file", key, name,
			   strerror(errno));
	return NULL;
}

/* What is executed is the first word of run.under where there is one; argv[0] of the plugin's own
 * is then a path, for whoever executes it. */
static bool
find_program(struct spec *spec, struct diags *diags)
{
	const struct manifest *m = spec->manifest;

	spec->program = find_named(spec, "exec", m->exec.items[0], diags);
	if (!spec->program || !m->run.under.count)
		return spec->program;
	spec->under_program = spec->program;
	spec->program = find_named(spec, "run.under", m->run.under.items[0], diags);
	return spec->program;
}

static bool
take_program(struct spec *spec, const struct spec_layers *layers)
{
	const struct manifest *m = spec->manifest;

	spec->program = arena_strdup(&spec->arena, layers->program);
	if (m->run.under.count) {
		spec->under_program = strchr(m->exec.items[0], '/')
					      ? m->exec.items[0]
					      : find_in_path(&spec->arena, m->exec.items[0]);
		if (!spec->under_program) /* it is gone: whoever executes it will say so */
			spec->under_program = m->exec.items[0];
	}
	return spec->program;
}

static bool
find_required_programs(struct spec *spec, struct diags *diags)
{
	const struct field_strings *programs = &spec->manifest->requires.programs;
	bool all = true;

	for (size_t i = 0; i < programs->count; i++) {
		const struct diag_pos *declared =
			manifest_origin(spec->manifest, "requires.programs");
		struct diag_pos pos =
			declared ? *declared : (struct diag_pos){.file = spec->manifest->file};

		if (find_in_path(&spec->arena, programs->items[i]))
			continue;
		diag_error(diags, &pos, "requires.programs: \"%s\" is not in PATH; install it",
			   programs->items[i]);
		all = false;
	}
	return all;
}

struct packages_look
spec_packages(const struct spec *spec)
{
	return (struct packages_look){.manifest = spec->manifest,
				      .program = spec->under_program ? spec->under_program
								     : spec->program};
}

static void
on_unmet(void *context, const struct manifest_package *package, const char *text)
{
	diag_error(context, &package->pos, "requires.packages: %s; then: plugctl reread", text);
}

static bool
find_required(struct spec *spec, struct diags *diags)
{
	struct packages_look look = spec_packages(spec);
	bool programs = find_required_programs(spec, diags);

	return packages_check(&look, on_unmet, diags) && programs;
}

/* ---- copies in the shape the daemon wants ---- */

static void
fill_argv(struct spec *spec)
{
	const struct field_strings *exec = &spec->manifest->exec;
	const struct field_strings *under = &spec->manifest->run.under;
	const char **argv =
		arena_array(&spec->arena, under->count + exec->count + 1, sizeof(*argv));

	for (size_t i = 0; argv && i < under->count; i++)
		argv[i] = under->items[i];
	for (size_t i = 0; argv && i < exec->count; i++)
		argv[under->count + i] = i || !under->count ? exec->items[i] : spec->under_program;
	spec->argv = argv;
}

static void
fill_methods(struct spec *spec)
{
	const struct field_entries *entries = &spec->manifest->methods;
	const struct manifest_method *declared = entries->items;
	struct spec_method *methods =
		arena_array(&spec->arena, entries->count + 1, sizeof(*methods));

	spec->methods = methods;
	for (size_t i = 0; methods && i < entries->count; i++)
		methods[i] = (struct spec_method){
			.name = declared[i].name,
			.description = declared[i].description ? declared[i].description : "",
			.stream = declared[i].stream,
			.idempotent = declared[i].idempotent,
			.timeout_ms = declared[i].timeout_ms,
		};
	spec->method_count = methods ? entries->count : 0;
}

static void
fill_config_entry(struct spec *spec, struct spec_config *entry, const struct effective_value *value)
{
	char origin[512];

	effective_origin(value, origin, sizeof(origin));
	*entry = (struct spec_config){
		.key = value->key->name,
		.type = schema_type_name(value->key->type),
		.description = value->key->description ? value->key->description : "",
		.value = value->value.is_set ? value->value.text : NULL,
		.shown = effective_shown(value),
		.origin = arena_strdup(&spec->arena, origin),
		.secret = value->key->secret,
		.required = value->key->required,
		.live = value->key->live,
		.layer = effective_layer_name(value->layer),
	};
	if (value->value.is_set && value->key->type == SCHEMA_LIST) {
		entry->items = value->value.list.items;
		entry->item_count = value->value.list.count;
	}
}

static void
fill_config(struct spec *spec)
{
	size_t count = spec->effective->count;
	struct spec_config *config = arena_array(&spec->arena, count + 1, sizeof(*config));

	spec->config = config;
	for (size_t i = 0; config && i < count; i++)
		fill_config_entry(spec, &config[i], &spec->effective->values[i]);
	spec->config_count = config ? count : 0;
}

static struct hang_policy
hang_of(const struct manifest *m)
{
	return (struct hang_policy){.call = m->hang.call,
				    .ping = m->hang.ping,
				    .stopped = m->hang.stopped,
				    .traced = m->hang.traced,
				    .grace_ms = m->hang.grace_ms,
				    .ping_timeout_ms = m->hang.ping_timeout_ms};
}

static void
fill_run(struct spec *spec)
{
	const struct manifest_run *run = &spec->manifest->run;

	spec->autostart = run->autostart;
	spec->watch = run->watch;
	spec->debug = run->debug;
	spec->log_level = (unsigned)run->log_level;
	spec->restart = (enum restart_policy)run->restart;
	spec->backoff_min_ms = run->backoff.min_ms;
	spec->backoff_max_ms = run->backoff.max_ms;
	spec->max_failures = (uint32_t)run->max_failures;
	spec->start_timeout_ms = run->start_timeout_ms;
	spec->stop_timeout_ms = run->stop_timeout_ms;
	spec->instances = (unsigned)run->instances;
	spec->standby = (unsigned)run->standby;
	spec->probe_method = spec->manifest->probe.method;
	spec->probe_interval_ms = spec->manifest->probe.interval_ms;
	spec->probe_timeout_ms = spec->manifest->probe.timeout_ms;
	spec->hang = hang_of(spec->manifest);
}

static void
keep_set(struct spec *spec, const struct spec_layers *layers)
{
	const char **set = arena_array(&spec->arena, layers->set_count + 1, sizeof(*set));

	for (size_t i = 0; set && i < layers->set_count; i++)
		set[i] = arena_strdup(&spec->arena, layers->set[i]);
	spec->set = set;
	spec->set_count = set ? layers->set_count : 0;
}

static void
keep_runtime(struct spec *spec, const struct spec_layers *layers)
{
	struct runtime_value *values =
		arena_array(&spec->arena, layers->runtime_count + 1, sizeof(*values));

	for (size_t i = 0; values && i < layers->runtime_count; i++) {
		values[i] = layers->runtime[i];
		values[i].key = arena_strdup(&spec->arena, layers->runtime[i].key);
		values[i].text = arena_strdup(&spec->arena, layers->runtime[i].text);
	}
	spec->runtime = values;
	spec->runtime_count = values ? layers->runtime_count : 0;
}

static void
keep_files(struct spec *spec)
{
	const struct effective *effective = spec->effective;
	struct effective_file *files =
		arena_array(&spec->arena, effective->count + 1, sizeof(*files));

	for (size_t i = 0; files && i < effective->count; i++)
		if (effective->values[i].file.path)
			files[spec->file_count++] = effective->values[i].file;
	spec->files = files;
}

static const char *
read_file(const char *path, struct arena *arena, char why[EFFECTIVE_WHY_BYTES])
{
	return value_file_read(path, arena, why, EFFECTIVE_WHY_BYTES);
}

static struct spec *
make(struct spec_source *source, const struct spec_layers *layers, struct diags *diags)
{
	const struct manifest *m = source->manifest;
	struct effective_input input = {.manifest = m,
					.environment = (const char *const *)layers->environment,
					.set = layers->set,
					.set_count = layers->set_count,
					.runtime = layers->runtime,
					.runtime_count = layers->runtime_count,
					.files = layers->files,
					.file_count = layers->file_count,
					.read_file = read_file};
	struct spec *spec = calloc(1, sizeof(*spec));
	bool found;

	if (!spec) {
		diag_error(diags, &(struct diag_pos){.file = m->file}, "out of memory");
		return NULL;
	}
	spec->refs = 1;
	arena_init(&spec->arena, SPEC_ARENA_BYTES);
	source->refs++;
	spec->source = source;
	spec->manifest = m;
	spec->name = m->plugin;
	spec->version = m->version.text;
	spec->type = manifest_type_name(m->type);
	spec->folder = m->dir;
	spec->path = m->file;
	spec->priority = (unsigned)m->priority;
	found = layers->program ? take_program(spec, layers) : find_program(spec, diags);
	if (!layers->program)
		found = find_required(spec, diags) && found;
	spec->effective = effective_resolve(&input, diags);
	if (!found || !spec->effective) {
		spec_free(spec);
		return NULL;
	}
	fill_argv(spec);
	fill_methods(spec);
	fill_config(spec);
	fill_run(spec);
	keep_set(spec, layers);
	keep_runtime(spec, layers);
	keep_files(spec);
	if (spec->arena.failed) {
		diag_error(diags, &(struct diag_pos){.file = m->file}, "out of memory");
		spec_free(spec);
		return NULL;
	}
	return spec;
}

struct spec *
spec_new(struct manifest *manifest, const struct spec_layers *layers, struct diags *diags)
{
	struct spec_source *source = calloc(1, sizeof(*source));
	struct spec *spec;

	if (!source) {
		diag_error(diags, &(struct diag_pos){.file = manifest->file}, "out of memory");
		manifest_free(manifest);
		return NULL;
	}
	source->manifest = manifest;
	source->refs = 1;
	spec = make(source, layers, diags);
	source_unref(source);
	return spec;
}

struct spec *
spec_with(const struct spec *spec, const struct spec_layers *layers, struct diags *diags)
{
	struct spec *made = make(spec->source, layers, diags);

	if (made)
		made->fingerprint = spec->fingerprint;
	return made;
}

struct spec_layers
spec_layers_of(const struct spec *spec)
{
	return (struct spec_layers){
		.environment = environ,
		.set = spec->set,
		.set_count = spec->set_count,
		.runtime = spec->runtime,
		.runtime_count = spec->runtime_count,
		.files = spec->files,
		.file_count = spec->file_count,
		.program = spec->program,
	};
}
