#include "core/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/manifest_types.h"
#include "core/unsupported.h"

#define HOUR_MS INT64_C(3600000)
#define DAY_MS  (24 * HOUR_MS)

const char *const manifest_type_words[] = {"model",    "device",       "interface",
					   "provider", "optimization", "feature",
					   "memory",   "gateway",      NULL};

static const char *const restart_words[] = {[RESTART_ALWAYS] = "always",
					    [RESTART_ON_FAILURE] = "on-failure",
					    [RESTART_NEVER] = "never",
					    NULL};

static const struct field method_fields[] = {
	FIELD(struct manifest_method, "stream", stream, bool, .fallback = "false",
	      .help = "It may send pieces before its reply."),
	FIELD(struct manifest_method, "idempotent", idempotent, bool, .fallback = "false",
	      .help = "It may be executed twice: a call that a death interrupted is sent once "
		      "more."),
	FIELD(struct manifest_method, "timeout", timeout_ms, duration_ms, .min = 0, .max = DAY_MS,
	      .fallback = "0s", .help = "Deadline of a call that brings none; 0s: plugd's own."),
	FIELD(struct manifest_method, "description", description, string, .max = 4096,
	      .help = "One sentence for people."),
};
static const struct field_table method_table = FIELD_TABLE(struct manifest_method, method_fields);

static const struct field resources_fields[] = {
	FIELD(struct manifest_resources, "memory_mb", memory_mb, int, .min = 1, .max = 16777216,
	      .help = "Most memory of an instance's process tree, in MB."),
	FIELD(struct manifest_resources, "cpu", cpu, float, .min_float = 0.01, .max_float = 4096,
	      .help = "Most processors' worth of time."),
	FIELD(struct manifest_resources, "pids", pids, int, .min = 1, .max = 1000000,
	      .help = "Most processes and threads beyond the SDK's own threads."),
	FIELD(struct manifest_resources, "open_files", open_files, int, .min = 16, .max = 1000000,
	      .help = "Most open descriptors of a process."),
};
static const struct field_table resources_table =
	FIELD_TABLE(struct manifest_resources, resources_fields);

static const struct field backoff_fields[] = {
	FIELD(struct manifest_backoff, "min", min_ms, duration_ms, .min = 0, .max = HOUR_MS,
	      .fallback = "100ms", .help = "Wait before the first restart."),
	FIELD(struct manifest_backoff, "max", max_ms, duration_ms, .min = 0, .max = DAY_MS,
	      .fallback = "30s", .help = "The wait doubles with every failure up to this."),
};
static const struct field_table backoff_table =
	FIELD_TABLE(struct manifest_backoff, backoff_fields);

static const struct field run_fields[] = {
	FIELD(struct manifest_run, "autostart", autostart, bool, .fallback = "true",
	      .help = "Start together with plugd."),
	FIELD(struct manifest_run, "instances", instances, int, .min = 1, .max = 64,
	      .fallback = "1", .help = "Processes that share the calls."),
	FIELD(struct manifest_run, "standby", standby, int, .min = 0, .max = 8, .fallback = "0",
	      .help = "Ready spares that take over at once."),
	FIELD(struct manifest_run, "restart", restart, word, .words = restart_words,
	      .fallback = "on-failure", .help = "What follows the end of a process."),
	FIELD(struct manifest_run, "backoff", backoff, section, .table = &backoff_table,
	      .help = "Waits between restarts."),
	FIELD(struct manifest_run, "max_failures", max_failures, int, .min = 0, .max = 1000000,
	      .fallback = "5",
	      .help = "Deaths without a stable minute between them, after which it is "
		      "quarantined; 0: never."),
	FIELD(struct manifest_run, "start_timeout", start_timeout_ms, duration_ms, .min = 1,
	      .max = DAY_MS, .fallback = "60s", .help = "From spawn to READY."),
	FIELD(struct manifest_run, "stop_timeout", stop_timeout_ms, duration_ms, .min = 1,
	      .max = DAY_MS, .fallback = "10s",
	      .help = "For calls in flight to end, and again for the process, before SIGKILL."),
	FIELD(struct manifest_run, "watch", watch, bool, .fallback = "false",
	      .help = "Reload when a file of the plugin changes."),
	FIELD(struct manifest_run, "user", user, string, .min = 1, .max = 32,
	      .help = "User to run as."),
	FIELD(struct manifest_run, "env", env, pairs, .names = &field_env_names, .max = 256,
	      .help = "Environment variables of the process."),
};
static const struct field_table run_table = FIELD_TABLE(struct manifest_run, run_fields);

static const struct field probe_fields[] = {
	FIELD(struct manifest_probe, "method", method, name, .names = &field_identifiers,
	      .flags = FIELD_REQUIRED, .help = "Method that is called."),
	FIELD(struct manifest_probe, "interval", interval_ms, duration_ms, .min = 100,
	      .max = DAY_MS, .fallback = "30s", .help = "Time between two probes."),
	FIELD(struct manifest_probe, "timeout", timeout_ms, duration_ms, .min = 1, .max = HOUR_MS,
	      .fallback = "3s", .help = "Time for an answer."),
};
static const struct field_table probe_table = FIELD_TABLE(struct manifest_probe, probe_fields);

static const struct field requires_fields[] = {
	FIELD(struct manifest_requires, "host", host, host, .help = "Versions of plugd."),
	FIELD(struct manifest_requires, "plugins", plugins, requirements, .max = 64,
	      .help = "Plugins that are started before this one."),
	FIELD(struct manifest_requires, "programs", programs, strings, .names = &field_programs,
	      .max = 64, .help = "Programs that must be installed."),
};
static const struct field_table requires_table =
	FIELD_TABLE(struct manifest_requires, requires_fields);

static void check_together(struct field_ctx *ctx, const struct yaml_node *node, void *dest);

static const struct field manifest_fields[] = {
	FIELD(struct manifest, "plugin", plugin, name, .names = &field_plugin_names,
	      .flags = FIELD_REQUIRED, .help = "Its name, unique on a host."),
	FIELD(struct manifest, "version", version, version, .flags = FIELD_REQUIRED,
	      .help = "Its version."),
	FIELD(struct manifest, "type", type, word, .words = manifest_type_words,
	      .flags = FIELD_REQUIRED, .help = "The contract it fulfils."),
	FIELD(struct manifest, "exec", exec, strings, .min = 1, .max = 64, .flags = FIELD_REQUIRED,
	      .help = "Program and arguments; a program with a / is relative to the manifest's "
		      "folder, one without is looked for in PATH."),
	FIELD(struct manifest, "description", description, string, .max = 4096,
	      .help = "What it does, for people."),
	FIELD(struct manifest, "author", author, string, .max = 256, .help = "Who wrote it."),
	FIELD(struct manifest, "license", license, string, .max = 256, .help = "Its licence."),
	FIELD(struct manifest, "homepage", homepage, url, .help = "Where to read about it."),
	FIELD(struct manifest, "repository", repository, string, .max = 2048,
	      .help = "Where its source is."),
	FIELD(struct manifest, "category", category, name, .names = &field_identifiers,
	      .help = "A word to group plugins by."),
	FIELD(struct manifest, "tags", tags, strings, .names = &field_identifiers, .max = 32,
	      .help = "Words to find it by."),
	FIELD(struct manifest, "created", created, date, .help = "When it was first made."),
	FIELD(struct manifest, "updated", updated, date, .help = "When it was last changed."),
	FIELD(struct manifest, "priority", priority, priority, .fallback = "normal",
	      .flags = FIELD_OVERRIDE,
	      .help = "Of plugins that could start next, the higher does."),
	FIELD(struct manifest, "provides", provides, provides,
	      .help = "Capabilities: a list, or { shared: [..], exclusive: [..] }."),
	FIELD(struct manifest, "requires", requires, section, .table = &requires_table,
	      .help = "What has to be there."),
	FIELD(struct manifest, "config", config, schema, .flags = FIELD_OVERRIDE,
	      .help = "The keys of its configuration."),
	FIELD(struct manifest, "methods", methods, entries, .table = &method_table,
	      .names = &field_identifiers, .max = 256, .flags = FIELD_OVERRIDE,
	      .help = "Its methods by name."),
	FIELD(struct manifest, "resources", resources, section, .table = &resources_table,
	      .flags = FIELD_OVERRIDE, .help = "Limits of an instance."),
	FIELD(struct manifest, "run", run, section, .table = &run_table, .flags = FIELD_OVERRIDE,
	      .help = "How it is run."),
	FIELD(struct manifest, "probe", probe, section, .table = &probe_table,
	      .flags = FIELD_OVERRIDE, .help = "A call that shows that it is well."),
	FIELD(struct manifest, "conflicts", conflicts, strings, .names = &field_plugin_names,
	      .max = 64, .help = "Plugins that cannot run beside it."),
	FIELD(struct manifest, "permissions", permissions, permissions, .max = 64,
	      .flags = FIELD_OVERRIDE,
	      .help = "What its instances may do beyond calling plugins they were given."),
};

const struct field_table manifest_table =
	FIELD_TABLE(struct manifest, manifest_fields, .check = check_together);

/* ---- what only several values together can get wrong ---- */

static void
error_at(struct field_ctx *ctx, const struct yaml_node *node, const struct manifest *manifest,
	 const char *path, const char *message)
{
	const struct diag_pos *origin = fields_origin(manifest->origins, path);
	struct diag_pos pos = origin ? *origin : field_pos(ctx, node);

	diag_error(ctx->diags, &pos, "%s: %s", path, message);
}

static void
check_requirements(struct field_ctx *ctx, const struct manifest *m)
{
	for (size_t i = 0; m->plugin && i < m->requires.plugins.count; i++) {
		const struct manifest_requirement *requirement = &m->requires.plugins.items[i];

		if (!strcmp(requirement->name, m->plugin))
			diag_error(ctx->diags, &requirement->pos,
				   "requires.plugins: \"%s\" cannot require itself", m->plugin);
	}
}

static void
check_together(struct field_ctx *ctx, const struct yaml_node *node, void *dest)
{
	const struct manifest *m = dest;

	if (m->run.backoff.min_ms > m->run.backoff.max_ms)
		error_at(ctx, node, m,
			 fields_origin(m->origins, "run.backoff.max") ? "run.backoff.max"
								      : "run.backoff.min",
			 "backoff.min is longer than backoff.max");
	if (m->probe.method && m->probe.timeout_ms > m->probe.interval_ms)
		error_at(ctx, node, m, "probe.timeout",
			 "probe.timeout is longer than probe.interval");
	for (size_t i = 0; m->plugin && i < m->conflicts.count; i++)
		if (!strcmp(m->conflicts.items[i], m->plugin))
			error_at(ctx, node, m, "conflicts", "a plugin cannot conflict with itself");
	check_requirements(ctx, m);
}

/* ---- parsing ---- */

/* argv[0] becomes what execve() or a search of PATH can use. */
static void
settle_exec(struct field_ctx *ctx, const struct yaml_node *root, struct manifest *m)
{
	const struct yaml_node *node = yaml_get(root, "exec");
	const char **argv;

	if (!m->exec.count)
		return; /* missing, or refused: either was said */
	if (!*m->exec.items[0]) {
		field_error(ctx, node, "exec[0]: expected a program; found \"\"");
		return;
	}
	argv = field_alloc(ctx, node, m->exec.count, sizeof(*argv));
	if (!argv)
		return;
	memcpy(argv, m->exec.items, m->exec.count * sizeof(*argv));
	if (strchr(argv[0], '/'))
		argv[0] = field_complete_path(ctx->arena, m->dir, argv[0]);
	if (argv[0])
		m->exec.items = argv;
	else
		field_error(ctx, node, "out of memory");
}

static struct manifest *
new_manifest(const char *file, const char *dir, struct diags *diags)
{
	struct manifest *m = calloc(1, sizeof(*m));
	struct arena arena;
	struct field_ctx ctx = {.arena = &arena, .diags = diags, .file = file, .base_dir = dir};

	if (!m) {
		diag_error(diags, &(struct diag_pos){.file = file}, "out of memory");
		return NULL;
	}
	arena_init(&arena, MANIFEST_ARENA_BYTES);
	fields_init(&ctx, &manifest_table, m);
	m->arena = arena;
	m->file = arena_strdup(&m->arena, file);
	m->dir = arena_strdup(&m->arena, dir);
	return m;
}

static struct field_ctx
manifest_ctx(struct manifest *m, const char *file, struct diags *diags)
{
	return (struct field_ctx){.arena = &m->arena,
				  .diags = diags,
				  .file = file,
				  .base_dir = m->dir,
				  .unsupported = unsupported_in_manifest,
				  .origins = &m->origins};
}

static void
lay_over(struct manifest *m, const struct manifest_override *override, bool shape_only,
	 struct diags *diags)
{
	struct field_ctx ctx = manifest_ctx(m, override->file, diags);

	ctx.overriding = true;
	ctx.shape_only = shape_only;
	field_enter(&ctx, override->path);
	ctx.root_length = ctx.path_length;
	if (override->node)
		fields_decode(&ctx, &manifest_table, override->node, m);
}

static void
fill(struct manifest *m, const struct manifest_input *input, const struct yaml_node *root,
     struct diags *diags)
{
	struct field_ctx ctx = manifest_ctx(m, input->source.file, diags);
	size_t errors = diags->errors;

	fields_decode(&ctx, &manifest_table, root, m);
	settle_exec(&ctx, root, m);
	if (input->override && diags->errors == errors)
		lay_over(m, input->override, false, diags);
	if (m->arena.failed)
		field_error(&ctx, root, "out of memory, or more than %zu bytes of values",
			    MANIFEST_ARENA_BYTES);
}

struct manifest *
manifest_parse(const struct manifest_input *input, struct diags *diags)
{
	size_t errors = diags->errors;
	const struct yaml_node *root;
	struct manifest *m = NULL;
	struct arena scratch;

	arena_init(&scratch, YAML_ARENA_BYTES);
	root = yaml_parse(&input->source, &scratch, diags);
	if (root)
		m = new_manifest(input->source.file, input->dir, diags);
	if (m)
		fill(m, input, root, diags);
	arena_fini(&scratch);
	if (diags->errors == errors)
		return m;
	manifest_free(m);
	return NULL;
}

void
manifest_free(struct manifest *manifest)
{
	if (!manifest)
		return;
	arena_fini(&manifest->arena);
	free(manifest);
}

bool
manifest_check_override(const struct manifest_override *override, struct diags *diags)
{
	size_t errors = diags->errors;
	struct manifest *m = new_manifest(override->file, NULL, diags);

	if (m)
		lay_over(m, override, true, diags);
	manifest_free(m);
	return diags->errors == errors;
}

bool
manifest_fits_host(const struct manifest *manifest, const char *host_version, struct diags *diags)
{
	const struct diag_pos *pos = manifest_origin(manifest, "requires.host");
	char why[SEMVER_ERR_BYTES];
	struct semver host;

	if (!pos)
		return true;
	if (!semver_parse(host_version, &host, why)) {
		diag_error(diags, pos, "requires.host: this plugd's own version \"%s\": %s",
			   host_version, why);
		return false;
	}
	if (semver_range_matches(&manifest->requires.host.range, &host))
		return true;
	diag_error(diags, pos, "requires.host: needs plugd %s; this is plugd %s",
		   manifest->requires.host.text, host_version);
	return false;
}

const struct diag_pos *
manifest_origin(const struct manifest *manifest, const char *path)
{
	return fields_origin(manifest->origins, path);
}

const struct manifest_method *
manifest_method(const struct manifest *manifest, const char *name)
{
	const struct manifest_method *methods = manifest->methods.items;

	for (size_t i = 0; i < manifest->methods.count; i++)
		if (!strcmp(methods[i].name, name))
			return &methods[i];
	return NULL;
}

const char *
manifest_type_name(int type)
{
	return type >= 0 && type < MANIFEST_TYPE_COUNT ? manifest_type_words[type] : "unknown";
}

const char *
manifest_restart_name(int restart)
{
	return restart >= 0 && restart <= RESTART_NEVER ? restart_words[restart] : "unknown";
}
