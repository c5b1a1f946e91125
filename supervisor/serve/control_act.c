/* start, stop, restart, reload: and wait until it is done. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "serve/answer.h"
#include "serve/change.h"
#include "serve/control_private.h"

void
control_waiter_free(struct waiter *waiter)
{
	config_ask_free(waiter->ask);
	list_remove(&waiter->node);
	ticket_close(&waiter->ticket);
	free(waiter);
}

/* Nobody waits any more; what was begun goes on. */
static void
on_abandoned(struct ticket *ticket)
{
	control_waiter_free(CONTAINER_OF(ticket, struct waiter, ticket));
}

static void
on_cancel(struct ticket *ticket)
{
	answer_request(ticket->client, ticket->id, PLUG_ECANCELLED,
		       "no longer waited for; it goes on");
	on_abandoned(ticket);
}

const struct ticket_ops control_waiter_ops = {
	.on_cancel = on_cancel,
	.on_client_gone = on_abandoned,
};

/* ---- the answer ---- */

static bool
reached(const struct plugin *plugin, Plug__Action action)
{
	if (action == PLUG__ACTION__ACTION_STOP)
		return plugin_all(plugin, SLOT_IN(STOPPED));
	if (action == PLUG__ACTION__ACTION_DISABLE || action == PLUG__ACTION__ACTION_UNLOAD)
		return plugin_is_down(plugin);
	if (action == PLUG__ACTION__ACTION_SCALE && plugin_is_down(plugin))
		return true; /* in force from its next start */
	return plugin_all_active(plugin, SLOT_IN(READY));
}

static void
send_result(struct client *client, uint64_t id, const struct plugin *plugin, Plug__Action action,
	    uint64_t since_ms)
{
	Plug__ActResult result = PLUG__ACT_RESULT__INIT;
	Plug__Response response = PLUG__RESPONSE__INIT;
	const struct instance *in = plugin_main_instance(plugin);
	const char *why = plugin_why(plugin);
	char message[1024] = "", next[192], detail[CONTROL_DETAIL_BYTES];

	response.message = message;
	if (action == PLUG__ACTION__ACTION_SCALE)
		control_fill_scaled(&result, plugin, detail);
	if (action == PLUG__ACTION__ACTION_RELOAD) {
		control_fill_reloaded(&response, &result, plugin);
	} else if (!reached(plugin, action)) {
		plugin_next_text(plugin, next, sizeof(next));
		snprintf(message, sizeof(message), "is %s%s%s; next: %s", plugin_word(plugin),
			 *why ? ": " : "", why, next);
		response.outcome = PLUG_EUNAVAILABLE;
	}
	result.name = (char *)plugin_name(plugin);
	result.state = (char *)plugin_word(plugin);
	result.generation = plugin->last_generation;
	result.pid = in ? in->pid : 0;
	result.took_ms = clock_mono_ms() - since_ms;
	response.body_case = PLUG__RESPONSE__BODY_ACT;
	response.act = &result;
	control_answer(client, id, &response);
}

static void
answer_waiters(struct plugin *plugin, bool reloads_only)
{
	LIST_FOREACH_SAFE (waiter, &plugin->waiters, struct waiter, node) {
		if (!waiter->begun || waiter->ask ||
		    (reloads_only && waiter->action != PLUG__ACTION__ACTION_RELOAD))
			continue;
		send_result(waiter->ticket.client, waiter->ticket.id, plugin, waiter->action,
			    waiter->since_ms);
		control_waiter_free(waiter);
	}
}

static struct waiter *
next_in_turn(struct plugin *plugin)
{
	LIST_FOREACH (waiter, &plugin->waiters, struct waiter, node)
		if (!waiter->begun)
			return waiter;
	return NULL;
}

/* What comes of it may come at once. */
void
control_begin_next(struct control *control, struct plugin *plugin)
{
	struct waiter *waiter = next_in_turn(plugin);
	char text[CONTROL_ERRORS_BYTES];
	plug_err err;

	if (!waiter || plugin->rollout || plugin->change)
		return;
	waiter->begun = true;
	if (waiter->ask) {
		if (!control_begin_config(control, waiter))
			control_begin_next(control, plugin);
		return;
	}
	err = control_begin_reload(control, plugin, waiter->version, waiter->in_place, text);
	if (!err)
		return;
	answer_request(waiter->ticket.client, waiter->ticket.id, err, *text ? text : NULL);
	control_waiter_free(waiter);
	control_begin_next(control, plugin);
}

void
control_on_settled(struct control *control, struct plugin *plugin)
{
	bool paused;

	change_on_settled(plugin);
	paused = plugin_is_paused(plugin) && !plugin->rollout;

	/* A reload ends before the last attempt to start what it brought does. */
	if (plugin_is_settled(plugin) || paused) {
		answer_waiters(plugin, paused);
		control_begin_next(control, plugin);
	}
	registry_changed(control->registry);
}

void
control_forget(struct plugin *plugin)
{
	LIST_FOREACH_SAFE (waiter, &plugin->waiters, struct waiter, node) {
		if (waiter->action == PLUG__ACTION__ACTION_UNLOAD)
			send_result(waiter->ticket.client, waiter->ticket.id, plugin,
				    waiter->action, waiter->since_ms);
		else
			answer_request(waiter->ticket.client, waiter->ticket.id, PLUG_EUNAVAILABLE,
				       "plugd ends, or the plugin's folder is gone");
		control_waiter_free(waiter);
	}
	change_free(plugin->change);
	plugin->change = NULL;
	control_forget_log(plugin);
}

struct waiter *
control_wait(const struct control_ctx *ctx, struct plugin *plugin)
{
	struct waiter *waiter = calloc(1, sizeof(*waiter));
	plug_err err = PLUG_ENOMEM;

	if (waiter) {
		list_init(&waiter->node);
		list_init(&waiter->ticket.node);
		err = ticket_open(&waiter->ticket, ctx->client, ctx->id, &control_waiter_ops,
				  ctx->control->tickets_per_client);
	}
	if (err) {
		free(waiter);
		answer_request(ctx->client, ctx->id, err, NULL);
		return NULL;
	}
	waiter->plugin = plugin;
	waiter->since_ms = clock_mono_ms();
	list_append(&plugin->waiters, &waiter->node);
	return waiter;
}

static struct waiter *
wait_for(const struct control_ctx *ctx, struct plugin *plugin, const Plug__ActRequest *request)
{
	struct waiter *waiter = control_wait(ctx, plugin);

	if (!waiter)
		return NULL;
	waiter->action = request->action;
	waiter->in_place = request->in_place;
	snprintf(waiter->version, sizeof(waiter->version), "%s", plug_str(request->version));
	waiter->begun = request->action != PLUG__ACTION__ACTION_RELOAD;
	return waiter;
}

/* ---- acting ---- */

void
control_join_error(void *context, const char *line)
{
	char *text = context;
	size_t used = strlen(text);

	snprintf(text + used, CONTROL_ERRORS_BYTES - used, "%s%s", used ? "\n" : "", line);
}

/* start --set: the new config, in force with this start; all of it or nothing. */
static bool
apply_set(const struct control_ctx *ctx, struct plugin *plugin, const Plug__ActRequest *request)
{
	const struct control_daemon *daemon = &ctx->control->daemon;
	char text[CONTROL_ERRORS_BYTES] = "";
	struct diags diags;
	struct spec *spec;

	if (!request->n_set)
		return true;
	if (!list_empty(&plugin->instances) || request->action != PLUG__ACTION__ACTION_START) {
		answer_request(ctx->client, ctx->id, PLUG_ESTATE,
			       !list_empty(&plugin->instances)
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
		diags_each(&diags, control_join_error, text);
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
	case PLUG__ACTION__ACTION_ENABLE:
		registry_start(control->registry, plugin);
		return;
	case PLUG__ACTION__ACTION_STOP:
	case PLUG__ACTION__ACTION_DISABLE:
	case PLUG__ACTION__ACTION_UNLOAD:
		registry_stop(plugin);
		return;
	case PLUG__ACTION__ACTION_SCALE:
		registry_changed(control->registry); /* it adjusts, then tells */
		plugin_slot_settled(plugin);
		return;
	default:
		registry_restart(control->registry, plugin);
	}
}

static void
send_begun(const struct control_ctx *ctx, const struct plugin *plugin)
{
	Plug__Response response = PLUG__RESPONSE__INIT;
	Plug__ActResult result = PLUG__ACT_RESULT__INIT;

	result.name = (char *)plugin_name(plugin);
	result.state = (char *)plugin_word(plugin);
	result.generation = plugin->last_generation;
	response.body_case = PLUG__RESPONSE__BODY_ACT;
	response.act = &result;
	control_answer(ctx->client, ctx->id, &response);
}

/* Who does not wait cannot wait for its turn either. */
static void
reload_plugin(const struct control_ctx *ctx, struct plugin *plugin, const Plug__ActRequest *request)
{
	char text[CONTROL_ERRORS_BYTES];
	plug_err err;

	if (!request->no_wait) {
		if (wait_for(ctx, plugin, request))
			control_begin_next(ctx->control, plugin);
		return;
	}
	if (plugin->rollout || plugin->change) {
		answer_request(ctx->client, ctx->id, PLUG_ESTATE,
			       "a reload, or a change of its configuration, is under way; nothing "
			       "else was begun");
		return;
	}
	err = control_begin_reload(ctx->control, plugin, plug_str(request->version),
				   request->in_place, text);
	if (err)
		answer_request(ctx->client, ctx->id, err, *text ? text : NULL);
	else
		send_begun(ctx, plugin);
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
	if ((request->action == PLUG__ACTION__ACTION_START ||
	     request->action == PLUG__ACTION__ACTION_RESTART) &&
	    !control_may_start(ctx, plugin))
		return;
	if (!apply_set(ctx, plugin, request))
		return;
	if (request->action == PLUG__ACTION__ACTION_LOG_LEVEL) {
		control_log_level(ctx, plugin, request->log_level);
		return;
	}
	if (request->action == PLUG__ACTION__ACTION_RELOAD) {
		reload_plugin(ctx, plugin, request);
		return;
	}
	if (request->action == PLUG__ACTION__ACTION_SCALE &&
	    !control_scale(ctx, plugin, request->instances))
		return;
	if ((request->action == PLUG__ACTION__ACTION_ENABLE ||
	     request->action == PLUG__ACTION__ACTION_DISABLE) &&
	    !control_enable(ctx, plugin, request->action == PLUG__ACTION__ACTION_ENABLE))
		return;
	if (request->action == PLUG__ACTION__ACTION_UNLOAD && !control_unload(ctx, plugin))
		return;
	if (!request->no_wait && !wait_for(ctx, plugin, request))
		return;
	act(ctx->control, plugin, request->action);
	if (request->no_wait)
		send_begun(ctx, plugin);
}

void
control_act(const struct control_ctx *ctx, const Plug__ActRequest *request)
{
	const struct control_daemon *daemon = &ctx->control->daemon;

	switch (request->action) {
	case PLUG__ACTION__ACTION_START:
	case PLUG__ACTION__ACTION_STOP:
	case PLUG__ACTION__ACTION_RESTART:
	case PLUG__ACTION__ACTION_RELOAD:
	case PLUG__ACTION__ACTION_SCALE:
	case PLUG__ACTION__ACTION_ENABLE:
	case PLUG__ACTION__ACTION_DISABLE:
	case PLUG__ACTION__ACTION_UNLOAD:
	case PLUG__ACTION__ACTION_LOG_LEVEL:
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
