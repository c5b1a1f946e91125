/* What is measured of all processes of a plugin together, for plugctl top and metrics. */
#include "os/proc.h"
#include "serve/control_private.h"

/* Of both ways, in the order of the intervals' ends: those of channels are the shorter ones, but
 * the lists overlap; whoever reads them sorts. */
struct took_list {
	Plug__Took *items, **pointers;
	size_t count;
};

static void
add(struct took_list *list, uint64_t below_ns, uint64_t calls)
{
	Plug__Took *took = &list->items[list->count];

	if (!calls)
		return;
	plug__took__init(took);
	took->below_ns = below_ns;
	took->calls = calls;
	list->pointers[list->count++] = took;
}

static uint64_t
calls_in_bucket(const struct stats *stats, unsigned bucket)
{
	uint64_t calls = 0;

	for (size_t i = 0; i < stats->method_count; i++)
		calls += stats->methods[i]->buckets[bucket];
	return calls;
}

static void
add_channels(struct took_list *list, const struct plugin *plugin)
{
	struct data_stats data = plugin->data;
	struct plug_vitals vitals;

	LIST_FOREACH (in, &plugin->instances, struct instance, node)
		if (!in->exited && instance_vitals(in, &vitals))
			data_stats_add(&data, &vitals);
	for (unsigned i = 0; i < PLUG_VITALS_TOOK; i++)
		add(list, (uint64_t)PLUG_VITALS_TOOK_NS << i, data.took[i]);
}

static void
fill_processes(Plug__PluginStats *message, const struct plugin *plugin)
{
	struct proc_info proc;

	LIST_FOREACH (in, &plugin->instances, struct instance, node) {
		message->in_flight += in->in_flight;
		if (in->exited || proc_read(in->pid, &proc))
			continue;
		message->cpu_all_ms += proc.cpu_ms;
		message->rss_all_bytes += proc.rss_bytes;
		message->processes++;
	}
	message->cpu_total_ms = plugin->cpu_ended_ms + message->cpu_all_ms;
}

void
control_fill_took(Plug__PluginStats *message, const struct plugin *plugin, struct arena *arena)
{
	size_t most = STATS_BUCKETS + PLUG_VITALS_TOOK;
	struct took_list list = {
		.items = arena_array(arena, most, sizeof(Plug__Took)),
		.pointers = arena_array(arena, most, sizeof(Plug__Took *)),
	};

	fill_processes(message, plugin);
	if (!list.items || !list.pointers)
		return;
	for (unsigned i = 0; i < STATS_BUCKETS; i++)
		add(&list, stats_bucket_end_us(i) * 1000, calls_in_bucket(&plugin->stats, i));
	add_channels(&list, plugin);
	message->took = list.pointers;
	message->n_took = list.count;
}
