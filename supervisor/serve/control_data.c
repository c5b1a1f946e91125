/* The data plane of a plugin, for status and stats. */
#include "serve/control_private.h"

static void
add_living(struct data_stats *stats, struct data_stats *now, const struct plugin *plugin)
{
	struct plug_vitals vitals;

	LIST_FOREACH (in, &plugin->instances, struct instance, node) {
		if (in->exited || !instance_vitals(in, &vitals))
			continue; /* counted when it ended */
		data_stats_add(stats, &vitals);
		data_stats_add(now, &vitals);
	}
}

void
control_fill_data(Plug__DataPlane *message, const struct plugin *plugin)
{
	struct data_stats stats = plugin->data, now = {0};

	plug__data_plane__init(message);
	LIST_FOREACH (in, &plugin->instances, struct instance, node) {
		message->channels += in->channel_count;
		message->offered |= in->channels_offered > 0;
	}
	message->opened = plugin->channels_opened;
	message->violations = plugin->channel_violations;
	add_living(&stats, &now, plugin);
	message->calls = stats.calls;
	message->ok = stats.ok;
	message->errors = stats.errors;
	message->cancelled = stats.cancelled;
	message->tensor_faults = stats.tensor_faults;
	message->in_flight = data_stats_in_flight(&now);
	message->p50_ns = data_stats_quantile_ns(&stats, 0.5);
	message->p90_ns = data_stats_quantile_ns(&stats, 0.9);
	message->p99_ns = data_stats_quantile_ns(&stats, 0.99);
}
