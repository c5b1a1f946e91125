/* Size x callers x plane x spin: what a call costs in all of these, without a floor. */
#include <stdlib.h>

#include "plane_site.h"
#include "report.h"

#define DURATION_NS 500000000
#define QUICK_NS    50000000
#define WARM_UP_NS  100000000

static const size_t sizes[] = {64, 4096, 65536};

/* How calls are made. */
static const struct {
	unsigned callers, in_flight;
} ways[] = {{1, 0}, {4, 0}, {1, 32}};

/* Which way they go; spin_us of both sides, -1: as shipped. */
static const struct {
	enum load_plane plane;
	int64_t spin_us;
	const char *plugin;
} planes[] = {
	{LOAD_CONTROL, -1, PLANE_RUNNING},
	{LOAD_DATA, -1, PLANE_RUNNING},
	{LOAD_DATA, 0, PLANE_SLEEPING},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void
measure(struct plane_site *site, const struct load_plan *plan, struct load_result *result)
{
	char why[LOAD_WHY_BYTES];
	struct load *load;

	plane_site_unpin(site);
	if (load_open(plan, &load, why))
		bench_die("matrix: %s", why);
	plane_site_pin(site);
	if (load_round(load, result, why))
		bench_die("matrix: %s", why);
	report_add_load(site->bench->report, plan, result);
	load_close(load);
}

static void
measure_plane(struct plane_site *site, size_t at, void *payload, struct load_result *result)
{
	struct load_plan plan = load_side_plan(&site->daemon, planes[at].plugin, planes[at].plane);

	plan.spin_us = planes[at].spin_us;
	plan.count = 0;
	plan.duration_ns = site->bench->quick ? QUICK_NS : DURATION_NS;
	plan.warm_up_ns = WARM_UP_NS;
	plan.payload.data = payload;
	for (size_t size = 0; size < COUNT(sizes); size++)
		for (size_t way = 0; way < COUNT(ways); way++) {
			plan.payload.size = sizes[size];
			plan.callers = ways[way].callers;
			plan.in_flight = ways[way].in_flight;
			measure(site, &plan, result);
		}
}

void
row_matrix(const struct bench *bench)
{
	struct load_result *result = calloc(1, sizeof(*result));
	void *payload = calloc(1, sizes[COUNT(sizes) - 1]);
	struct plane_site site;

	if (!result || !payload)
		bench_die("out of memory");
	plane_site_open(bench, "matrix", &site);
	bench_progress("matrix: %zu measurements", COUNT(planes) * COUNT(sizes) * COUNT(ways));
	for (size_t at = 0; at < COUNT(planes); at++)
		measure_plane(&site, at, payload, result);
	plane_site_close(&site);
	free(payload);
	free(result);
}
