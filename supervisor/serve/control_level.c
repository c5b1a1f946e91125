/* log-level: which log calls of a plugin are kept. */
#include "plugin/host.h"
#include "serve/answer.h"
#include "serve/control_private.h"

#define LEVEL_MAX 3

static const char *const level_names[] = {"debug", "info", "warning", "error"};

void
control_log_level(const struct control_ctx *ctx, struct plugin *plugin, uint32_t level)
{
	struct host *host = ctx->control->host;

	if (level > LEVEL_MAX) {
		answer_request(ctx->client, ctx->id, PLUG_EINVAL,
			       "a level is 0 (debug) to 3 (error)");
		return;
	}
	plugin_set_log_level(plugin, level);
	events_add(&host->events, plugin_name(plugin), "log-level", plugin->last_generation, 0,
		   "log calls are kept from %s on, until plugd ends", level_names[level]);
	answer_request(ctx->client, ctx->id, PLUG_OK, level_names[level]);
}
