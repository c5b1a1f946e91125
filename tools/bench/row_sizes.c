/* Latency against size, of everything that can carry bytes there and back: what the plot shows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"
#include "plane_site.h"
#include "report.h"

#define SERIES_MAX 8

/* Calls of a round: so many of few bytes, fewer of many. */
struct effort {
	size_t most, least;
};

struct sizes {
	const struct bench *bench;
	struct plane_site site;
	struct iox_peer iox;
	struct go_peer go;
	size_t size; /* that is being measured */

	struct side series[SERIES_MAX];
	struct effort efforts[SERIES_MAX];
	size_t count;

	struct floor_side spin, socket;
	struct load_plan data_plan, tensor_plan, control_plan;
	struct load_side data, tensor, control;
	void *payload;
};

static const size_t steps[] = {64, 256, 1024, 4096, 16384, 65536, 262144, 1048576};

#define STEPS (sizeof(steps) / sizeof(steps[0]))

static void
iox_round(void *arg, size_t count, struct samples *ret)
{
	struct sizes *sizes = arg;

	samples_add(ret, iox_peer_call(&sizes->iox, sizes->size, count).p50);
}

static void
go_round(void *arg, size_t count, struct samples *ret)
{
	struct sizes *sizes = arg;

	samples_add(ret, go_peer_call(&sizes->go, sizes->size, count).p50);
}

static void
add(struct sizes *sizes, const char *name, struct side side, struct effort effort)
{
	side.name = name;
	sizes->efforts[sizes->count] = effort;
	sizes->series[sizes->count++] = side;
}

static void
add_series(struct sizes *sizes)
{
	char why[PEER_WHY_BYTES];

	add(sizes, "bare memory, spinning",
	    (struct side){.arg = &sizes->spin, .many = floor_side_latency},
	    (struct effort){50000, 200});
	add(sizes, "plugd, channel", (struct side){.arg = &sizes->data, .many = load_side_latency},
	    (struct effort){50000, 200});
	add(sizes, "plugd, tensor, untouched",
	    (struct side){.arg = &sizes->tensor, .many = load_side_latency},
	    (struct effort){20000, 20000});
	add(sizes, "bare Unix socket",
	    (struct side){.arg = &sizes->socket, .many = floor_side_latency},
	    (struct effort){5000, 100});
	add(sizes, "plugd, control plane",
	    (struct side){.arg = &sizes->control, .many = load_side_latency},
	    (struct effort){3000, 50});
	if (iox_peer_open(sizes->bench, &sizes->iox, why))
		add(sizes, "iceoryx, untouched", (struct side){.arg = sizes, .round = iox_round},
		    (struct effort){20000, 5000});
	else
		bench_progress("%s", why);
	if (go_peer_build(sizes->bench, &sizes->go, why))
		add(sizes, "go-plugin gRPC", (struct side){.arg = sizes, .round = go_round},
		    (struct effort){1000, 50});
	else
		bench_progress("%s", why);
}

static size_t
calls_of(const struct sizes *sizes, const struct effort *effort)
{
	size_t calls = effort->most / (1 + sizes->size / 4096);

	return bench_count(sizes->bench, calls > effort->least ? calls : effort->least);
}

/* The handles of one size: a load's payload is of its plan. */
static void
open_loads(struct sizes *sizes)
{
	sizes->data_plan.payload.data = sizes->control_plan.payload.data = sizes->payload;
	sizes->data_plan.payload.size = sizes->control_plan.payload.size = sizes->size;
	sizes->tensor_plan.tensor_bytes = sizes->size;
	plane_site_unpin(&sizes->site);
	load_side_open(&sizes->data_plan, "sizes, over a channel", &sizes->data);
	load_side_open(&sizes->tensor_plan, "sizes, as a tensor", &sizes->tensor);
	load_side_open(&sizes->control_plan, "sizes, through plugd", &sizes->control);
	plane_site_pin(&sizes->site);
}

static void
measure(struct sizes *sizes, size_t size)
{
	struct percentiles found[SERIES_MAX];

	sizes->size = sizes->spin.size = sizes->socket.size = size;
	for (size_t i = 0; i < sizes->count; i++)
		sizes->series[i].count = calls_of(sizes, &sizes->efforts[i]);
	open_loads(sizes);
	bench_progress("sizes: %u rounds of %zu ways with %zu bytes", sizes->bench->rounds,
		       sizes->count, size);
	bench_in_turn(sizes->bench, sizes->series, sizes->count, found);
	for (size_t i = 0; i < sizes->count; i++)
		report_add_point(sizes->bench->report,
				 &(struct point){sizes->series[i].name, size, found[i]});
	load_side_close(&sizes->data);
	load_side_close(&sizes->tensor);
	load_side_close(&sizes->control);
}

void
row_sizes(const struct bench *bench)
{
	static struct sizes sizes;

	sizes = (struct sizes){.bench = bench, .payload = calloc(1, steps[STEPS - 1])};
	if (!sizes.payload)
		bench_die("out of memory");
	plane_site_open(bench, "sizes", &sizes.site);
	sizes.spin = (struct floor_side){&sizes.site.floor, FLOOR_SPIN, 0};
	sizes.socket = (struct floor_side){&sizes.site.floor, FLOOR_SOCKET, 0};
	sizes.data_plan = load_side_plan(&sizes.site.daemon, PLANE_RUNNING, LOAD_DATA);
	sizes.tensor_plan = sizes.data_plan;
	sizes.tensor_plan.method = "pass";
	sizes.tensor_plan.payload.size = 0;
	sizes.control_plan = load_side_plan(&sizes.site.daemon, PLANE_RUNNING, LOAD_CONTROL);
	add_series(&sizes);
	for (size_t i = 0; i < STEPS; i++)
		measure(&sizes, steps[i]);
	iox_peer_close(&sizes.iox);
	plane_site_close(&sizes.site);
	free(sizes.payload);
}
