/* list, and the status of plugd itself: what there is. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "os/proc.h"
#include "plugin/slots.h"
#include "serve/answer.h"
#include "serve/control_private.h"

static void
count_slots(Plug__PluginLine *line, const struct plugin *plugin)
{
	LIST_FOREACH (slot, &plugin->slots, struct slot, node) {
		bool ready = slot->current && slot->current->state == PS_READY &&
			     slot->current->hang.kind <= HANG_SUSPECT &&
			     !slot->current->hang.wedged;

		if (slot->kind == SLOT_ACTIVE)
			line->ready += ready;
		else
			line->standby_ready += ready;
	}
	line->instances = slots_wanted(plugin, SLOT_ACTIVE);
	line->standby = slots_wanted(plugin, SLOT_SPARE);
}

void
control_fill_line(Plug__PluginLine *line, const struct control *control,
		  const struct plugin *plugin, struct place *place)
{
	const struct instance *in = plugin_main_instance(plugin);
	struct proc_info proc;

	plug__plugin_line__init(line);
	line->name = (char *)plugin_name(plugin);
	line->version = (char *)plugin->spec->version;
	line->type = (char *)plugin->spec->type;
	line->state = (char *)plugin_word(plugin);
	line->generation = plugin->last_generation;
	line->restarts = plugin->restarts;
	line->reason = (char *)plugin_why(plugin);
	line->category = (char *)control_category(control, plugin, place);
	line->store = (char *)place_store_name(place->store);
	line->enabled = plugin->enabled;
	line->is_new = plugin_is_new(plugin);
	line->single = plugin->spec->manifest->single;
	count_slots(line, plugin);
	LIST_FOREACH (one, &plugin->instances, struct instance, node)
		if (!one->exited && !proc_read(one->pid, &proc))
			line->rss_bytes += proc.rss_bytes;
	if (!in)
		return;
	line->pid = in->pid;
	line->uptime_ms = clock_mono_ms() - in->spawned_ms;
}

/* ---- list ---- */

#define LINES_AT_A_TIME 64
#define BAD_AT_A_TIME   8
#define BAD_ERRORS      16
#define ENTRY_OVERHEAD  64 /* of an entry on the wire, besides its longer texts */

static void
send_lines(const struct control_ctx *ctx, Plug__ListResponse *list, bool more)
{
	Plug__Response response = PLUG__RESPONSE__INIT;

	response.more = more;
	response.body_case = PLUG__RESPONSE__BODY_LIST;
	response.list = list;
	control_answer(ctx->client, ctx->id, &response);
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
	       strlen(line->category) + 3 * ENTRY_OVERHEAD;
}

void
control_list(const struct control_ctx *ctx, const Plug__ListRequest *request)
{
	Plug__PluginLine lines[LINES_AT_A_TIME], *line_list[LINES_AT_A_TIME];
	struct place places[LINES_AT_A_TIME];
	Plug__BadPlugin bads[BAD_AT_A_TIME], *bad_list[BAD_AT_A_TIME];
	Plug__ListResponse list = PLUG__LIST_RESPONSE__INIT;
	size_t used = 0;

	list.plugins = line_list;
	list.bad = bad_list;
	LIST_FOREACH (plugin, &ctx->control->registry->plugins, struct plugin, node) {
		Plug__PluginLine line;
		struct place place;

		if (!control_matches(ctx->control, plugin, request))
			continue;
		control_fill_line(&line, ctx->control, plugin, &place);
		make_room(ctx, &list, &used, line_bytes(&line));
		places[list.n_plugins] = place;
		if (line.category == place.category)
			line.category = places[list.n_plugins].category;
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
	struct proc_info proc;

	status->pid = getpid();
	status->plugins = (uint32_t)registry->count;
	LIST_FOREACH (plugin, &registry->plugins, struct plugin, node)
		status->running += !list_empty(&plugin->instances);
	status->clients = doorman_client_count(ctx->client->doorman);
	if (!proc_read(getpid(), &proc)) {
		status->rss_bytes = proc.rss_bytes;
		status->cpu_ms = proc.cpu_ms;
	}
	status->calls = ctx->control->router->calls;
	ctx->control->daemon.describe(ctx->control->daemon.user, status);
}

void
control_daemon_status(const struct control_ctx *ctx)
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
	if (control_answer(ctx->client, ctx->id, &response) == PLUG_ETOOLARGE)
		answer_request(ctx->client, ctx->id, PLUG_ETOOLARGE,
			       "the status does not fit into one message");
}
