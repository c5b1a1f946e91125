#include "load_plane.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"

const char *
load_plane_name(enum load_plane plane)
{
	static const char *const names[] = {
		[LOAD_AUTO] = "auto",
		[LOAD_CONTROL] = "control",
		[LOAD_DATA] = "data",
	};

	return names[plane];
}

/* Set, or as it was before: a copy, or NULL when it was not set. */
static void
restore(char *before)
{
	if (before)
		setenv(PLUG_ENV_SPIN_US, before, 1);
	else
		unsetenv(PLUG_ENV_SPIN_US);
	free(before);
}

plug_err
load_plane_open(const char *runtime_dir, enum load_plane plane, int64_t spin_us,
		struct plug_client **ret)
{
	const char *set = getenv(PLUG_ENV_SPIN_US);
	char *before = set ? strdup(set) : NULL, text[24];
	struct plug_client_config config = {
		.size = sizeof(config),
		.runtime_dir = runtime_dir,
		.name = "plug-load",
		.data_plane = plane == LOAD_CONTROL ? PLUG_DATA_PLANE_OFF : PLUG_DATA_PLANE_AUTO,
	};
	plug_err err;

	snprintf(text, sizeof(text), "%lld", (long long)spin_us);
	if (spin_us >= 0)
		setenv(PLUG_ENV_SPIN_US, text, 1);
	err = plug_client_open(&config, ret);
	restore(before);
	return err;
}

static struct plug_client_stats
stats_of(const struct plug_client *client)
{
	struct plug_client_stats stats = {.size = sizeof(stats)};

	plug_client_stats(client, &stats);
	return stats;
}

void
load_plane_count(const struct plug_client *client, struct load_counters *counters)
{
	struct plug_client_stats stats = stats_of(client);

	counters->data_calls += stats.calls_data;
	counters->control_calls += stats.calls_control;
	counters->copies += stats.copies;
	counters->copied_bytes += stats.bytes_copied;
	counters->wakes_sent += stats.wakes_sent;
	counters->wakes_received += stats.wakes_received;
	counters->spin_hits += stats.spin_hits;
	counters->spin_misses += stats.spin_misses;
	counters->resent += stats.resends;
	counters->moved += stats.moves;
	counters->violations += stats.violations;
}

struct load_counters
load_counters_since(const struct load_counters *after, const struct load_counters *before)
{
	return (struct load_counters){
		.data_calls = after->data_calls - before->data_calls,
		.control_calls = after->control_calls - before->control_calls,
		.copies = after->copies - before->copies,
		.copied_bytes = after->copied_bytes - before->copied_bytes,
		.wakes_sent = after->wakes_sent - before->wakes_sent,
		.wakes_received = after->wakes_received - before->wakes_received,
		.spin_hits = after->spin_hits - before->spin_hits,
		.spin_misses = after->spin_misses - before->spin_misses,
		.resent = after->resent - before->resent,
		.moved = after->moved - before->moved,
		.violations = after->violations - before->violations,
	};
}

bool
load_plane_ready(const struct plug_client *client)
{
	return stats_of(client).channels_open > 0;
}
