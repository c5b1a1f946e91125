#include "serve/control.h"

#include "serve/answer.h"
#include "serve/control_private.h"
#include "serve/permit.h"

plug_err
control_answer(struct client *client, uint64_t id, Plug__Response *response)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	env.id = id;
	env.body_case = PLUG__ENVELOPE__BODY_RESPONSE;
	env.response = response;
	return client_send(client, &env, NULL);
}

struct plugin *
control_plugin(const struct control_ctx *ctx, const char *name)
{
	struct plugin *plugin = registry_find(ctx->control->registry, plug_str(name));

	if (!plugin)
		answer_no_plugin(ctx->client, ctx->id, ctx->control->registry, plug_str(name),
				 false);
	return plugin;
}

void
control_request(struct control *control, struct client *client, uint64_t id,
		const Plug__Request *request)
{
	struct control_ctx ctx = {control, client, id};
	char denied[PERMIT_TEXT_BYTES];

	if (!id || ticket_find(client, id)) {
		client_close(client, "REQUEST with an id that is 0 or in use");
		return;
	}
	if (!permit_request(control->registry, client, request, denied)) {
		answer_request(client, id, PLUG_EDENIED, denied);
		return;
	}
	switch (request->body_case) {
	case PLUG__REQUEST__BODY_LIST:
		control_list(&ctx, request->list);
		return;
	case PLUG__REQUEST__BODY_STATUS:
		control_status(&ctx, request->status);
		return;
	case PLUG__REQUEST__BODY_ACT:
		control_act(&ctx, request->act);
		return;
	case PLUG__REQUEST__BODY_LOGS:
		control_logs(&ctx, request->logs);
		return;
	case PLUG__REQUEST__BODY_EVENTS:
		control_events(&ctx, request->events);
		return;
	case PLUG__REQUEST__BODY_CRASHES:
		control_crashes(&ctx, request->crashes);
		return;
	case PLUG__REQUEST__BODY_INFO:
		control_info(&ctx, request->info);
		return;
	case PLUG__REQUEST__BODY_STATS:
		control_stats(&ctx, request->stats);
		return;
	case PLUG__REQUEST__BODY_POISON:
		control_poison(&ctx, request->poison);
		return;
	case PLUG__REQUEST__BODY_GRAPH:
		control_graph(&ctx);
		return;
	case PLUG__REQUEST__BODY_COMMANDS:
		control_commands(&ctx, request->commands);
		return;
	case PLUG__REQUEST__BODY_MODELS:
		control_models(&ctx, request->models);
		return;
	case PLUG__REQUEST__BODY_CONFIG:
		control_config(&ctx, request->config);
		return;
	case PLUG__REQUEST__BODY_DIRS:
		control_dirs(&ctx, request->dirs);
		return;
	case PLUG__REQUEST__BODY_LOAD:
		control_load(&ctx, request->load);
		return;
	case PLUG__REQUEST__BODY_UPGRADE:
		control->daemon.upgrade(control->daemon.user, client, id,
					plug_str(request->upgrade->binary));
		return;
	default:
		answer_request(client, id, PLUG_EINVAL,
			       "a request that this plugd does not know: update it");
	}
}
