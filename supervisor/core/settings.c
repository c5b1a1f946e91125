#include "core/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/unsupported.h"

#define ARENA_BYTES ((size_t)8 * 1024 * 1024) /* the tree and what is made of it */
#define KIB         INT64_C(1024)
#define MIB         (1024 * KIB)
#define GIB         (1024 * MIB)
#define DAY_MS      INT64_C(86400000)

static const char *const level_words[] = {[LOG_DEBUG] = "debug",
					  [LOG_INFO] = "info",
					  [LOG_WARN] = "warn",
					  [LOG_ERROR] = "error",
					  NULL};
static const char *const format_words[] = {[LOG_TEXT] = "text", [LOG_JSON] = "json", NULL};

static const struct field log_fields[] = {
	FIELD(struct settings_log, "level", level, word, .words = level_words, .fallback = "info",
	      .help = "The least important lines that plugd writes to stderr."),
	FIELD(struct settings_log, "format", format, word, .words = format_words,
	      .fallback = "text", .help = "How plugd writes them."),
	FIELD(struct settings_log, "dir", dir, path,
	      .help = "Folder of the plugins' log files.  Default: log in the state directory."),
	FIELD(struct settings_log, "max_bytes", max_bytes, size_bytes, .min = 4 * KIB,
	      .max = 64 * GIB, .fallback = "10MiB", .help = "Size at which a log file is rotated."),
	FIELD(struct settings_log, "files", files, int, .min = 0, .max = 100, .fallback = "3",
	      .help = "Rotated log files kept per plugin."),
};
static const struct field_table log_table = FIELD_TABLE(struct settings_log, log_fields);

static const struct field limits_fields[] = {
	FIELD(struct settings_limits, "clients", clients, int, .min = 1, .max = 65536,
	      .fallback = "256", .help = "Client connections."),
	FIELD(struct settings_limits, "clients_per_uid", clients_per_uid, int, .min = 1,
	      .max = 65536, .fallback = "32",
	      .help = "Client connections of one user that is neither plugd's own nor root."),
	FIELD(struct settings_limits, "calls_per_client", calls_per_client, int, .min = 1,
	      .max = 65536, .fallback = "256", .help = "Calls in flight of one client."),
	FIELD(struct settings_limits, "calls_per_instance", calls_per_instance, int, .min = 1,
	      .max = 65536, .fallback = "256",
	      .help = "Calls that one process has at once; further ones wait."),
	FIELD(struct settings_limits, "queue_calls", queue_calls, int, .min = 0, .max = 1000000,
	      .fallback = "1024",
	      .help = "Calls that may wait for one plugin before more are refused."),
	FIELD(struct settings_limits, "call_timeout", call_timeout_ms, duration_ms, .min = 1,
	      .max = 7 * 24 * 3600 * INT64_C(1000), .fallback = "60s",
	      .help = "Deadline of a call where neither the caller nor the method names one."),
	FIELD(struct settings_limits, "client_queue_bytes", client_queue_bytes, size_bytes,
	      .min = 256 * KIB, .max = GIB, .fallback = "48MiB",
	      .help = "Replies that may wait for one client before it is disconnected."),
	FIELD(struct settings_limits, "call_bytes", call_bytes, size_bytes, .min = 64 * KIB,
	      .max = GIB, .fallback = "16MiB", .help = "Payload of a call, or of a reply."),
	FIELD(struct settings_limits, "log_ring_bytes", log_ring_bytes, size_bytes, .min = 16 * KIB,
	      .max = 64 * MIB, .fallback = "64KiB",
	      .help = "Output of one plugin that is kept in memory."),
	FIELD(struct settings_limits, "plugins", plugins, int, .min = 1, .max = 4096,
	      .fallback = "1024", .help = "Plugins that are registered."),
};
static const struct field_table limits_table = FIELD_TABLE(struct settings_limits, limits_fields);

static bool
is_text(const char *text)
{
	return *text && strlen(text) <= 255;
}

static const struct field_names device_names = {.ok = is_text, .expected = "the name of a device"};
static const struct field_names model_names = {.ok = is_text, .expected = "the name of a model"};

static bool
is_manifest_type(const char *text)
{
	for (size_t i = 0; manifest_type_words[i]; i++)
		if (!strcmp(manifest_type_words[i], text))
			return true;
	return false;
}

static const struct field_names type_names = {.ok = is_manifest_type,
					      .expected =
						      "one of model, device, interface, provider, "
						      "optimization, feature, memory, gateway"};

static const struct field scheme_fields[] = {
	FIELD(struct settings_scheme, "required_devices", required_devices, strings, .max = 64,
	      .names = &device_names, .help = "Devices that must be online."),
	FIELD(struct settings_scheme, "memory_mb", memory_mb, pairs, .max = 64,
	      .names = &device_names, .help = "Memory that it takes, by device."),
	FIELD(struct settings_scheme, "config", config, pairs, .max = 256,
	      .names = &field_identifiers, .help = "Config keys of the plugin."),
	FIELD(struct settings_scheme, "command", command, strings, .max = 64,
	      .help = "Program and arguments that serve it."),
};
static const struct field_table scheme_table = FIELD_TABLE(struct settings_scheme, scheme_fields);

static const struct field model_fields[] = {
	FIELD(struct settings_model, "plugin", plugin, name, .names = &field_plugin_names,
	      .help = "Plugin that runs it."),
	FIELD(struct settings_model, "aliases", aliases, strings, .max = 64, .names = &model_names,
	      .help = "Other names."),
	FIELD(struct settings_model, "mode", mode, name, .names = &field_identifiers,
	      .help = "Interface that it serves, such as Chat."),
	FIELD(struct settings_model, "port", port, int, .min = 1, .max = 65535,
	      .help = "Port of its server."),
	FIELD(struct settings_model, "auto_start", auto_start, bool, .fallback = "false",
	      .help = "Load it together with plugd."),
	FIELD(struct settings_model, "alive_time", alive_time_ms, duration_ms, .min = 0,
	      .max = 365 * DAY_MS, .fallback = "0s",
	      .help = "Idle time after which it is unloaded; 0s: never."),
	FIELD(struct settings_model, "schemes", schemes, sections, .table = &scheme_table,
	      .max = 64, .help = "Ways to run it, in the order in which they are tried."),
};
static const struct field_table model_table = FIELD_TABLE(struct settings_model, model_fields);

/* ---- plugins: ---- */

static void
plugins_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
	       void *dest)
{
	struct settings_plugin *items, *item;

	if ((node->kind != YAML_MAP && node->kind != YAML_NULL) ||
	    (int64_t)node->count > field->max) {
		field_refuse(ctx, field, node, NULL);
		return;
	}
	item = items = field_alloc(ctx, node, node->count, sizeof(*items));
	if (!items)
		return;
	for (const struct yaml_node *child = node->first; child; child = child->next, item++) {
		struct diag_pos pos = field_key_pos(ctx, child);
		size_t mark;

		if (!field_plugin_names.ok(child->key)) {
			diag_error(ctx->diags, &pos, "%s: expected %s; found \"%.64s\"", ctx->path,
				   field_plugin_names.expected, child->key);
			continue;
		}
		mark = field_enter(ctx, child->key);
		item->name = child->key;
		item->override =
			(struct manifest_override){.file = ctx->file,
						   .node = child,
						   .path = field_keep(ctx, child, ctx->path)};
		field_leave(ctx, mark);
		if (item->override.path)
			manifest_check_override(&item->override, ctx->diags);
	}
	*(struct settings_plugins *)dest =
		(struct settings_plugins){.items = items, .count = node->count};
}

static void
plugins_expect(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	(void)field;
	snprintf(buffer, FIELD_TEXT_BYTES, "a mapping of at most 4096 plugin names");
}

static const struct field_type field_overrides = {.name = "mapping by plugin",
						  .size = sizeof(struct settings_plugins),
						  .decode = plugins_decode,
						  .expect = plugins_expect};

static const struct field settings_fields[] = {
	FIELD(struct settings, "plugin_dirs", plugin_dirs, paths, .min = 0, .max = 64,
	      .help = "Folders that are searched for plugins, with all folders below them."),
	FIELD(struct settings, "runtime_dir", runtime_dir, path,
	      .help = "Sockets and the pid file.  Default: $XDG_RUNTIME_DIR/plugd, else "
		      "/run/plugd."),
	FIELD(struct settings, "state_dir", state_dir, path,
	      .help = "What outlives plugd: enabled flags, log files."),
	FIELD(struct settings, "log", log, section, .table = &log_table, .help = "Logs."),
	FIELD(struct settings, "limits", limits, section, .table = &limits_table,
	      .help = "What is the most."),
	FIELD(struct settings, "watch", watch, bool, .fallback = "false",
	      .help = "Notice new and changed plugins without SIGHUP."),
	FIELD(struct settings, "load_order", load_order, strings, .names = &type_names, .max = 8,
	      .help = "Types in the order in which their plugins start."),
	FIELD(struct settings, "allow_unsafe", allow_unsafe, bool, .fallback = "false",
	      .help = "Run plugins that fail validation."),
	FIELD(struct settings, "metrics", metrics, bool, .fallback = "false",
	      .help = "Serve metrics."),
	FIELD(struct settings, "plugins", plugins, overrides, .max = 4096,
	      .help = "What is laid over manifests, by plugin."),
	FIELD(struct settings, "models", models, entries, .table = &model_table,
	      .names = &model_names, .max = 1024, .help = "The model table."),
};

const struct field_table settings_table = FIELD_TABLE(struct settings, settings_fields);

/* ---- parsing ---- */

static struct settings *
new_settings(struct diags *diags)
{
	struct settings *settings = calloc(1, sizeof(*settings));
	struct field_ctx ctx = {.diags = diags, .file = "defaults"};
	struct arena arena;

	if (!settings) {
		diag_error(diags, &(struct diag_pos){.file = "plugd.yaml"}, "out of memory");
		return NULL;
	}
	arena_init(&arena, ARENA_BYTES);
	ctx.arena = &arena;
	fields_init(&ctx, &settings_table, settings);
	settings->arena = arena;
	return settings;
}

static void
fill(struct settings *settings, const struct settings_input *input, struct diags *diags)
{
	struct field_ctx ctx = {.arena = &settings->arena,
				.diags = diags,
				.base_dir = input->dir,
				.unsupported = unsupported_in_settings,
				.origins = &settings->origins};
	const struct yaml_node *root = yaml_parse(&input->source, &settings->arena, diags);

	if (!root)
		return;
	ctx.file = input->source.file;
	settings->dir = field_keep(&ctx, root, input->dir);
	settings->file = field_keep(&ctx, root, input->source.file);
	if (!settings->file)
		return;
	ctx.file = settings->file; /* overrides keep it */
	fields_decode(&ctx, &settings_table, root, settings);
	if (settings->arena.failed)
		field_error(&ctx, root, "out of memory, or more than %zu bytes of values",
			    ARENA_BYTES);
}

struct settings *
settings_parse(const struct settings_input *input, struct diags *diags)
{
	size_t errors = diags->errors;
	struct settings *settings = new_settings(diags);

	if (settings)
		fill(settings, input, diags);
	if (diags->errors == errors)
		return settings;
	settings_free(settings);
	return NULL;
}

struct settings *
settings_default(void)
{
	struct diags diags;
	struct settings *settings;

	diags_init(&diags);
	settings = new_settings(&diags);
	diags_fini(&diags);
	return settings;
}

void
settings_free(struct settings *settings)
{
	if (!settings)
		return;
	arena_fini(&settings->arena);
	free(settings);
}

const struct manifest_override *
settings_override(const struct settings *settings, const char *plugin)
{
	for (size_t i = 0; i < settings->plugins.count; i++)
		if (!strcmp(settings->plugins.items[i].name, plugin))
			return &settings->plugins.items[i].override;
	return NULL;
}

const struct diag_pos *
settings_origin(const struct settings *settings, const char *path)
{
	return fields_origin(settings->origins, path);
}
