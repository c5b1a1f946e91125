#include "plugin/spec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SPEC_ARENA_BYTES ((size_t)1024 * 1024)

struct spec_source {
	struct manifest *manifest;
	unsigned refs;
};

static void
source_unref(struct spec_source *source)
{
	if (!source || --source->refs)
		return;
	manifest_free(source->manifest);
	free(source);
}

void
spec_free(struct spec *spec)
{
	if (!spec)
		return;
	effective_free(spec->effective);
	arena_fini(&spec->arena);
	source_unref(spec->source);
	free(spec);
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

static bool
find_program(struct spec *spec, struct diags *diags)
{
	const struct manifest *m = spec->manifest;
	const char *name = m->exec.items[0];
	const struct diag_pos *declared = manifest_origin(m, "exec");
	struct diag_pos pos = declared ? *declared : (struct diag_pos){.file = m->file};

	if (!strchr(name, '/')) {
		spec->program = find_in_path(&spec->arena, name);
		if (!spec->program)
			diag_error(diags, &pos,
				   "exec: \"%s\" is not in PATH; expected a program there, or a "
				   "path such as ./%s",
				   name, name);
		return spec->program;
	}
	spec->program = name;
	if (access(name, X_OK) == 0)
		return true;
	diag_error(diags, &pos, "exec: %s: %s; expected an executable file", name, strerror(errno));
	return false;
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

/* ---- copies in the shape the daemon wants ---- */

static void
fill_argv(struct spec *spec)
{
	const struct field_strings *exec = &spec->manifest->exec;
	const char **argv = arena_array(&spec->arena, exec->count + 1, sizeof(*argv));

	for (size_t i = 0; argv && i < exec->count; i++)
		argv[i] = exec->items[i];
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

static void
fill_run(struct spec *spec)
{
	const struct manifest_run *run = &spec->manifest->run;

	spec->autostart = run->autostart;
	spec->restart = (enum restart_policy)run->restart;
	spec->backoff_min_ms = run->backoff.min_ms;
	spec->backoff_max_ms = run->backoff.max_ms;
	spec->max_failures = (uint32_t)run->max_failures;
	spec->start_timeout_ms = run->start_timeout_ms;
	spec->stop_timeout_ms = run->stop_timeout_ms;
}

static struct spec *
make(struct spec_source *source, const struct spec_layers *layers, struct diags *diags)
{
	const struct manifest *m = source->manifest;
	struct effective_input input = {m, (const char *const *)layers->environment, layers->set,
					layers->set_count};
	struct spec *spec = calloc(1, sizeof(*spec));
	bool found;

	if (!spec) {
		diag_error(diags, &(struct diag_pos){.file = m->file}, "out of memory");
		return NULL;
	}
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
	found = find_program(spec, diags);
	found = find_required_programs(spec, diags) && found;
	spec->effective = effective_resolve(&input, diags);
	if (!found || !spec->effective) {
		spec_free(spec);
		return NULL;
	}
	fill_argv(spec);
	fill_methods(spec);
	fill_config(spec);
	fill_run(spec);
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
	return make(spec->source, layers, diags);
}
