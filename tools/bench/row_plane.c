/* Calls over a channel: with both sides running, with both asleep between them, and many under
 * way; an open channel that nobody uses. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "peer.h"
#include "plane_site.h"
#include "report.h"

#define CALLS_RUNNING  100000
#define CALLS_SLEEPING 5000
#define CALLS_FLOOD    400000
#define CALLS_IOX      20000
#define CALLS_GO       1000
#define IN_FLIGHT      32
#define IDLE_S         20
#define IDLE_QUICK_S   2

static void
add_reach(const struct bench *bench, const struct row *row, enum reach_of of, double reach)
{
	struct row one = *row;

	one.reach_of = of;
	one.reach = reach;
	report_add(bench->report, &one);
}

/* How far the slow calls are from the others: a row of its own. */
static void
add_spread(const struct bench *bench, const struct row *row)
{
	struct row spread = {.name = row->name,
			     .unit = "p99/p50",
			     .reach_of = REACH_VALUE,
			     .reach = 2,
			     .rounds = row->rounds,
			     .count = row->count,
			     .value = PERCENTILES_NONE,
			     .floor = PERCENTILES_NONE};

	snprintf(spread.what, sizeof(spread.what), "%s", row->what);
	snprintf(spread.floor_name, sizeof(spread.floor_name), "%s", row->floor_name);
	spread.value.p50 = row->value.spread;
	spread.floor.p50 = row->floor.spread;
	spread.ratio = spread.ratio_low = spread.ratio_high = row->value.spread / row->floor.spread;
	spread.rounds = 1;
	report_add(bench->report, &spread);
}

/* ---- peers ---- */

struct iox_side {
	struct iox_peer peer;
	size_t size;
};

struct go_side {
	struct go_peer peer;
	size_t size;
};

static void
iox_round(void *arg, size_t count, struct samples *ret)
{
	struct iox_side *side = arg;

	samples_add(ret, iox_peer_call(&side->peer, side->size, count).p50);
}

static void
go_round(void *arg, size_t count, struct samples *ret)
{
	struct go_side *side = arg;

	samples_add(ret, go_peer_call(&side->peer, side->size, count).p50);
}

static void
beside_peers(const struct bench *bench, const struct side *side, const struct row *row)
{
	static struct iox_side iox = {.size = BENCH_MESSAGE};
	static struct go_side go = {.size = BENCH_MESSAGE};
	struct side iox_floor = {"iceoryx, polling", iox_round, &iox,
				 bench_count(bench, CALLS_IOX)};
	struct side go_floor = {"go-plugin gRPC", go_round, &go, bench_count(bench, CALLS_GO)};
	struct row one = *row;
	char why[PEER_WHY_BYTES];

	one.reach_of = REACH_NONE;
	if (iox_peer_open(bench, &iox.peer, why)) {
		bench_compare(bench, &iox_floor, side, &one);
		report_add(bench->report, &one);
		iox_peer_close(&iox.peer);
	} else {
		bench_progress("%s", why);
	}
	if (go_peer_build(bench, &go.peer, why)) {
		bench_compare(bench, &go_floor, side, &one);
		report_add(bench->report, &one);
	} else {
		bench_progress("%s", why);
	}
}

/* ---- rows ---- */

static void
running(const struct bench *bench, struct plane_site *site)
{
	size_t count = bench_count(bench, CALLS_RUNNING);
	struct load_plan plan = load_side_plan(&site->daemon, PLANE_RUNNING, LOAD_DATA);
	struct floor_side bare = {&site->floor, FLOOR_SPIN, BENCH_MESSAGE};
	struct load_side load;
	struct side floor = {.name = "bare memory, spinning",
			     .arg = &bare,
			     .count = count,
			     .many = floor_side_latency};
	struct side side = {
		.name = "plugd", .arg = &load, .count = count, .many = load_side_latency};
	struct row row = {.name = "plane",
			  .what = "call of 64 B over a channel, both sides running",
			  .unit = "us"};

	plane_site_unpin(site);
	load_side_open(&plan, row.what, &load);
	plane_site_pin(site);
	bench_compare(bench, &floor, &side, &row);
	load_side_note(&load, row.note, sizeof(row.note));
	add_reach(bench, &row, REACH_RATIO, 3);
	row.note[0] = '\0';
	add_reach(bench, &row, REACH_VALUE, 1.2);
	add_spread(bench, &row);
	beside_peers(bench, &side, &row);
	load_side_close(&load);
}

static void
sleeping(const struct bench *bench, struct plane_site *site)
{
	size_t count = bench_count(bench, CALLS_SLEEPING);
	struct load_plan plan = load_side_plan(&site->daemon, PLANE_SLEEPING, LOAD_DATA);
	struct floor_side bare = {&site->floor, FLOOR_SOCKET, BENCH_MESSAGE};
	struct load_side load;
	struct side floor = {.name = "bare Unix socket",
			     .arg = &bare,
			     .count = count,
			     .many = floor_side_latency};
	struct side side = {
		.name = "plugd", .arg = &load, .count = count, .many = load_side_latency};
	struct row row = {.name = "plane",
			  .what = "call of 64 B over a channel, both sides sleeping",
			  .unit = "us",
			  .reach_of = REACH_RATIO,
			  .reach = 1.15};

	plan.spin_us = 0;
	load_side_open(&plan, row.what, &load);
	bench_compare(bench, &floor, &side, &row);
	load_side_note(&load, row.note, sizeof(row.note));
	report_add(bench->report, &row);
	bare.way = FLOOR_PACKET;
	floor.name = "bare Unix socket, packets";
	row.reach_of = REACH_NONE;
	row.note[0] = '\0';
	bench_compare(bench, &floor, &side, &row);
	report_add(bench->report, &row);
	load_side_close(&load);
}

static void
flood(const struct bench *bench, struct plane_site *site)
{
	struct load_plan plan = load_side_plan(&site->daemon, PLANE_RUNNING, LOAD_DATA);
	struct load_side load;
	struct side side = {"plugd", load_side_rate, &load, bench_count(bench, CALLS_FLOOD), NULL};
	struct row row = {.name = "plane",
			  .unit = "calls/s",
			  .higher_is_better = true,
			  .reach_of = REACH_VALUE,
			  .reach = 1e6};

	snprintf(row.what, sizeof(row.what), "calls of 64 B a second over a channel, %d under way",
		 IN_FLIGHT);
	plan.in_flight = IN_FLIGHT;
	plane_site_unpin(site);
	load_side_open(&plan, row.what, &load);
	plane_site_pin(site);
	bench_measure(bench, &side, &row);
	load_side_note(&load, row.note, sizeof(row.note));
	report_add(bench->report, &row);
	load_side_close(&load);
}

/* ---- idle ---- */

struct idle {
	uint64_t ns, waits;
};

static struct idle
idle_for(pid_t plugin, unsigned seconds)
{
	struct idle before = {process_cpu_ns(plugin) + process_cpu_ns(getpid()),
			      process_waits(plugin)};

	sleep(seconds);
	return (struct idle){process_cpu_ns(plugin) + process_cpu_ns(getpid()) - before.ns,
			     process_waits(plugin) - before.waits};
}

/* A plugin ticks its page twice a second with or without channels: what a channel adds is what is
 * told. */
static void
idle(const struct bench *bench, struct plane_site *site)
{
	unsigned seconds = bench->quick ? IDLE_QUICK_S : IDLE_S;
	struct load_plan plan = load_side_plan(&site->daemon, PLANE_RUNNING, LOAD_DATA);
	struct row row = {
		.name = "plane",
		.what = "an open channel that nobody uses: more waits of its two processes",
		.unit = "a second",
		.reach_of = REACH_VALUE,
		.reach = 0.1};
	struct idle without, with;
	struct load_side load;

	bench_progress("plane: %u s with nothing to do, without and with a channel", seconds);
	without = idle_for(plan.plugin_pid, seconds);
	load_side_open(&plan, row.what, &load);
	load_side_latency(&load, 1000, &(struct histogram){.count = 0});
	sleep(1);
	with = idle_for(plan.plugin_pid, seconds);
	bench_single(&row, with.waits > without.waits
				   ? (double)(with.waits - without.waits) / seconds
				   : 0.);
	snprintf(row.note, sizeof(row.note),
		 "over %u s: %llu waits and %.0f us of processor time with it, %llu and %.0f us "
		 "without",
		 seconds, (unsigned long long)with.waits, (double)with.ns / 1e3,
		 (unsigned long long)without.waits, (double)without.ns / 1e3);
	report_add(bench->report, &row);
	load_side_close(&load);
}

void
row_plane(const struct bench *bench)
{
	struct plane_site site;

	plane_site_open(bench, "plane", &site);
	plane_site_pin(&site);
	idle(bench, &site);
	running(bench, &site);
	sleeping(bench, &site);
	flood(bench, &site);
	plane_site_close(&site);
}
