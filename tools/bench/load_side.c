#include "load_side.h"

#include <stdio.h>
#include <stdlib.h>

#define WARM_UP_NS 20000000 /* of each round: what waits learns how long to spin */
#define TIMEOUT_MS 30000

struct load_plan
load_side_plan(struct daemon *daemon, const char *plugin, enum load_plane plane)
{
	static const char message[BENCH_MESSAGE];

	return (struct load_plan){
		.runtime_dir = daemon->runtime_dir,
		.plugin = plugin,
		.method = "echo",
		.payload = {message, sizeof(message), "application/octet-stream"},
		.timeout_ms = TIMEOUT_MS,
		.plane = plane,
		.spin_us = -1,
		.callers = 1,
		.warm_up_ns = WARM_UP_NS,
		.count = 1,
		.check_size = true,
		.plugin_pid = daemon_plugin_pid(daemon, plugin),
		.plugd_pid = daemon->pid,
	};
}

void
load_side_open(const struct load_plan *plan, const char *what, struct load_side *ret)
{
	char why[LOAD_WHY_BYTES];

	*ret = (struct load_side){.what = what, .last = calloc(1, sizeof(*ret->last))};
	if (!ret->last)
		bench_die("out of memory");
	if (load_open(plan, &ret->load, why))
		bench_die("%s: %s", what, why);
}

void
load_side_close(struct load_side *side)
{
	load_close(side->load);
	free(side->last);
}

static void
run(struct load_side *side, size_t count)
{
	char why[LOAD_WHY_BYTES];

	load_set_count(side->load, count);
	if (load_round(side->load, side->last, why))
		bench_die("%s: %s", side->what, why);
	if (side->last->outcomes[PLUG_OK] != count)
		bench_die("%s: %llu of %zu calls succeeded: %s", side->what,
			  (unsigned long long)side->last->outcomes[PLUG_OK], count,
			  side->last->failure_text);
}

void
load_side_latency(void *arg, size_t count, struct histogram *ret)
{
	struct load_side *side = arg;

	run(side, count);
	histogram_merge(ret, &side->last->latency);
}

void
load_side_rate(void *arg, size_t count, struct samples *ret)
{
	struct load_side *side = arg;

	run(side, count);
	samples_add(ret, (double)count * 1e9 / (double)side->last->elapsed_ns);
}

void
load_side_note(const struct load_side *side, char *text, size_t size)
{
	const struct load_result *last = side->last;
	double calls = (double)last->calls;

	snprintf(text, size,
		 "processor time of a call: caller %.3g us, plugin %.3g us, plugd %.3g us; %.3g "
		 "copies in the caller",
		 last->cpu_ns[LOAD_CALLER] / calls / 1e3, last->cpu_ns[LOAD_PLUGIN] / calls / 1e3,
		 last->cpu_ns[LOAD_PLUGD] / calls / 1e3, (double)last->planes.copies / calls);
}
