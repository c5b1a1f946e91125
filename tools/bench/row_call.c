/* Calls through the client socket and plugd: one at a time, large ones, and from many callers. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bare.h"
#include "daemon.h"
#include "peer.h"
#include "report.h"

#define CALLS        4000
#define CALLERS_MAX  32
#define CALLS_LOADED 8000 /* of all callers together, a round */

struct through_plugd {
	struct daemon daemon;
	size_t size;
	uint8_t *payload;
};

struct through_bare {
	struct bare bare;
	size_t size;
};

struct through_go {
	struct go_peer peer;
	size_t size;
};

static void
plugd_open(const struct bench *bench, struct through_plugd *t)
{
	char dir[PATH_MAX];

	bench_path(dir, sizeof(dir), "%s/plugins/interfaces", bench->build_dir);
	daemon_start(bench, dir, &t->daemon);
	daemon_await_ready(&t->daemon, 1);
	daemon_pin_plugin(&t->daemon, "echo");
}

static void
plugd_round(void *arg, size_t count, struct samples *ret)
{
	struct through_plugd *t = arg;

	for (size_t i = 0; i < count; i++) {
		double start_us = bench_now_us();

		daemon_call(t->daemon.client, "echo", "echo", t->payload, t->size, t->size);
		samples_add(ret, bench_now_us() - start_us);
	}
}

static void
bare_round(void *arg, size_t count, struct samples *ret)
{
	struct through_bare *t = arg;

	for (size_t i = 0; i < count; i++) {
		double start_us = bench_now_us();

		bare_round_trip(&t->bare, t->size);
		samples_add(ret, bench_now_us() - start_us);
	}
}

static void
go_round(void *arg, size_t count, struct samples *ret)
{
	struct through_go *t = arg;

	samples_add(ret, go_peer_call(&t->peer, t->size, count).p50);
}

struct size_rows {
	const struct bench *bench;
	struct through_plugd plugd;
	struct through_bare bare;
	struct through_go go;
	bool has_go;
};

/* One row beside bare nng and, where there is the peer, one beside it. */
static void
compare_size(struct size_rows *rows, size_t size, size_t count, struct row *row)
{
	struct side floor = {"bare nng pair1", bare_round, &rows->bare, count};
	struct side peer = {"go-plugin gRPC", go_round, &rows->go, count};
	struct side side = {"plugd", plugd_round, &rows->plugd, count};

	rows->plugd.payload = malloc(size);
	if (!rows->plugd.payload)
		bench_die("out of memory");
	memset(rows->plugd.payload, 'x', size);
	rows->plugd.size = rows->bare.size = rows->go.size = size;
	bench_compare(rows->bench, &floor, &side, row);
	report_add(rows->bench->report, row);
	if (rows->has_go) {
		row->reach_of = REACH_NONE;
		bench_compare(rows->bench, &peer, &side, row);
		report_add(rows->bench->report, row);
	}
	free(rows->plugd.payload);
}

static void
size_rows_open(const struct bench *bench, struct size_rows *rows)
{
	char why[PEER_WHY_BYTES];

	rows->bench = bench;
	rows->has_go = go_peer_build(bench, &rows->go.peer, why);
	bare_open(bench, &rows->bare.bare);
	plugd_open(bench, &rows->plugd);
}

static void
size_rows_close(struct size_rows *rows)
{
	daemon_stop(&rows->plugd.daemon);
	bare_close(&rows->bare.bare);
}

void
row_call(const struct bench *bench)
{
	struct size_rows rows;
	struct row row = {.name = "call",
			  .what = "call of 64 B by client socket and plugd",
			  .unit = "us",
			  .reach_of = REACH_RATIO,
			  .reach = 2.2};

	size_rows_open(bench, &rows);
	compare_size(&rows, BENCH_MESSAGE, bench_count(bench, CALLS), &row);
	size_rows_close(&rows);
}

static void
add_bulk(struct size_rows *rows, size_t mib, size_t count)
{
	struct row row = {.name = "bulk", .unit = "us"};

	snprintf(row.what, sizeof(row.what), "call of %zu MiB and its echo, in chunks", mib);
	compare_size(rows, mib * 1024 * 1024, count, &row);
}

void
row_bulk(const struct bench *bench)
{
	struct size_rows rows;

	size_rows_open(bench, &rows);
	add_bulk(&rows, 1, bench_count(bench, 50));
	add_bulk(&rows, 16, bench_count(bench, 10));
	size_rows_close(&rows);
}

/* ---- many callers ---- */

struct caller {
	pthread_t thread;
	struct plug_client *client;
	size_t calls;
};

struct callers {
	struct through_plugd plugd;
	struct caller all[CALLERS_MAX];
	size_t count;
};

struct windowed {
	struct bare bare;
	size_t window;
};

static void *
caller_main(void *arg)
{
	static const uint8_t payload[BENCH_MESSAGE];
	struct caller *caller = arg;

	for (size_t i = 0; i < caller->calls; i++)
		daemon_call(caller->client, "echo", "echo", payload, sizeof(payload),
			    sizeof(payload));
	return NULL;
}

/* One figure a round: calls a second of all together. */
static void
callers_round(void *arg, size_t count, struct samples *ret)
{
	struct callers *callers = arg;
	double start_us;

	(void)count;
	start_us = bench_now_us();
	for (size_t i = 0; i < callers->count; i++) {
		struct caller *caller = &callers->all[i];
		int failed = pthread_create(&caller->thread, NULL, caller_main, caller);

		if (failed)
			bench_die("no thread: %s", strerror(failed));
	}
	for (size_t i = 0; i < callers->count; i++)
		pthread_join(callers->all[i].thread, NULL);
	samples_add(ret, (double)(callers->count * callers->all[0].calls) /
				 (bench_now_us() - start_us) * 1e6);
}

static void
windowed_round(void *arg, size_t count, struct samples *ret)
{
	struct windowed *windowed = arg;

	samples_add(ret,
		    (double)count / bare_stream(&windowed->bare, windowed->window, count) * 1e6);
}

static void
compare_callers(const struct bench *bench, struct callers *callers, struct windowed *windowed,
		size_t count)
{
	char floor_name[48];
	size_t calls = bench_count(bench, CALLS_LOADED) / count;
	struct side floor = {floor_name, windowed_round, windowed, calls * count};
	struct side side = {"plugd", callers_round, callers, calls * count};
	struct row row = {.name = "callers", .unit = "calls/s", .higher_is_better = true};

	snprintf(row.what, sizeof(row.what), "calls of 64 B a second, %zu caller%s", count,
		 count > 1 ? "s" : "");
	snprintf(floor_name, sizeof(floor_name), "bare nng pair1, %zu under way", count);
	callers->count = windowed->window = count;
	for (size_t i = 0; i < count; i++) {
		callers->all[i].calls = calls;
		if (!callers->all[i].client)
			callers->all[i].client = daemon_client(&callers->plugd.daemon);
	}
	bench_compare(bench, &floor, &side, &row);
	report_add(bench->report, &row);
}

void
row_callers(const struct bench *bench)
{
	static struct callers callers;
	struct windowed windowed;

	bare_open(bench, &windowed.bare);
	plugd_open(bench, &callers.plugd);
	compare_callers(bench, &callers, &windowed, 1);
	compare_callers(bench, &callers, &windowed, 8);
	compare_callers(bench, &callers, &windowed, 32);
	for (size_t i = 0; i < CALLERS_MAX; i++)
		plug_client_close(callers.all[i].client);
	daemon_stop(&callers.plugd.daemon);
	bare_close(&windowed.bare);
}
