/* start, stop, restart: and wait until it is done. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "serve/answer.h"
#include "serve/control_private.h"

#define ERRORS_BYTES 4096

/* A request that is answered when its plugin has settled. */
struct waiter {
	struct list node; /* of plugin->waiters */
	struct ticket ticket;
	struct plugin *plugin;
	Plug__Action action;
	uint64_t since_ms;
};

static void
waiter_free(struct waiter *waiter)
{
	list_remove(&waiter->node);
	ticket_close(&waiter->ticket);
	free(waiter);
}

/* Nobody waits any more; what was begun goes on. */
static void
on_abandoned(struct ticket *ticket)
{
	waiter_free(CONTAINER_OF(ticket, struct waiter, ticket));
}

static void
on_cancel(struct ticket *ticket)
{
	answer_request(ticket->client, ticket->id, PLUG_ECANCELLED,
		       "no longer waited for; it goes on");
	on_abandoned(ticket);
}

static const struct ticket_ops waiter_ticket_ops = {
	.on_cancel = on_cancel,
	.on_client_gone = on_abandoned,
};

/* ---- the answer ---- */

static bool
reached(const struct plugin *plugin, Plug__Action action)
{
	if (action == PLUG__ACTION__ACTION_STOP)
		return plugin->slot == SS_STOPPED;
	return plugin->slot == SS_READY;
}

static void
send_result(struct client *client, uint64_t id, const struct plugin *plugin, Plug__Action action,
	    uint64_t since_ms)
{
	Plug__ActResult result = PLUG__ACT_RESULT__INIT;
	Plug__Response response = PLUG__RESPONSE__INIT;
	char message[1024] = "", next[192];

	if (!reached(plugin, action)) {
		plugin_next_text(plugin, next, sizeof(next));
		snprintf(message, sizeof(message), "is %s%s%s; next: %s", plugin_word(plugin),
			 *plugin->why ? ": " : "", plugin->why, next);
		response.outcome = PLUG_EUNAVAILABLE;
	}
	response.message = message;
	result.name = (char *)plugin_name(plugin);
	result.state = (char *)plugin_word(plugin);
	result.generation = plugin->last_generation;
	result.pid = plugin->instance ? plugin->instance->pid : 0;
	result.took_ms = clock_mono_ms() - since_ms;
	response.body_case = PLUG__RESPONSE__BODY_ACT;
	response.act = &result;
	control_send(client, id, &response);
}

void
control_on_settled(struct control *control, struct plugin *plugin)
{
	LIST_FOREACH_SAFE (waiter, &plugin->waiters, struct waiter, node) {
		send_result(waiter->ticket.client, waiter->ticket.id, plugin, waiter->action,
			    waiter->since_ms);
		waiter_free(waiter);
	}
	registry_changed(control->registry);
}

void
control_forget(struct plugin *plugin)
{
	LIST_FOREACH_SAFE (waiter, &plugin->waiters, struct waiter, node) {
		answer_request(waiter->ticket.client, waiter->ticket.id, PLUG_EUNAVAILABLE,
			       "plugd ends, or the plugin's folder is gone");
		waiter_free(waiter);
	}
	control_forget_log(plugin);
}

static bool
wait_for(const struct control_ctx *ctx, struct plugin *plugin, Plug__Action action)
{
	struct waiter *waiter = calloc(1, sizeof(*waiter));
	plug_err err = PLUG_ENOMEM;

	if (waiter) {
		list_init(&waiter->node);
		list_init(&waiter->ticket.node);
		err = ticket_open(&waiter->ticket, ctx->client, ctx->id, &waiter_ticket_ops,
				  ctx->control->tickets_per_client);
	}
	if (err) {
		free(waiter);
		answer_request(ctx->client, ctx->id, err, NULL);
		return false;
	}
	waiter->plugin = plugin;
	waiter->action = action;
	waiter->since_ms = clock_mono_ms();
	list_append(&plugin->waiters, &waiter->node);
	return true;
}

/* ---- acting ---- */

static void
join_error(void *context, const char *line)
{
	char *text = context;
	size_t used = strlen(text);

	snprintf(text + used, ERRORS_BYTES - used, "%s%s", used ? "\n" : "", line);
}

/* start --set: the new config, in force with this start; all of it or nothing. */
static bool
apply_set(const struct control_ctx *ctx, struct plugin *plugin, const Plug__ActRequest *request)
{
	const struct control_daemon *daemon = &ctx->control->daemon;
	char text[ERRORS_BYTES] = "";
	struct diags diags;
	struct spec *spec;

	if (!request->n_set)
		return true;
	if (plugin->instance || request->action != PLUG__ACTION__ACTION_START) {
		answer_request(ctx->client, ctx->id, PLUG_ESTATE,
			       plugin->instance
				       ? "is running: --set is for a start; stop it first. Nothing "
					 "was changed"
				       : "set is for a start only. Nothing was changed");
		return false;
	}
	diags_init(&diags);
	spec = daemon->respec(daemon->user, plugin->spec, request->set, request->n_set, &diags);
	if (spec)
		plugin_update(plugin, spec);
	else
		diags_each(&diags, join_error, text);
	diags_fini(&diags);
	if (!spec)
		answer_request(ctx->client, ctx->id, PLUG_EINVAL, text);
	return spec != NULL;
}

static void
act(struct control *control, struct plugin *plugin, Plug__Action action)
{
	switch (action) {
	case PLUG__ACTION__ACTION_START:
		registry_start(control->registry, plugin);
		return;
	case PLUG__ACTION__ACTION_STOP:
		plugin->start_wanted = false;
		plugin_handle(plugin, SE_STOP);
		return;
	default:
		plugin_handle(plugin, SE_RESTART);
	}
}

static void
act_on_plugin(const struct control_ctx *ctx, const Plug__ActRequest *request)
{
	struct plugin *plugin = control_plugin(ctx, request->name);

	if (!plugin)
		return;
	if (ctx->control->host->shutting_down && request->action != PLUG__ACTION__ACTION_STOP) {
		answer_request(ctx->client, ctx->id, PLUG_ESTATE, "plugd is shutting down");
		return;
	}
	if (!apply_set(ctx, plugin, request))
		return;
	if (!request->no_wait && !wait_for(ctx, plugin, request->action))
		return;
	act(ctx->control, plugin, request->action);
	if (request->no_wait) {
		Plug__Response response = PLUG__RESPONSE__INIT;
		Plug__ActResult result = PLUG__ACT_RESULT__INIT;

		result.name = (char *)plugin_name(plugin);
		result.state = (char *)plugin_word(plugin);
		result.generation = plugin->last_generation;
		response.body_case = PLUG__RESPONSE__BODY_ACT;
		response.act = &result;
		control_send(ctx->client, ctx->id, &response);
	}
}

void
control_act(const struct control_ctx *ctx, const Plug__ActRequest *request)
{
	const struct control_daemon *daemon = &ctx->control->daemon;

	switch (request->action) {
	case PLUG__ACTION__ACTION_START:
	case PLUG__ACTION__ACTION_STOP:
	case PLUG__ACTION__ACTION_RESTART:
		act_on_plugin(ctx, request);
		return;
	case PLUG__ACTION__ACTION_SHUTDOWN:
		answer_request(ctx->client, ctx->id, PLUG_OK, "plugd stops its plugins and ends");
		daemon->shutdown(daemon->user);
		return;
	case PLUG__ACTION__ACTION_REREAD: {
		Plug__DaemonStatus status = PLUG__DAEMON_STATUS__INIT;

		daemon->reread(daemon->user);
		daemon->describe(daemon->user, &status);
		answer_request(ctx->client, ctx->id,
			       *plug_str(status.config_error) ? PLUG_EINVAL : PLUG_OK,
			       *plug_str(status.config_error) ? status.config_error : "re-read");
		return;
	}
	default:
		answer_request(ctx->client, ctx->id, PLUG_EINVAL,
			       "an action that this plugd does not know: update it");
	}
}
