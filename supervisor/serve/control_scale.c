/* scale: how many processes share a plugin's calls. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "plugin/scale.h"
#include "plugin/slots.h"
#include "serve/answer.h"
#include "serve/control_private.h"

bool
control_scale(const struct control_ctx *ctx, struct plugin *plugin, uint32_t instances)
{
	struct host *host = ctx->control->host;
	char text[128];

	if (instances > SCALE_MAX) {
		snprintf(text, sizeof(text), "%u instances are more than the %d that are possible",
			 instances, SCALE_MAX);
		answer_request(ctx->client, ctx->id, PLUG_EINVAL, text);
		return false;
	}
	plugin->scale = instances;
	if (scale_store(host->state_fd, plugin_name(plugin), instances))
		log_line(LOG_WARN, plugin_name(plugin), 0,
			 "how many instances are wanted cannot be kept: %s; it is in force until "
			 "plugd ends",
			 strerror(errno));
	events_add(&host->events, plugin_name(plugin), "scaled", plugin->last_generation, 0,
		   "%u instances%s", slots_wanted(plugin, SLOT_ACTIVE),
		   instances ? "" : ", as the manifest says");
	return true;
}

void
control_fill_scaled(Plug__ActResult *result, const struct plugin *plugin,
		    char detail[CONTROL_DETAIL_BYTES])
{
	unsigned wanted = slots_wanted(plugin, SLOT_ACTIVE);

	snprintf(detail, CONTROL_DETAIL_BYTES, "%u instance%s%s", wanted, wanted == 1 ? "" : "s",
		 plugin_is_down(plugin) ? " from its next start" : "");
	result->detail = detail;
}
