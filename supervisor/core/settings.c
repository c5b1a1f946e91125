#include "core/settings.h"

#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define ARENA_BYTES ((size_t)8 * 1024 * 1024) /* the tree and what is made of it */
#define KIB         INT64_C(1024)
#define MIB         (1024 * KIB)
#define GIB         (1024 * MIB)

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
	FIELD(struct settings_limits, "channels_per_client", channels_per_client, int, .min = 0,
	      .max = 1024, .fallback = "64",
	      .help = "Channels (shared memory) that one client may have open."),
	FIELD(struct settings_limits, "channels_per_instance", channels_per_instance, int, .min = 0,
	      .max = 1024, .fallback = "64",
	      .help = "Channels that one process has at once; with 0 every call goes through "
		      "plugd."),
	FIELD(struct settings_limits, "channel_bytes", channel_bytes, size_bytes, .min = 64 * KIB,
	      .max = 16 * MIB, .fallback = "1MiB",
	      .help = "Memory that each side of a channel may ask for, tensors not counted."),
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

static const struct field store_fields[] = {
	FIELD(struct settings_store, "dir", dir, path,
	      .help = "Where plugctl install puts plugins.  Default: store in the state "
		      "directory."),
	FIELD(struct settings_store, "keys", keys, path,
	      .help = "Folder of the public keys (minisign, *.pub) whose signatures are trusted.  "
		      "Default: keys in the state directory."),
	FIELD(struct settings_store, "require_signature", require_signature, bool,
	      .fallback = "false",
	      .help = "Install and start only what one of these keys has signed.  Plugins outside "
		      "the store are not concerned."),
};
static const struct field_table store_table = FIELD_TABLE(struct settings_store, store_fields);

static const char *const autoload_words[] = {[AUTOLOAD_ALL] = "all",
					     [AUTOLOAD_BUILTIN] = "builtin",
					     [AUTOLOAD_ENABLED] = "enabled",
					     NULL};
static const char *const removed_words[] = {[REMOVED_STOP] = "stop", [REMOVED_KEEP] = "keep", NULL};

static const struct field discovery_fields[] = {
	FIELD(struct settings_discovery, "live", live, bool, .fallback = "true",
	      .help = "Notice by itself when plugins are put into a plugin directory or taken out "
		      "of it.  Those that are there and change are the business of watch."),
	FIELD(struct settings_discovery, "autoload", autoload, word, .words = autoload_words,
	      .fallback = "all",
	      .help = "Which plugins start by themselves, of those with run.autostart and not "
		      "disabled.  all; builtin: not those of the stores optional and community; "
		      "enabled: only what plugctl enable, or run.autostart in plugins: of this "
		      "file, "
		      "says."),
	FIELD(struct settings_discovery, "removed", removed, word, .words = removed_words,
	      .fallback = "stop",
	      .help = "What is done with a plugin whose folder or file is gone.  stop: it is "
		      "stopped and forgotten; keep: it goes on until it is stopped."),
	FIELD(struct settings_discovery, "create", create, bool, .fallback = "false",
	      .help = "Make plugin directories that are missing."),
	FIELD(struct settings_discovery, "rescan", rescan_ms, duration_ms, .min = 0,
	      .max = 24 * 3600 * INT64_C(1000), .fallback = "30s",
	      .help = "How often plugin directories are searched that the kernel does not watch "
		      "for plugd: its limits are reached, or it is a network file system; 0s: "
		      "never."),
};
static const struct field_table discovery_table =
	FIELD_TABLE(struct settings_discovery, discovery_fields);

static const struct field settings_fields[] = {
	FIELD(struct settings, "plugin_dirs", plugin_dirs, paths, .min = 0, .max = 64,
	      .help = "Folders that are searched for plugins, with all folders below them.  Of two "
		      "plugins with one name the one in the earlier folder is used."),
	FIELD(struct settings, "discovery", discovery, section, .table = &discovery_table,
	      .help = "How plugins are found, and what is done with them."),
	FIELD(struct settings, "runtime_dir", runtime_dir, path,
	      .help = "Sockets and the pid file.  Default: $XDG_RUNTIME_DIR/plugd, else "
		      "/run/plugd."),
	FIELD(struct settings, "state_dir", state_dir, path,
	      .help = "What outlives plugd: enabled flags, log files."),
	FIELD(struct settings, "log", log, section, .table = &log_table, .help = "Logs."),
	FIELD(struct settings, "limits", limits, section, .table = &limits_table,
	      .help = "What is the most."),
	FIELD(struct settings, "store", store, section, .table = &store_table,
	      .help = "Plugins that plugctl install brought."),
	FIELD(struct settings, "watch", watch, bool, .fallback = "false",
	      .help = "Notice by itself when this file or the files of a plugin change: a plugin "
		      "that changed is reloaded, unless its run.watch is false."),
	FIELD(struct settings, "watch_delay", watch_delay_ms, duration_ms, .min = 50,
	      .max = 3600 * INT64_C(1000), .fallback = "200ms",
	      .help = "How long nothing has to change before plugd looks at what did; two fifths "
		      "of it "
		      "before it looks for plugins that came or went."),
	FIELD(struct settings, "autostart", autostart, bool, .fallback = "true",
	      .help = "Start plugins together with plugd, and those that are new; false: only "
		      "those "
		      "whose run.autostart says true."),
	FIELD(struct settings, "load_order", load_order, strings, .names = &type_names, .max = 8,
	      .help = "Types in the order in which their plugins start: those of a type are ready, "
		      "or have failed, before those of the next one start, and types that are left "
		      "out come last.  What a plugin requires starts before it all the same."),
	FIELD(struct settings, "allow_unsafe", allow_unsafe, bool, .fallback = "false",
	      .help = "Run plugins, too, whose folder, manifest, program or file among its "
		      "arguments everybody may write to.  One whose manifest is wrong is never "
		      "run."),
	FIELD(struct settings, "metrics", metrics, metrics, .fallback = "false",
	      .help = "Serve metrics for Prometheus: start the plugin metrics together with plugd, "
		      "and with an address have it listen there (of IPv6 in quotes: a [ begins a "
		      "list).  Nobody who connects is asked who he is.  What plugins: says of the "
		      "plugin holds, too; false leaves it to that."),
	FIELD(struct settings, "plugins", plugins, overrides, .max = 4096,
	      .help = "What is laid over manifests, by plugin."),
	FIELD(struct settings, "models", models, models, .table = &model_table, .max = 1024,
	      .help = "The model table, shown by plugctl models; nothing is started, placed or "
		      "unloaded by it yet."),
	FIELD(struct settings, "models_file", models_file, path,
	      .help = "A file with more of it: JSON with comments, or YAML."),
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

/* The plugin's place in `plugins:`, made where it has none.  NULL: out of memory. */
static struct settings_plugin *
place_in(struct field_ctx *ctx, const struct yaml_node *at, struct settings_plugins *plugins)
{
	struct settings_plugin *longer;

	for (size_t i = 0; i < plugins->count; i++)
		if (!strcmp(plugins->items[i].name, METRICS_PLUGIN))
			return &plugins->items[i];
	longer = field_alloc(ctx, at, plugins->count + 1, sizeof(*longer));
	if (!longer)
		return NULL;
	if (plugins->count)
		memcpy(longer, plugins->items, plugins->count * sizeof(*longer));
	longer[plugins->count] = (struct settings_plugin){
		.name = METRICS_PLUGIN,
		.override = {.file = ctx->file, .path = "plugins." METRICS_PLUGIN}};
	*plugins = (struct settings_plugins){longer, plugins->count + 1};
	return &longer[plugins->count - 1];
}

static void
lay_metrics_over(struct field_ctx *ctx, const struct yaml_node *root, struct settings *settings)
{
	const struct yaml_node *at = yaml_get(root, "metrics");
	struct settings_plugin *item;

	if (!settings->metrics.on)
		return;
	item = place_in(ctx, at, &settings->plugins);
	if (item)
		item->override.node =
			metrics_setting_lay_over(ctx, at, &settings->metrics, item->override.node);
}

static void
fill(struct settings *settings, const struct settings_input *input, struct diags *diags)
{
	struct field_ctx ctx = {.arena = &settings->arena,
				.diags = diags,
				.base_dir = input->dir,
				.origins = &settings->origins};
	const struct yaml_node *root = yaml_parse(&input->source, &settings->arena, diags);
	size_t errors;

	if (!root)
		return;
	ctx.file = input->source.file;
	settings->dir = field_keep(&ctx, root, input->dir);
	settings->file = field_keep(&ctx, root, input->source.file);
	if (!settings->file)
		return;
	ctx.file = settings->file; /* overrides keep it */
	errors = diags->errors;
	fields_decode(&ctx, &settings_table, root, settings);
	if (diags->errors == errors)
		lay_metrics_over(&ctx, root, settings);
	if (!settings->models_file) /* else when that was read */
		models_check(&ctx, &settings->models);
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
settings_from_text(struct kept_text *text, struct diags *diags)
{
	struct settings_input input = {
		.source = {.file = text->file, .text = text->bytes, .length = text->size}};
	char folder[PATH_MAX];
	struct settings *settings;

	snprintf(folder, sizeof(folder), "%s", text->file);
	input.dir = dirname(folder);
	settings = settings_parse(&input, diags);
	if (!settings)
		return NULL;
	settings->fingerprint = hash_bytes(HASH_START, text->bytes, text->size);
	settings->text = kept_text_ref(text);
	return settings;
}

bool
settings_add_models(struct settings *settings, struct kept_text *text, struct diags *diags)
{
	struct yaml_source source = {text->file, text->bytes, text->size};
	size_t errors = diags->errors;
	char folder[PATH_MAX];
	struct field_ctx ctx = {.arena = &settings->arena, .diags = diags};

	snprintf(folder, sizeof(folder), "%s", text->file);
	ctx.base_dir = dirname(folder);
	ctx.file = arena_strdup(&settings->arena, text->file);
	if (!ctx.file)
		ctx.file = text->file;
	models_read(&ctx, &source, &settings->models);
	models_check(&ctx, &settings->models);
	if (settings->arena.failed)
		diag_error(diags, &(struct diag_pos){.file = text->file}, "out of memory");
	settings->fingerprint = hash_bytes(settings->fingerprint, text->bytes, text->size);
	settings->models_text = kept_text_ref(text);
	return diags->errors == errors;
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
	kept_text_unref(settings->text);
	kept_text_unref(settings->models_text);
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
