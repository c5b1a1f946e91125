#include "core/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/manifest_check.h"
#include "core/manifest_packages.h"
#include "core/manifest_permissions.h"
#include "core/manifest_types.h"

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

static const char *const log_level_words[] = {"debug", "info", "warning", "error", NULL};

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
	      .help = "Reload when the manifest, the program, or an argument that is a file "
		      "changes; false also where plugd.yaml says watch."),
	FIELD(struct manifest_run, "user", user, string, .min = 1, .max = 32,
	      .help = "User to run as."),
	FIELD(struct manifest_run, "spin_us", spin_us, int, .min = 0, .max = 10000,
	      .fallback = "50",
	      .help = "Longest time in microseconds that it looks for the next call on a channel "
		      "before it sleeps; 0: never.  PLUG_SPIN_US in env goes first."),
	FIELD(struct manifest_run, "env", env, pairs, .names = &field_env_names, .max = 256,
	      .help = "Environment variables of the process."),
	FIELD(struct manifest_run, "env_inherit", env_inherit, strings, .names = &field_env_names,
	      .max = 256,
	      .help = "Names that it gets of plugd's own environment; when left out, all but "
		      "plugd's secrets."),
	FIELD(struct manifest_run, "log_level", log_level, word, .words = log_level_words,
	      .fallback = "info",
	      .help = "Least level of its log calls that is kept; what it prints always is."),
	FIELD(struct manifest_run, "under", under, strings, .max = 64,
	      .help = "A program and its arguments that is started with the plugin's program and "
		      "arguments behind them: [gdb, --args], [valgrind]."),
	FIELD(struct manifest_run, "debug", debug, bool, .fallback = "false",
	      .help = "It is being debugged: start_timeout and the probe's timeout last a week, "
		      "calls have no deadline but their caller's, no sign of life is missed."),
};
static const struct field_table run_table = FIELD_TABLE(struct manifest_run, run_fields);

static const char *const system_calls_words[] = {
	[MANIFEST_CALLS_ALL] = "all", [MANIFEST_CALLS_DEFAULT] = "default", NULL};

static const struct field sandbox_fields[] = {
	FIELD(struct manifest_sandbox, "read", read, paths, .max = 64,
	      .help = "Folders and files that it may read.  When this or write is given it sees "
		      "nothing else but its own folder and what every program needs (/usr, /etc, "
		      "/proc, /sys, /dev)."),
	FIELD(struct manifest_sandbox, "write", write, paths, .max = 64,
	      .help = "Folders and files that it may read and write."),
	FIELD(struct manifest_sandbox, "system_calls", system_calls, word,
	      .words = system_calls_words, .fallback = "all",
	      .help = "default: without those that change the machine or look into other "
		      "processes (mount, ptrace, bpf, …)."),
	FIELD(struct manifest_sandbox, "new_privileges", new_privileges, bool, .fallback = "false",
	      .help = "Whether set-user-ID programs work in it."),
};
static const struct field_table sandbox_table =
	FIELD_TABLE(struct manifest_sandbox, sandbox_fields);

static const struct field probe_fields[] = {
	FIELD(struct manifest_probe, "method", method, name, .names = &field_identifiers,
	      .flags = FIELD_REQUIRED,
	      .help = "Method that is called, with an empty payload; it must succeed.  Before the "
		      "process takes calls, then at every interval; it is replaced after three "
		      "failures in a row."),
	FIELD(struct manifest_probe, "interval", interval_ms, duration_ms, .min = 100,
	      .max = DAY_MS, .fallback = "30s", .help = "Time between two probes."),
	FIELD(struct manifest_probe, "timeout", timeout_ms, duration_ms, .min = 1, .max = HOUR_MS,
	      .fallback = "3s", .help = "Time for an answer."),
};
static const struct field_table probe_table = FIELD_TABLE(struct manifest_probe, probe_fields);

static const char *const hang_call_words[] = {
	[HANG_CALL_REPORT] = "report", [HANG_CALL_KILL] = "kill", NULL};
static const char *const hang_ping_words[] = {
	[HANG_PING_KILL] = "kill", [HANG_PING_REPORT] = "report", NULL};
static const char *const hang_stopped_words[] = {[HANG_STOPPED_CONTINUE] = "continue",
						 [HANG_STOPPED_WAIT] = "wait",
						 [HANG_STOPPED_KILL] = "kill",
						 NULL};
static const char *const hang_traced_words[] = {
	[HANG_TRACED_WAIT] = "wait", [HANG_TRACED_KILL] = "kill", NULL};

static const struct field hang_fields[] = {
	FIELD(struct manifest_hang, "call", call, word, .words = hang_call_words,
	      .fallback = "report",
	      .help = "A handler goes on past its call's deadline and hang.grace.  report: the "
		      "process is left alone, others of its handlers may be well; kill: it is "
		      "replaced."),
	FIELD(struct manifest_hang, "grace", grace_ms, duration_ms, .min = 0, .max = DAY_MS,
	      .fallback = "2s",
	      .help = "For a handler to end after its call's deadline, when it was cancelled."),
	FIELD(struct manifest_hang, "ping", ping, word, .words = hang_ping_words,
	      .fallback = "kill",
	      .help = "The process gives no sign of life and does not answer a PING.  kill: it is "
		      "replaced; report: it gets calls again when it shows life."),
	FIELD(struct manifest_hang, "ping_timeout", ping_timeout_ms, duration_ms, .min = 100,
	      .max = DAY_MS, .fallback = "5s",
	      .help = "Time for the answer to a PING, and for a stopped process to show life "
		      "after SIGCONT."),
	FIELD(struct manifest_hang, "stopped", stopped, word, .words = hang_stopped_words,
	      .fallback = "continue",
	      .help = "The process is stopped (SIGSTOP).  continue: it gets SIGCONT, and is "
		      "replaced if that does not help; wait: whoever stopped it lets it go on; "
		      "kill: it is replaced after hang.ping_timeout."),
	FIELD(struct manifest_hang, "traced", traced, word, .words = hang_traced_words,
	      .fallback = "wait",
	      .help = "A debugger holds the process, or valgrind slows it.  wait: none of plugd's "
		      "deadlines ends it; kill: it is treated like any other."),
};
static const struct field_table hang_table = FIELD_TABLE(struct manifest_hang, hang_fields);

static const struct field requires_fields[] = {
	FIELD(struct manifest_requires, "host", host, host, .help = "Versions of plugd."),
	FIELD(struct manifest_requires, "plugins", plugins, requirements, .max = 64,
	      .help = "Plugins that are started before this one."),
	FIELD(struct manifest_requires, "capabilities", capabilities, strings,
	      .names = &field_identifiers, .max = 64,
	      .help = "Capabilities of other plugins; one that provides it is started before this "
		      "one."),
	FIELD(struct manifest_requires, "programs", programs, strings, .names = &field_programs,
	      .max = 64, .help = "Programs that must be installed."),
	FIELD(struct manifest_requires, "packages", packages, packages, .max = 64,
	      .help = "Python packages that must be in the environment that it runs in."),
};
static const struct field_table requires_table =
	FIELD_TABLE(struct manifest_requires, requires_fields);

static const struct field environment_fields[] = {
	FIELD(struct manifest_environment, "python", python, path,
	      .help = "A requirements file in the plugin's folder: a virtual environment .venv is "
		      "made there, with these packages, when it is installed."),
	FIELD(struct manifest_environment, "timeout", timeout_ms, duration_ms, .min = 1000,
	      .max = 24 * 3600 * INT64_C(1000), .fallback = "10m",
	      .help = "The longest that making it may take."),
};
static const struct field_table environment_table =
	FIELD_TABLE(struct manifest_environment, environment_fields);

static bool
is_model(const char *text)
{
	return *text && strlen(text) <= 255;
}

static const struct field_names model_names = {.ok = is_model, .expected = "the name of a model"};

static const struct field manifest_fields[] = {
	FIELD(struct manifest, "plugin", plugin, name, .names = &field_plugin_names,
	      .flags = FIELD_REQUIRED, .help = "Its name, unique on a host."),
	FIELD(struct manifest, "version", version, version, .flags = FIELD_REQUIRED,
	      .help = "Its version."),
	FIELD(struct manifest, "type", type, word, .words = manifest_type_words,
	      .flags = FIELD_REQUIRED, .help = "The contract it fulfils."),
	FIELD(struct manifest, "exec", exec, strings, .min = 1, .max = 64, .flags = FIELD_REQUIRED,
	      .help = "Program and arguments; a program with a / is relative to the manifest's "
		      "folder, one without is looked for in PATH.  A single file that holds its "
		      "own manifest may leave it out: then it is what is executed."),
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
	FIELD(struct manifest, "provider", provider, name, .names = &field_identifiers,
	      .help = "Of a provider: whose service it speaks to (openai, anthropic, ollama, …), "
		      "to "
		      "find it by."),
	FIELD(struct manifest, "models", models, strings, .names = &model_names, .max = 256,
	      .help = "Names of the models that it offers, to find it by."),
	FIELD(struct manifest, "created", created, date, .help = "When it was first made."),
	FIELD(struct manifest, "updated", updated, date, .help = "When it was last changed."),
	FIELD(struct manifest, "priority", priority, priority, .fallback = "normal",
	      .flags = FIELD_OVERRIDE,
	      .help = "Of plugins that could start next, the higher does."),
	FIELD(struct manifest, "provides", provides, provides,
	      .help = "Capabilities: a list, or { shared: [..], exclusive: [..] }."),
	FIELD(struct manifest, "requires", requires, section, .table = &requires_table,
	      .help = "What has to be there."),
	FIELD(struct manifest, "environment", environment, section, .table = &environment_table,
	      .help = "What is made for it when it is installed."),
	FIELD(struct manifest, "config", config, schema, .flags = FIELD_OVERRIDE,
	      .help = "The keys of its configuration."),
	FIELD(struct manifest, "methods", methods, entries, .table = &method_table,
	      .names = &field_identifiers, .max = 256, .flags = FIELD_OVERRIDE,
	      .help = "Its methods by name."),
	FIELD(struct manifest, "resources", resources, section, .table = &resources_table,
	      .flags = FIELD_OVERRIDE, .help = "Limits of an instance."),
	FIELD(struct manifest, "run", run, section, .table = &run_table, .flags = FIELD_OVERRIDE,
	      .help = "How it is run."),
	FIELD(struct manifest, "sandbox", sandbox, section, .table = &sandbox_table,
	      .flags = FIELD_OVERRIDE, .help = "What is kept from it."),
	FIELD(struct manifest, "probe", probe, section, .table = &probe_table,
	      .flags = FIELD_OVERRIDE, .help = "A call that shows that it is well."),
	FIELD(struct manifest, "hang", hang, section, .table = &hang_table, .flags = FIELD_OVERRIDE,
	      .help = "What is done about a process that hangs or is stopped."),
	FIELD(struct manifest, "conflicts", conflicts, strings, .names = &field_plugin_names,
	      .max = 64, .help = "Plugins that cannot run beside it."),
	FIELD(struct manifest, "commands", commands, entries, .table = &command_table,
	      .names = &field_command_names, .max = COMMANDS_MAX,
	      .help = "Commands that it adds to plugctl, by name."),
	FIELD(struct manifest, "permissions", permissions, permissions, .max = 64,
	      .flags = FIELD_OVERRIDE,
	      .help = "What its instances may do beyond calling every plugin: observe, admin; "
		      "with call: NAME, which they may call."),
};

const struct field_table manifest_table =
	FIELD_TABLE(struct manifest, manifest_fields, .check = manifest_check_together);

/* ---- parsing ---- */

/* argv[0] becomes what execve() or a search of PATH can use. */
static void
settle_exec(struct field_ctx *ctx, const struct yaml_node *root, struct manifest *m,
	    const char *program)
{
	const struct yaml_node *node = yaml_get(root, "exec");
	const char **argv;

	if (program && !node) {
		argv = field_alloc(ctx, root, 1, sizeof(*argv));
		if (argv && (argv[0] = field_keep(ctx, root, program)))
			m->exec = (struct field_strings){argv, 1};
		return;
	}
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

	m->single = input->program != NULL;
	ctx.implied = m->single ? "exec" : NULL;
	fields_decode(&ctx, &manifest_table, root, m);
	settle_exec(&ctx, root, m, input->program);
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
	diag_error(diags, pos, "requires.host: expected plugd %s; found plugd %s",
		   manifest->requires.host.text, host_version);
	return false;
}

const struct diag_pos *
manifest_origin(const struct manifest *manifest, const char *path)
{
	return fields_origin(manifest->origins, path);
}

const struct diag_pos *
manifest_command_origin(const struct manifest *manifest, const char *word)
{
	const struct command *command = commands_find(&manifest->commands, word);
	char path[FIELD_PATH_BYTES];

	if (!command)
		return NULL;
	snprintf(path, sizeof(path), "commands.%s.help", command->name);
	return manifest_origin(manifest, path);
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

bool
manifest_provides(const struct manifest *manifest, const char *capability)
{
	return field_strings_have(&manifest->provides.shared, capability) ||
	       field_strings_have(&manifest->provides.exclusive, capability);
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
