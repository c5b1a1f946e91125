/* list, status, info: what there is. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "os/proc.h"
#include "serve/answer.h"
#include "serve/control_private.h"

void
control_fill_line(Plug__PluginLine *line, const struct plugin *plugin)
{
	const struct instance *in = plugin->instance;
	struct proc_info proc;

	plug__plugin_line__init(line);
	line->name = (char *)plugin_name(plugin);
	line->version = (char *)plugin->spec->version;
	line->type = (char *)plugin->spec->type;
	line->state = (char *)plugin_word(plugin);
	line->generation = plugin->last_generation;
	line->restarts = plugin->restarts;
	line->reason = (char *)plugin->why;
	if (!in)
		return;
	line->pid = in->pid;
	line->uptime_ms = clock_mono_ms() - in->spawned_ms;
	if (!in->exited && !proc_read(in->pid, &proc))
		line->rss_bytes = proc.rss_bytes;
}

/* ---- list ---- */

#define LINES_AT_A_TIME 64
#define BAD_AT_A_TIME   8
#define BAD_ERRORS      16
#define ENTRY_OVERHEAD  64 /* of an entry on the wire, besides its longer texts */

static bool
has_tag(const struct plugin *plugin, const char *tag)
{
	const struct field_strings *tags = &plugin->spec->manifest->tags;

	for (size_t i = 0; i < tags->count; i++)
		if (!strcmp(tags->items[i], tag))
			return true;
	return false;
}

static bool
matches(const struct plugin *plugin, const Plug__ListRequest *request)
{
	const char *type = plug_str(request->type), *tag = plug_str(request->tag);

	return (!*type || !strcmp(plugin->spec->type, type)) && (!*tag || has_tag(plugin, tag));
}

static void
send_lines(const struct control_ctx *ctx, Plug__ListResponse *list, bool more)
{
	Plug__Response response = PLUG__RESPONSE__INIT;

	response.more = more;
	response.body_case = PLUG__RESPONSE__BODY_LIST;
	response.list = list;
	control_send(ctx->client, ctx->id, &response);
	list->n_plugins = list->n_bad = 0;
}

/* Send what is there if one more of `bytes` might not fit. */
static void
make_room(const struct control_ctx *ctx, Plug__ListResponse *list, size_t *used, size_t bytes)
{
	if (*used + bytes > CONTROL_BATCH_BYTES || list->n_plugins == LINES_AT_A_TIME ||
	    list->n_bad == BAD_AT_A_TIME) {
		send_lines(ctx, list, true);
		*used = 0;
	}
	*used += bytes;
}

/* As many of its errors as fit into a message.  Returns the bytes that it takes, about. */
static size_t
fill_bad(Plug__BadPlugin *one, const struct bad_plugin *bad)
{
	size_t bytes;

	plug__bad_plugin__init(one);
	one->path = bad->path ? bad->path : (char *)"";
	one->errors = bad->errors;
	bytes = strlen(one->path) + ENTRY_OVERHEAD;
	while (one->n_errors < bad->error_count && one->n_errors < BAD_ERRORS) {
		size_t more = strlen(bad->errors[one->n_errors]) + ENTRY_OVERHEAD;

		if (bytes + more > CONTROL_BATCH_BYTES)
			break;
		bytes += more;
		one->n_errors++;
	}
	return bytes;
}

static size_t
line_bytes(const Plug__PluginLine *line)
{
	return strlen(line->name) + strlen(line->version) + strlen(line->reason) +
	       2 * ENTRY_OVERHEAD;
}

void
control_list(const struct control_ctx *ctx, const Plug__ListRequest *request)
{
	Plug__PluginLine lines[LINES_AT_A_TIME], *line_list[LINES_AT_A_TIME];
	Plug__BadPlugin bads[BAD_AT_A_TIME], *bad_list[BAD_AT_A_TIME];
	Plug__ListResponse list = PLUG__LIST_RESPONSE__INIT;
	size_t used = 0;

	list.plugins = line_list;
	list.bad = bad_list;
	LIST_FOREACH (plugin, &ctx->control->registry->plugins, struct plugin, node) {
		Plug__PluginLine line;

		if (!matches(plugin, request))
			continue;
		control_fill_line(&line, plugin);
		make_room(ctx, &list, &used, line_bytes(&line));
		lines[list.n_plugins] = line;
		line_list[list.n_plugins] = &lines[list.n_plugins];
		list.n_plugins++;
	}
	LIST_FOREACH (bad, &ctx->control->registry->bad, struct bad_plugin, node) {
		Plug__BadPlugin one;

		make_room(ctx, &list, &used, fill_bad(&one, bad));
		bads[list.n_bad] = one;
		bad_list[list.n_bad] = &bads[list.n_bad];
		list.n_bad++;
	}
	send_lines(ctx, &list, false);
}

/* ---- status ---- */

static void
fill_daemon(const struct control_ctx *ctx, Plug__DaemonStatus *status)
{
	const struct registry *registry = ctx->control->registry;

	status->pid = getpid();
	status->plugins = (uint32_t)registry->count;
	LIST_FOREACH (plugin, &registry->plugins, struct plugin, node)
		status->running += plugin->instance != NULL;
	status->clients = doorman_client_count(ctx->client->doorman);
	status->rss_bytes = proc_self_rss_bytes();
	status->calls = ctx->control->router->calls;
	ctx->control->daemon.describe(ctx->control->daemon.user, status);
}

static void
send_daemon_status(const struct control_ctx *ctx)
{
	Plug__DaemonStatus status = PLUG__DAEMON_STATUS__INIT;
	Plug__BadPlugin bads[BAD_AT_A_TIME], *bad_list[BAD_AT_A_TIME];
	Plug__Response response = PLUG__RESPONSE__INIT;
	size_t used = 0;

	fill_daemon(ctx, &status);
	status.bad = bad_list;
	LIST_FOREACH (bad, &ctx->control->registry->bad, struct bad_plugin, node) {
		if (status.n_bad == BAD_AT_A_TIME)
			break; /* list shows all */
		used += fill_bad(&bads[status.n_bad], bad);
		if (used > CONTROL_BATCH_BYTES)
			break;
		bad_list[status.n_bad] = &bads[status.n_bad];
		status.n_bad++;
	}
	response.body_case = PLUG__RESPONSE__BODY_DAEMON;
	response.daemon = &status;
	if (control_send(ctx->client, ctx->id, &response) == PLUG_ETOOLARGE)
		answer_request(ctx->client, ctx->id, PLUG_ETOOLARGE,
			       "the status does not fit into one message");
}

static void
fill_calls(const struct control_ctx *ctx, Plug__PluginStatus *status, struct plugin *plugin,
	   struct crash_call *calls, Plug__CallInFlight *messages, Plug__CallInFlight **list)
{
	struct host *host = ctx->control->host;
	size_t count = plugin->instance
			       ? host->ops->describe_calls(host->ops_user, plugin->instance, calls,
							   CRASH_CALLS)
			       : 0;

	status->calls = list;
	for (size_t i = 0; i < count && i < CRASH_CALLS; i++) {
		plug__call_in_flight__init(&messages[i]);
		messages[i].id = calls[i].id;
		messages[i].method = calls[i].method;
		messages[i].age_ms = calls[i].age_ms;
		messages[i].hung = calls[i].hung;
		list[status->n_calls++] = &messages[i];
	}
}

static char **
config_lines(const struct spec *spec, struct arena *arena)
{
	char **lines = arena_array(arena, spec->config_count + 1, sizeof(*lines));

	for (size_t i = 0; lines && i < spec->config_count; i++) {
		const struct spec_config *config = &spec->config[i];

		lines[i] = arena_printf(arena, "%s = %s  (%s)", config->key, config->shown,
					config->origin);
		if (!lines[i])
			return NULL;
	}
	return lines;
}

static const char *
restart_word(enum restart_policy policy)
{
	static const char *const words[] = {[RESTART_ALWAYS] = "always",
					    [RESTART_ON_FAILURE] = "on-failure",
					    [RESTART_NEVER] = "never"};

	return words[policy];
}

static void
fill_plugin(Plug__PluginStatus *status, const struct control_ctx *ctx, const struct plugin *plugin,
	    char *next, size_t next_size)
{
	struct plugin *waits_for =
		plugin->start_wanted ? registry_waits_for(ctx->control->registry, plugin) : NULL;
	uint64_t now = clock_mono_ms();

	plugin_next_text(plugin, next, next_size);
	if (waits_for)
		snprintf(next, next_size, "starts when %s is ready", plugin_name(waits_for));
	status->why = (char *)plugin->why;
	status->next = next;
	status->path = (char *)plugin->spec->path;
	status->restart_policy = (char *)restart_word(plugin->spec->restart);
	status->failures = plugin->backoff.failures;
	status->failure_limit = plugin->backoff.max_failures;
	if (plugin->slot == SS_BACKOFF && plugin->retry_at_ms > now)
		status->retry_in_ms = plugin->retry_at_ms - now;
	status->queued = plugin->queued;
	status->autostart = plugin->spec->autostart;
	if (plugin->instance) {
		status->sdk = plugin->instance->sdk;
		status->protocol = session_protocol(plugin->instance->session);
	}
}

void
control_status(const struct control_ctx *ctx, const Plug__StatusRequest *request)
{
	Plug__PluginStatus status = PLUG__PLUGIN_STATUS__INIT;
	Plug__PluginLine line;
	Plug__Response response = PLUG__RESPONSE__INIT;
	Plug__CallInFlight messages[CRASH_CALLS], *list[CRASH_CALLS];
	struct crash_call calls[CRASH_CALLS];
	struct plugin *plugin;
	struct arena arena;
	char next[192];

	if (!*plug_str(request->name)) {
		send_daemon_status(ctx);
		return;
	}
	plugin = control_plugin(ctx, request->name);
	if (!plugin)
		return;
	arena_init(&arena, 256 * 1024);
	control_fill_line(&line, plugin);
	status.line = &line;
	fill_plugin(&status, ctx, plugin, next, sizeof(next));
	fill_calls(ctx, &status, plugin, calls, messages, list);
	status.effective_config = config_lines(plugin->spec, &arena);
	status.n_effective_config = status.effective_config ? plugin->spec->config_count : 0;
	response.body_case = PLUG__RESPONSE__BODY_PLUGIN;
	response.plugin = &status;
	if (control_send(ctx->client, ctx->id, &response) == PLUG_ETOOLARGE) {
		status.n_effective_config = 0; /* info shows the rest in parts */
		control_send(ctx->client, ctx->id, &response);
	}
	arena_fini(&arena);
}
