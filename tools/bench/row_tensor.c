/* Calls with a tensor of 1 MiB each way: untouched, and filled and read. */
#include <stdio.h>
#include <string.h>

#include "peer.h"
#include "plane_site.h"
#include "report.h"

#define TENSOR_BYTES    (1024u * 1024)
#define CALLS_UNTOUCHED 50000
#define CALLS_TOUCHED   1000
#define CALLS_IOX       20000
#define CALLS_GO        100

static void
iox_round(void *arg, size_t count, struct samples *ret)
{
	samples_add(ret, iox_peer_call(arg, TENSOR_BYTES, count).p50);
}

static void
go_round(void *arg, size_t count, struct samples *ret)
{
	samples_add(ret, go_peer_call(arg, TENSOR_BYTES, count).p50);
}

static void
beside_peers(const struct bench *bench, const struct side *side, const struct row *row)
{
	struct iox_peer iox;
	struct go_peer go;
	struct side iox_floor = {"iceoryx, polling", iox_round, &iox, bench_count(bench, CALLS_IOX),
				 NULL};
	struct side go_floor = {"go-plugin gRPC, filled", go_round, &go,
				bench_count(bench, CALLS_GO), NULL};
	struct row one = *row;
	char why[PEER_WHY_BYTES];

	if (iox_peer_open(bench, &iox, why)) {
		bench_compare(bench, &iox_floor, side, &one);
		report_add(bench->report, &one);
		iox_peer_close(&iox);
	} else {
		bench_progress("%s", why);
	}
	if (go_peer_build(bench, &go, why)) {
		bench_compare(bench, &go_floor, side, &one);
		report_add(bench->report, &one);
	} else {
		bench_progress("%s", why);
	}
}

static struct load_plan
tensor_plan(struct plane_site *site, const char *plugin, const char *method)
{
	struct load_plan plan = load_side_plan(&site->daemon, plugin, LOAD_DATA);

	plan.method = method;
	plan.payload.size = 0;
	plan.tensor_bytes = TENSOR_BYTES;
	return plan;
}

static void
untouched(const struct bench *bench, struct plane_site *site)
{
	size_t count = bench_count(bench, CALLS_UNTOUCHED);
	struct load_plan plan = tensor_plan(site, PLANE_RUNNING, "pass");
	struct floor_side bare = {&site->floor, FLOOR_SIGNAL, 0};
	struct load_side load;
	struct side floor = {.name = "bare memory, no bytes",
			     .arg = &bare,
			     .count = count,
			     .many = floor_side_latency};
	struct side side = {
		.name = "plugd", .arg = &load, .count = count, .many = load_side_latency};
	struct row row = {.name = "tensor",
			  .what = "call with a 1 MiB tensor each way, untouched",
			  .unit = "us",
			  .reach_of = REACH_VALUE,
			  .reach = 2};

	plane_site_unpin(site);
	load_side_open(&plan, row.what, &load);
	plane_site_pin(site);
	bench_compare(bench, &floor, &side, &row);
	load_side_note(&load, row.note, sizeof(row.note));
	report_add(bench->report, &row);
	row.note[0] = '\0';
	row.reach_of = REACH_NONE;
	beside_peers(bench, &side, &row);
	load_side_close(&load);
}

/* What the other side does between two looks, with so many bytes, takes longer than a wait spins as
 * shipped: `patient` waits spin on as the floor's do. */
static void
touched(const struct bench *bench, struct plane_site *site, bool patient)
{
	size_t count = bench_count(bench, CALLS_TOUCHED);
	struct load_plan plan = tensor_plan(site, patient ? PLANE_PATIENT : PLANE_RUNNING, "touch");
	struct floor_side bare = {&site->floor, FLOOR_TOUCH, TENSOR_BYTES};
	struct load_side load;
	struct side floor = {.name = "the same copies in bare memory",
			     .arg = &bare,
			     .count = count,
			     .many = floor_side_latency};
	struct side side = {
		.name = "plugd", .arg = &load, .count = count, .many = load_side_latency};
	struct row row = {.name = "tensor",
			  .unit = "us",
			  .reach_of = patient ? REACH_RATIO : REACH_NONE,
			  .reach = 1.1};

	if (patient)
		plan.spin_us = PLANE_PATIENT_US;
	snprintf(row.what, sizeof(row.what), "call with a 1 MiB tensor each way, filled and read%s",
		 patient ? ", both sides running (run.spin_us of 1 ms)" : ", as shipped");
	plan.touch = true;
	plane_site_unpin(site);
	load_side_open(&plan, row.what, &load);
	plane_site_pin(site);
	bench_compare(bench, &floor, &side, &row);
	load_side_note(&load, row.note, sizeof(row.note));
	report_add(bench->report, &row);
	load_side_close(&load);
}

void
row_tensor(const struct bench *bench)
{
	struct plane_site site;

	plane_site_open(bench, "tensor", &site);
	plane_site_pin(&site);
	untouched(bench, &site);
	touched(bench, &site, true);
	touched(bench, &site, false);
	plane_site_close(&site);
}
