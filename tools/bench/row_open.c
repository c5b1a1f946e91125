/* The first call of a new handle: over plugd, and through a channel that is opened for it. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "daemon.h"
#include "report.h"

#define OPENS    300
#define PLUGIN   "open-000"
#define PAUSE_NS 2000000 /* for what the last handle had to be taken apart */

struct opens {
	struct daemon daemon;
	uint32_t plane, flags;
};

static struct plug_client *
new_handle(const struct opens *opens)
{
	struct plug_client_config config = {.size = sizeof(config),
					    .runtime_dir = opens->daemon.runtime_dir,
					    .name = "plugbench",
					    .data_plane = opens->plane};
	struct plug_client *client = NULL;

	if (plug_client_open(&config, &client))
		bench_die("open: %s", plug_client_error_text(NULL));
	return client;
}

static double
first_call_us(const struct opens *opens)
{
	static const char payload[BENCH_MESSAGE];
	struct plug_client *client = new_handle(opens);
	struct plug_request request = {.size = sizeof(request),
				       .plugin = PLUGIN,
				       .method = "echo",
				       .payload = {payload, sizeof(payload), NULL},
				       .timeout_ms = 10000,
				       .flags = opens->flags};
	double start = bench_now_us(), took;

	if (plug_client_call(client, &request, NULL, NULL, NULL))
		bench_die("open: %s", plug_client_error_text(client));
	took = bench_now_us() - start;
	plug_client_close(client);
	return took;
}

static void
opens_round(void *arg, size_t count, struct samples *ret)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};

	for (size_t i = 0; i < count; i++) {
		samples_add(ret, first_call_us(arg));
		nanosleep(&pause, NULL);
	}
}

void
row_open(const struct bench *bench)
{
	struct opens over, through = {.plane = PLUG_DATA_PLANE_AUTO, .flags = PLUG_REQUEST_CHANNEL};
	size_t count = bench_count(bench, OPENS);
	struct side floor = {"a call over plugd", opens_round, &over, count};
	struct side side = {"a channel", opens_round, &through, count};
	struct row row = {.name = "open", .unit = "us", .reach_of = REACH_VALUE, .reach = 300};
	char dir[PATH_MAX];

	snprintf(row.what, sizeof(row.what),
		 "opening a channel: a handle's first call, which is made through it");
	bench_path(dir, sizeof(dir), "%s/open", bench->work_dir);
	daemon_make_plugins(bench, dir, "open", 1, "autostart: true");
	daemon_start(bench, dir, &through.daemon);
	daemon_await_ready(&through.daemon, 1);
	over = through;
	over.plane = PLUG_DATA_PLANE_OFF;
	over.flags = 0;
	bench_compare(bench, &floor, &side, &row);
	report_add(bench->report, &row);
	daemon_stop(&through.daemon);
}
