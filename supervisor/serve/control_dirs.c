/* Plugin directories, and plugins that are loaded by their path. */
#include "serve/answer.h"
#include "serve/control_private.h"

static void
send_dirs(const struct control_ctx *ctx)
{
	const struct control_daemon *daemon = &ctx->control->daemon;
	Plug__Response response = PLUG__RESPONSE__INIT;
	Plug__Dirs dirs = PLUG__DIRS__INIT;
	struct arena arena;

	arena_init(&arena, CONTROL_ARENA_BYTES);
	daemon->list_dirs(daemon->user, &dirs, &arena);
	response.body_case = PLUG__RESPONSE__BODY_DIRS;
	response.dirs = &dirs;
	if (control_answer(ctx->client, ctx->id, &response) == PLUG_ETOOLARGE)
		answer_request(ctx->client, ctx->id, PLUG_ETOOLARGE,
			       "the directories do not fit into one message");
	arena_fini(&arena);
}

static bool
is_ending(const struct control_ctx *ctx)
{
	if (ctx->control->host->shutting_down)
		answer_request(ctx->client, ctx->id, PLUG_ESTATE, "plugd is shutting down");
	return ctx->control->host->shutting_down;
}

void
control_dirs(const struct control_ctx *ctx, const Plug__DirsRequest *request)
{
	const struct control_daemon *daemon = &ctx->control->daemon;
	struct reason why = {""};
	plug_err err;

	if (request->action == PLUG__DIRS_ACTION__DIRS_LIST) {
		send_dirs(ctx);
		return;
	}
	if (is_ending(ctx))
		return;
	err = daemon->change_dirs(daemon->user, request, &why);
	if (err)
		answer_request(ctx->client, ctx->id, err, why.text);
	else
		send_dirs(ctx);
}

/* What is found is started as by its name, and told so. */
void
control_load(const struct control_ctx *ctx, const Plug__LoadRequest *request)
{
	const struct control_daemon *daemon = &ctx->control->daemon;
	Plug__ActRequest act = PLUG__ACT_REQUEST__INIT;
	struct reason why = {""};
	struct plugin *plugin;
	plug_err err;

	if (is_ending(ctx))
		return;
	plugin = daemon->load(daemon->user, plug_str(request->path), &err, &why);
	if (!plugin) {
		answer_request(ctx->client, ctx->id, err, why.text);
		return;
	}
	act.action = PLUG__ACTION__ACTION_START;
	act.name = (char *)plugin_name(plugin);
	act.no_wait = request->no_wait;
	control_act(ctx, &act);
}

/* Whoever waits is answered when it is down, or by control_forget(). */
bool
control_unload(const struct control_ctx *ctx, struct plugin *plugin)
{
	const struct control_daemon *daemon = &ctx->control->daemon;
	struct reason why = {""};
	plug_err err = daemon->unload(daemon->user, plugin, &why);

	if (err)
		answer_request(ctx->client, ctx->id, err, why.text);
	return !err;
}
