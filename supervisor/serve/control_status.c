/* status NAME: all about one plugin. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "os/proc.h"
#include "serve/answer.h"
#include "serve/change.h"
#include "serve/control_private.h"
#include "serve/held.h"

static void
fill_call(Plug__CallInFlight *message, struct crash_call *call)
{
	plug__call_in_flight__init(message);
	message->id = call->id;
	message->method = call->method;
	message->age_ms = call->age_ms;
	message->hung = call->hung;
	message->executing = call->executing;
}

/* What all its processes execute; as much of it as a crash report would list. */
static void
fill_calls(const struct control_ctx *ctx, Plug__PluginStatus *status, struct plugin *plugin,
	   struct crash_call *calls, Plug__CallInFlight *messages, Plug__CallInFlight **list)
{
	struct host *host = ctx->control->host;
	size_t used = 0;

	LIST_FOREACH (in, &plugin->instances, struct instance, node) {
		size_t room = CRASH_CALLS - used;
		size_t count = host->ops->describe_calls(host->ops_user, in, calls + used, room);

		used += count < room ? count : room;
	}
	for (size_t i = 0; i < used; i++) {
		fill_call(&messages[i], &calls[i]);
		list[i] = &messages[i];
	}
	status->calls = list;
	status->n_calls = used;
}

/* ---- its instances ---- */

static const char *
role_of(const struct slot *slot, const struct instance *in)
{
	if (in && in == slot->next)
		return "new";
	if (in && in != slot->current)
		return "old";
	return slot->kind == SLOT_SPARE ? "standby" : "active";
}

static void
fill_process(Plug__InstanceStatus *message, const struct instance *in)
{
	struct proc_info proc;

	message->pid = in->pid;
	message->generation = in->generation;
	message->version = (char *)in->spec->version;
	message->uptime_ms = clock_mono_ms() - in->spawned_ms;
	message->in_flight = in->in_flight;
	message->hung_calls = in->hang.overdue;
	message->denied = in->denied;
	message->limits = (char *)in->confine.text;
	if (!in->exited && !proc_read(in->pid, &proc))
		message->rss_bytes = proc.rss_bytes;
}

static Plug__InstanceStatus *
add_instance(Plug__PluginStatus *status, struct arena *arena, const struct slot *slot,
	     const struct instance *in)
{
	Plug__InstanceStatus *message = arena_array(arena, 1, sizeof(*message));
	char label[SLOT_LABEL_BYTES];

	if (!message)
		return NULL;
	slot_label(slot, label);
	plug__instance_status__init(message);
	message->name = arena_strdup(arena, label);
	message->role = (char *)role_of(slot, in);
	if (in)
		fill_process(message, in);
	status->instances[status->n_instances++] = message;
	return message;
}

static void
add_slot(Plug__PluginStatus *status, struct arena *arena, const struct slot *slot)
{
	Plug__InstanceStatus *message = add_instance(status, arena, slot, slot->current);
	char next[192];

	if (!message)
		return;
	slot_next_text(slot, next, sizeof(next));
	message->state = (char *)slot_word(slot);
	message->why = (char *)slot_why(slot);
	message->next = arena_strdup(arena, next);
	message->failures = slot->backoff.failures;
}

/* The new process of a reload, and those that finish what they have. */
static void
add_others(Plug__PluginStatus *status, struct arena *arena, const struct slot *slot)
{
	LIST_FOREACH (in, &slot->plugin->instances, struct instance, node) {
		Plug__InstanceStatus *message = NULL;

		if (in->slot == slot && in != slot->current)
			message = add_instance(status, arena, slot, in);
		if (message)
			message->state = (char *)instance_word(in);
	}
}

static void
fill_instances(Plug__PluginStatus *status, const struct plugin *plugin, struct arena *arena)
{
	size_t most = 0;

	LIST_FOREACH (slot, &plugin->slots, struct slot, node)
		most++;
	LIST_FOREACH (in, &plugin->instances, struct instance, node)
		most++;
	status->instances = arena_array(arena, most, sizeof(Plug__InstanceStatus *));
	if (!status->instances)
		return;
	LIST_FOREACH (slot, &plugin->slots, struct slot, node) {
		add_slot(status, arena, slot);
		add_others(status, arena, slot);
	}
}

/* ---- all of it ---- */

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

struct status_texts {
	char next[192], reload[1024];
};

static void
fill_reload(Plug__PluginStatus *status, const struct plugin *plugin, struct status_texts *texts)
{
	const struct rollout *rollout = plugin->rollout;
	const struct rollout_result *last = &plugin->reloaded;

	if (rollout)
		snprintf(texts->reload, sizeof(texts->reload), "under way, to version %s%s%s",
			 rollout->target->spec->version, *rollout->how ? ", " : "", rollout->how);
	else
		snprintf(texts->reload, sizeof(texts->reload), "%s%s",
			 last->outcome == PLUG_EPLUGIN ? "rolled back: " : "",
			 plug_str(last->text));
	status->reload = texts->reload;
}

static void
fill_plugin(Plug__PluginStatus *status, const struct control_ctx *ctx, const struct plugin *plugin,
	    struct status_texts *texts)
{
	struct plugin *waits_for =
		plugin->start_wanted ? registry_waits_for(ctx->control->registry, plugin) : NULL;
	const struct slot *face = plugin_face(plugin);
	uint64_t now = clock_mono_ms();

	if (plugin->start_wanted && !waits_for)
		waits_for = registry_comes_after(ctx->control->registry, plugin);
	plugin_next_text(plugin, texts->next, sizeof(texts->next));
	if (waits_for)
		snprintf(texts->next, sizeof(texts->next), "starts when %s is ready",
			 plugin_name(waits_for));
	fill_reload(status, plugin, texts);
	status->why = (char *)plugin_why(plugin);
	status->next = texts->next;
	status->path = (char *)plugin->spec->path;
	status->restart_policy = (char *)restart_word(plugin->spec->restart);
	status->failures = face->backoff.failures;
	status->failure_limit = face->backoff.max_failures;
	if (face->state == SS_BACKOFF && face->retry_at_ms > now)
		status->retry_in_ms = face->retry_at_ms - now;
	status->queued = plugin->queued + held_count(plugin);
	status->autostart = plugin_starts_by_itself(plugin);
	status->scale = plugin->scale;
	if (face->current) {
		status->sdk = face->current->sdk;
		status->protocol = session_protocol(face->current->session);
	}
}

void
control_status(const struct control_ctx *ctx, const Plug__StatusRequest *request)
{
	Plug__PluginStatus status = PLUG__PLUGIN_STATUS__INIT;
	Plug__PluginLine line;
	Plug__Response response = PLUG__RESPONSE__INIT;
	Plug__CallInFlight messages[CRASH_CALLS], *list[CRASH_CALLS];
	Plug__DataPlane data;
	struct crash_call calls[CRASH_CALLS];
	struct plugin *plugin;
	struct status_texts texts;
	struct place place;
	struct arena arena;

	if (!*plug_str(request->name)) {
		control_daemon_status(ctx);
		return;
	}
	plugin = control_plugin(ctx, request->name);
	if (!plugin)
		return;
	arena_init(&arena, 256 * 1024);
	control_fill_line(&line, ctx->control, plugin, &place);
	status.line = &line;
	fill_plugin(&status, ctx, plugin, &texts);
	status.log_level = plugin_log_level(plugin);
	status.debug = plugin->spec->debug;
	status.config_change = change_text(plugin->change, &arena);
	fill_calls(ctx, &status, plugin, calls, messages, list);
	control_fill_data(&data, plugin);
	status.data_plane = &data;
	status.effective_config = config_lines(plugin->spec, &arena);
	status.n_effective_config = status.effective_config ? plugin->spec->config_count : 0;
	fill_instances(&status, plugin, &arena);
	response.body_case = PLUG__RESPONSE__BODY_PLUGIN;
	response.plugin = &status;
	if (control_answer(ctx->client, ctx->id, &response) == PLUG_ETOOLARGE) {
		status.n_effective_config = 0; /* info shows the rest in parts */
		control_answer(ctx->client, ctx->id, &response);
	}
	arena_fini(&arena);
}
