/* A plugin is reloaded again and again while it is called at fixed rates over both planes. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "paced.h"
#include "report.h"

#define RELOADS  100
#define PLUGIN   "reload-000"
#define REST_NS  100000000 /* between two, so that there is something to compare with */
#define REACH_MS 5.

static void
rest(void)
{
	const struct timespec time = {.tv_nsec = REST_NS};

	nanosleep(&time, NULL);
}

static void
reload(struct daemon *daemon, struct paced *paced, size_t count)
{
	char detail[DAEMON_DETAIL_BYTES];

	for (size_t i = 0; i < count; i++) {
		rest();
		paced_window_begin(paced);
		daemon_reload(daemon, PLUGIN, detail);
		paced_window_end(paced);
		if (!strstr(detail, "beside the old process"))
			bench_die("reload: there is no room for both processes: %s", detail);
	}
	rest();
}

void
row_reload(const struct bench *bench)
{
	static struct paced paced;
	size_t count = bench_count(bench, RELOADS);
	char dir[PATH_MAX], doing[32];
	struct daemon daemon;

	bench_progress("reload: %zu, with calls under way", count);
	snprintf(doing, sizeof(doing), "%zu reloads", count);
	bench_path(dir, sizeof(dir), "%s/reload", bench->work_dir);
	daemon_make_plugins(bench, dir, "reload", 1, "autostart: true");
	daemon_start_with(bench, dir, PACED_CONFIG, &daemon);
	daemon_await_ready(&daemon, 1);
	paced_start(&daemon, PLUGIN, &paced);
	reload(&daemon, &paced, count);
	paced_stop(&paced);
	paced_add_lost(&paced, bench, "reload", doing);
	paced_add_latest(&paced, bench, "reload", doing, REACH_MS);
	paced_add_latency(&paced, bench, "reload", doing, PACED_DATA);
	paced_add_latency(&paced, bench, "reload", doing, PACED_CONTROL);
	paced_close(&paced);
	daemon_stop(&daemon);
}
