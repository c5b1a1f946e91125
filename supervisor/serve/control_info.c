/* info, stats: what is known of a plugin. */
#include <string.h>

#include "base/clock.h"
#include "os/proc.h"
#include "serve/answer.h"
#include "serve/control_private.h"
#include "serve/held.h"

/* ---- info ---- */

static void
fill_methods(Plug__PluginInfo *info, const struct plugin *plugin, struct arena *arena)
{
	const struct instance *in = plugin_main_instance(plugin);
	size_t offered = in ? in->method_count : 0;
	MAKE_LIST(arena, Plug__InfoMethod, plugin->spec->method_count + offered, items, pointers);

	if (!items || !pointers)
		return;
	info->methods = pointers;
	for (size_t i = 0; i < offered; i++) {
		Plug__InfoMethod *method = pointers[info->n_methods] = &items[info->n_methods];

		plug__info_method__init(method);
		method->name = in->methods[i].name;
		method->description = in->methods[i].description;
		method->stream = in->methods[i].stream;
		method->idempotent = in->methods[i].idempotent;
		method->timeout_ms = in->methods[i].timeout_ms;
		method->offered = true;
		method->declared = spec_method(plugin->spec, method->name) != NULL;
		info->n_methods++;
	}
	for (size_t i = 0; i < plugin->spec->method_count; i++) {
		const struct spec_method *declared = &plugin->spec->methods[i];
		Plug__InfoMethod *method = &items[info->n_methods];

		if (in && instance_method(in, declared->name))
			continue;
		pointers[info->n_methods++] = method;
		plug__info_method__init(method);
		method->name = (char *)declared->name;
		method->description = (char *)declared->description;
		method->stream = declared->stream;
		method->idempotent = declared->idempotent;
		method->timeout_ms = declared->timeout_ms;
		method->declared = true;
	}
}

static void
fill_config(Plug__PluginInfo *info, const struct spec *spec, struct arena *arena)
{
	MAKE_LIST(arena, Plug__InfoConfig, spec->config_count, items, pointers);

	if (!items || !pointers)
		return;
	info->config = pointers;
	for (size_t i = 0; i < spec->config_count; i++) {
		const struct spec_config *config = &spec->config[i];

		plug__info_config__init(&items[i]);
		items[i].key = (char *)config->key;
		items[i].type = (char *)config->type;
		items[i].value = (char *)config->shown;
		items[i].origin = (char *)config->origin;
		items[i].description = (char *)config->description;
		items[i].secret = config->secret;
		items[i].required = config->required;
		pointers[info->n_config++] = &items[i];
	}
}

static char **
requirement_texts(const struct manifest *m, struct arena *arena, size_t *ret_count)
{
	const struct manifest_requirements *plugins = &m->requires.plugins;
	const struct field_strings *programs = &m->requires.programs;
	const struct manifest_packages *packages = &m->requires.packages;
	const struct field_strings *capabilities = &m->requires.capabilities;
	char **texts = arena_array(
		arena, plugins->count + capabilities->count + programs->count + packages->count + 2,
		sizeof(*texts));
	size_t count = 0;

	if (!texts)
		return NULL;
	if (m->requires.host.text)
		texts[count++] = arena_printf(arena, "plugd %s", m->requires.host.text);
	for (size_t i = 0; i < plugins->count; i++)
		texts[count++] = arena_printf(arena, "plugin %s", plugins->items[i].text);
	for (size_t i = 0; i < capabilities->count; i++)
		texts[count++] = arena_printf(arena, "capability %s", capabilities->items[i]);
	for (size_t i = 0; i < programs->count; i++)
		texts[count++] = arena_printf(arena, "program %s", programs->items[i]);
	for (size_t i = 0; i < packages->count; i++)
		texts[count++] = arena_printf(arena, "package %s", packages->items[i].text);
	*ret_count = arena->failed ? 0 : count;
	return texts;
}

static char **
permission_texts(const struct manifest_permissions *granted, struct arena *arena, size_t *ret_count)
{
	char **texts = arena_array(arena, granted->call.count + 3, sizeof(*texts));
	size_t count = 0;

	if (!texts)
		return NULL;
	if (granted->observe)
		texts[count++] = arena_printf(arena, "observe");
	if (granted->admin)
		texts[count++] = arena_printf(arena, "admin");
	if (granted->restricts_calls && !granted->call.count)
		texts[count++] = arena_printf(arena, "call: []");
	for (size_t i = 0; i < granted->call.count; i++)
		texts[count++] = arena_printf(arena, "call: %s", granted->call.items[i]);
	*ret_count = arena->failed ? 0 : count;
	return texts;
}

static bool requires(const struct plugin *plugin, const char *name)
{
	const struct manifest_requirements *plugins = &plugin->spec->manifest->requires.plugins;

	for (size_t i = 0; i < plugins->count; i++)
		if (!strcmp(plugins->items[i].name, name))
			return true;
	return false;
}

static void
fill_dependents(Plug__PluginInfo *info, const struct registry *registry, struct arena *arena)
{
	char **names = arena_array(arena, registry->count + 1, sizeof(*names));

	if (!names)
		return;
	info->required_by = names;
	LIST_FOREACH (plugin, &registry->plugins, struct plugin, node)
		if (!plugin->removed && requires(plugin, info->name))
			names[info->n_required_by++] = (char *)plugin_name(plugin);
}

static char **
command_names(const struct manifest *m, struct arena *arena, size_t *ret_count)
{
	const struct command *commands = m->commands.items;
	char **names = arena_array(arena, m->commands.count + 1, sizeof(*names));

	for (size_t i = 0; names && i < m->commands.count; i++)
		names[i] = (char *)commands[i].name;
	*ret_count = names ? m->commands.count : 0;
	return names;
}

static void
fill_about(Plug__PluginInfo *info, const struct spec *spec, struct arena *arena)
{
	const struct manifest *m = spec->manifest;

	info->name = (char *)spec->name;
	info->version = (char *)spec->version;
	info->type = (char *)spec->type;
	info->description = (char *)plug_str(m->description);
	info->author = (char *)plug_str(m->author);
	info->license = (char *)plug_str(m->license);
	info->homepage = (char *)plug_str(m->homepage);
	info->repository = (char *)plug_str(m->repository);
	info->tags = (char **)m->tags.items;
	info->n_tags = m->tags.count;
	info->priority = spec->priority;
	info->provides = (char **)m->provides.shared.items;
	info->n_provides = m->provides.shared.count;
	info->exclusive = (char **)m->provides.exclusive.items;
	info->n_exclusive = m->provides.exclusive.count;
	info->conflicts = (char **)m->conflicts.items;
	info->n_conflicts = m->conflicts.count;
	info->commands = command_names(m, arena, &info->n_commands);
	info->requires = requirement_texts(m, arena, &info->n_requires);
	info->permissions = permission_texts(&m->permissions, arena, &info->n_permissions);
	info->path = (char *)spec->path;
	info->exec = (char **)spec->argv;
	info->n_exec = m->run.under.count + m->exec.count;
	info->probe_method = (char *)plug_str(spec->probe_method);
}

void
control_info(const struct control_ctx *ctx, const Plug__InfoRequest *request)
{
	struct plugin *plugin = control_plugin(ctx, request->name);
	Plug__PluginInfo info = PLUG__PLUGIN_INFO__INIT;
	Plug__Response response = PLUG__RESPONSE__INIT;
	struct arena arena;

	if (!plugin)
		return;
	arena_init(&arena, CONTROL_ARENA_BYTES);
	fill_about(&info, plugin->spec, &arena);
	fill_dependents(&info, ctx->control->registry, &arena);
	fill_methods(&info, plugin, &arena);
	fill_config(&info, plugin->spec, &arena);
	response.body_case = PLUG__RESPONSE__BODY_INFO;
	response.info = &info;
	if (control_answer(ctx->client, ctx->id, &response) == PLUG_ETOOLARGE)
		answer_request(ctx->client, ctx->id, PLUG_ETOOLARGE,
			       "what is known of it does not fit into one message; read its "
			       "manifest instead");
	arena_fini(&arena);
}

/* ---- stats ---- */

static void
fill_method_stats(Plug__MethodStats *message, const struct stats_method *method,
		  struct arena *arena)
{
	plug__method_stats__init(message);
	message->method = (char *)method->name;
	message->calls = method->calls;
	message->ok = method->ok;
	message->errors = method->errors;
	message->timeouts = method->timeouts;
	message->cancelled = method->cancelled;
	message->gone = method->gone;
	message->p50_us = stats_quantile_us(method, 0.5);
	message->p90_us = stats_quantile_us(method, 0.9);
	message->p99_us = stats_quantile_us(method, 0.99);
	message->max_us = method->max_us;
	message->sum_us = method->sum_us;
	message->took = arena_array(arena, STATS_DOUBLINGS, sizeof(*message->took));
	if (message->took)
		message->n_took = stats_doublings(method, message->took);
}

static void
fill_process_stats(Plug__PluginStats *message, const struct plugin *plugin)
{
	const struct instance *in = plugin_main_instance(plugin);
	struct proc_info proc;

	if (!in)
		return;
	message->session_resumes = in->resumes;
	if (!in->exited && !proc_read(in->pid, &proc)) {
		message->rss_bytes = proc.rss_bytes;
		message->cpu_ms = proc.cpu_ms;
	}
}

static void
fill_stats(Plug__PluginStats *message, const struct plugin *plugin, struct arena *arena)
{
	const struct stats *stats = &plugin->stats;
	Plug__DataPlane *data = arena_array(arena, 1, sizeof(*data));
	MAKE_LIST(arena, Plug__MethodStats, stats->method_count, items, pointers);

	plug__plugin_stats__init(message);
	message->name = (char *)plugin_name(plugin);
	message->calls = stats->calls;
	message->ok = stats->ok;
	message->errors = stats->errors;
	message->queued = plugin->queued + held_count(plugin);
	message->restarts = plugin->restarts;
	message->crashes = plugin->crashes_seen;
	message->start_ms = plugin->last_start_ms;
	message->last_used_ms = stats->last_used_ms;
	message->last_error = (char *)stats->last_error;
	message->log_lines = plugin->output.lines;
	message->log_dropped = plugin->output.file.dropped;
	fill_process_stats(message, plugin);
	control_fill_took(message, plugin, arena);
	if (data) {
		control_fill_data(data, plugin);
		message->data_plane = data;
	}
	if (!items || !pointers)
		return;
	message->methods = pointers;
	for (size_t i = 0; i < stats->method_count; i++) {
		fill_method_stats(&items[i], stats->methods[i], arena);
		pointers[message->n_methods++] = &items[i];
	}
}

static void
send_stats(const struct control_ctx *ctx, const struct plugin *plugin, bool more)
{
	Plug__Stats stats = PLUG__STATS__INIT;
	Plug__PluginStats message, *list[1] = {&message};
	Plug__Response response = PLUG__RESPONSE__INIT;
	struct arena arena;

	arena_init(&arena, CONTROL_ARENA_BYTES);
	if (plugin) {
		fill_stats(&message, plugin, &arena);
		stats.plugins = list;
		stats.n_plugins = 1;
	}
	response.more = more;
	response.body_case = PLUG__RESPONSE__BODY_STATS;
	response.stats = &stats;
	control_answer(ctx->client, ctx->id, &response);
	arena_fini(&arena);
}

void
control_stats(const struct control_ctx *ctx, const Plug__StatsRequest *request)
{
	struct plugin *plugin;

	if (*plug_str(request->name)) {
		plugin = control_plugin(ctx, request->name);
		if (plugin)
			send_stats(ctx, plugin, false);
		return;
	}
	LIST_FOREACH (one, &ctx->control->registry->plugins, struct plugin, node)
		send_stats(ctx, one, true);
	send_stats(ctx, NULL, false);
}
