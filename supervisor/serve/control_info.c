/* info, stats, crashes: what is known of a plugin. */
#include <string.h>

#include "base/clock.h"
#include "os/proc.h"
#include "serve/answer.h"
#include "serve/control_private.h"

#define ARENA_BYTES ((size_t)1024 * 1024)

/* Messages of a list that one Response is made of: `pointers` for protobuf-c, the messages behind
 * them. */
#define MAKE_LIST(arena, type, count, items, pointers)               \
	type *items = arena_array(arena, (count) + 1, sizeof(type)); \
	type **pointers = arena_array(arena, (count) + 1, sizeof(type *))

/* ---- info ---- */

static void
fill_methods(Plug__PluginInfo *info, const struct plugin *plugin, struct arena *arena)
{
	const struct instance *in = plugin->instance;
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
	char **texts = arena_array(arena, plugins->count + programs->count + 2, sizeof(*texts));
	size_t count = 0;

	if (!texts)
		return NULL;
	if (m->requires.host.text)
		texts[count++] = arena_printf(arena, "plugd %s", m->requires.host.text);
	for (size_t i = 0; i < plugins->count; i++)
		texts[count++] = arena_printf(arena, "plugin %s", plugins->items[i].text);
	for (size_t i = 0; i < programs->count; i++)
		texts[count++] = arena_printf(arena, "program %s", programs->items[i]);
	*ret_count = arena->failed ? 0 : count;
	return texts;
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
	info->requires = requirement_texts(m, arena, &info->n_requires);
	info->path = (char *)spec->path;
	info->exec = (char **)spec->argv;
	info->n_exec = m->exec.count;
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
	arena_init(&arena, ARENA_BYTES);
	fill_about(&info, plugin->spec, &arena);
	fill_methods(&info, plugin, &arena);
	fill_config(&info, plugin->spec, &arena);
	response.body_case = PLUG__RESPONSE__BODY_INFO;
	response.info = &info;
	if (control_send(ctx->client, ctx->id, &response) == PLUG_ETOOLARGE)
		answer_request(ctx->client, ctx->id, PLUG_ETOOLARGE,
			       "what is known of it does not fit into one message; read its "
			       "manifest instead");
	arena_fini(&arena);
}

/* ---- stats ---- */

static void
fill_method_stats(Plug__MethodStats *message, const struct stats_method *method)
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
}

static void
fill_process_stats(Plug__PluginStats *message, const struct plugin *plugin)
{
	const struct instance *in = plugin->instance;
	struct proc_info proc;

	if (!in)
		return;
	message->in_flight = in->in_flight;
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
	MAKE_LIST(arena, Plug__MethodStats, stats->method_count, items, pointers);

	plug__plugin_stats__init(message);
	message->name = (char *)plugin_name(plugin);
	message->calls = stats->calls;
	message->ok = stats->ok;
	message->errors = stats->errors;
	message->queued = plugin->queued;
	message->restarts = plugin->restarts;
	message->crashes = plugin->crashes_seen;
	message->start_ms = plugin->last_start_ms;
	message->last_used_ms = stats->last_used_ms;
	message->last_error = (char *)stats->last_error;
	message->log_lines = plugin->output.lines;
	message->log_dropped = plugin->output.file.dropped;
	fill_process_stats(message, plugin);
	if (!items || !pointers)
		return;
	message->methods = pointers;
	for (size_t i = 0; i < stats->method_count; i++) {
		fill_method_stats(&items[i], stats->methods[i]);
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

	arena_init(&arena, ARENA_BYTES);
	if (plugin) {
		fill_stats(&message, plugin, &arena);
		stats.plugins = list;
		stats.n_plugins = 1;
	}
	response.more = more;
	response.body_case = PLUG__RESPONSE__BODY_STATS;
	response.stats = &stats;
	control_send(ctx->client, ctx->id, &response);
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

/* ---- crashes ---- */

static void
fill_crash_calls(Plug__Crash *message, struct crash *crash, struct arena *arena)
{
	size_t count = crash->call_count < CRASH_CALLS ? crash->call_count : CRASH_CALLS;
	MAKE_LIST(arena, Plug__CallInFlight, count, items, pointers);

	if (!items || !pointers)
		return;
	message->calls = pointers;
	for (size_t i = 0; i < count; i++) {
		plug__call_in_flight__init(&items[i]);
		items[i].id = crash->calls[i].id;
		items[i].method = crash->calls[i].method;
		items[i].age_ms = crash->calls[i].age_ms;
		items[i].hung = crash->calls[i].hung;
		pointers[message->n_calls++] = &items[i];
	}
}

static void
fill_crash(Plug__Crash *message, const struct plugin *plugin, struct crash *crash,
	   struct arena *arena)
{
	char name[SIGNAL_NAME_BYTES] = "";

	plug__crash__init(message);
	if (crash->status.signal)
		signal_name(crash->status.signal, name, sizeof(name));
	message->plugin = (char *)plugin_name(plugin);
	message->time_ms = crash->time_ms;
	message->pid = crash->pid;
	message->generation = crash->generation;
	message->exit_code = crash->status.signal ? 0 : crash->status.code;
	message->signal = crash->status.signal;
	message->signal_name = arena_strdup(arena, name);
	message->reason = crash->reason;
	message->uptime_ms = crash->uptime_ms;
	message->state = (char *)crash->state;
	message->last_log = crash->log;
	message->n_last_log = crash->log_count;
	message->rss_bytes = crash->rss_bytes;
	message->decision = crash->decision;
	message->retry_in_ms = crash->retry_in_ms;
	message->core_dumped = crash->status.core_dumped;
	fill_crash_calls(message, crash, arena);
}

static void
send_crash(const struct control_ctx *ctx, const struct plugin *plugin, struct crash *crash,
	   bool more)
{
	Plug__Crashes crashes = PLUG__CRASHES__INIT;
	Plug__Crash message, *list[1] = {&message};
	Plug__Response response = PLUG__RESPONSE__INIT;
	struct arena arena;

	arena_init(&arena, ARENA_BYTES);
	if (crash) {
		fill_crash(&message, plugin, crash, &arena);
		crashes.crashes = list;
		crashes.n_crashes = 1;
	}
	response.more = more;
	response.body_case = PLUG__RESPONSE__BODY_CRASHES;
	response.crashes = &crashes;
	while (control_send(ctx->client, ctx->id, &response) == PLUG_ETOOLARGE &&
	       message.n_last_log)
		message.n_last_log /= 2; /* twenty lines of 8 KiB are more than one message holds */
	arena_fini(&arena);
}

static void
send_crashes(const struct control_ctx *ctx, struct plugin *plugin)
{
	LIST_FOREACH (crash, &plugin->crashes.list, struct crash, node)
		send_crash(ctx, plugin, crash, true);
}

void
control_crashes(const struct control_ctx *ctx, const Plug__CrashesRequest *request)
{
	if (*plug_str(request->name)) {
		struct plugin *plugin = control_plugin(ctx, request->name);

		if (!plugin)
			return;
		send_crashes(ctx, plugin);
	} else {
		LIST_FOREACH (plugin, &ctx->control->registry->plugins, struct plugin, node)
			send_crashes(ctx, plugin);
	}
	send_crash(ctx, NULL, NULL, false);
}
