/* enable and disable: whether a plugin is to run, from now on. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "plugin/enabled.h"
#include "serve/answer.h"
#include "serve/control_private.h"

bool
control_enable(const struct control_ctx *ctx, struct plugin *plugin, bool enable)
{
	struct host *host = ctx->control->host;
	enum enabled wanted = enable ? ENABLED_YES : ENABLED_NO;
	char text[256];

	if (plugin->enabled == wanted)
		return true;
	if (enabled_store(host->state_fd, plugin_name(plugin), wanted)) {
		snprintf(text, sizeof(text),
			 "cannot be kept in the state directory: %s; nothing was changed",
			 strerror(errno));
		answer_request(ctx->client, ctx->id, PLUG_ESYS, text);
		return false;
	}
	plugin->enabled = wanted;
	events_add(&host->events, plugin_name(plugin), enable ? "enabled" : "disabled",
		   plugin->last_generation, 0,
		   enable ? "it is started, now and with plugd"
			  : "it is stopped, and not started again before plugctl enable");
	return true;
}

bool
control_may_start(const struct control_ctx *ctx, const struct plugin *plugin)
{
	char text[256];

	if (plugin->enabled != ENABLED_NO)
		return true;
	snprintf(text, sizeof(text), "is disabled; plugctl enable %s starts it",
		 plugin_name(plugin));
	answer_request(ctx->client, ctx->id, PLUG_ESTATE, text);
	return false;
}
