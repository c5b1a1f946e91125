#include "plugin/data_stats.h"

void
data_stats_add(struct data_stats *stats, const struct plug_vitals *vitals)
{
	stats->calls += vitals->channel_calls;
	stats->ok += vitals->channel_ok;
	stats->errors += vitals->channel_errors;
	stats->cancelled += vitals->channel_cancelled;
	stats->tensor_faults += vitals->tensor_faults;
	for (unsigned i = 0; i < PLUG_VITALS_TOOK; i++)
		stats->took[i] += vitals->channel_took[i];
}

uint64_t
data_stats_in_flight(const struct data_stats *stats)
{
	uint64_t answered = stats->ok + stats->errors;

	return stats->calls > answered ? stats->calls - answered : 0;
}

uint64_t
data_stats_quantile_ns(const struct data_stats *stats, double q)
{
	uint64_t all = 0, below = 0, wanted;

	for (unsigned i = 0; i < PLUG_VITALS_TOOK; i++)
		all += stats->took[i];
	wanted = (uint64_t)((double)all * q);
	for (unsigned i = 0; i < PLUG_VITALS_TOOK; i++) {
		below += stats->took[i];
		if (below > wanted || (below && below == all))
			return (uint64_t)PLUG_VITALS_TOOK_NS << i;
	}
	return 0;
}
