/* Many plugins: their starts side by side, and finding them. */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bare.h"
#include "daemon.h"
#include "report.h"

#define STARTS      100
#define MANIFESTS   300
#define DISCOVERIES 3

struct starts {
	const struct bench *bench;
	char dir[PATH_MAX];
	size_t plugins;
};

/* From the start of plugd itself to the last plugin's READY. */
static void
plugd_round(void *arg, size_t count, struct samples *ret)
{
	struct starts *starts = arg;

	for (size_t i = 0; i < count; i++) {
		struct daemon daemon;
		double start_us = bench_now_us();

		daemon_start(starts->bench, starts->dir, &daemon);
		daemon_await_ready(&daemon, starts->plugins);
		samples_add(ret, (bench_now_us() - start_us) / 1e3);
		daemon_stop(&daemon);
	}
}

static void
hub_round(void *arg, size_t count, struct samples *ret)
{
	struct starts *starts = arg;

	for (size_t i = 0; i < count; i++) {
		struct bare_hub hub;

		bare_hub_open(starts->bench, starts->plugins, &hub);
		samples_add(ret, hub.ready_us / 1e3);
		bare_hub_close(&hub);
	}
}

void
row_start(const struct bench *bench)
{
	struct starts starts = {.bench = bench, .plugins = bench_count(bench, STARTS)};
	struct side floor = {"bare nng children", hub_round, &starts, 1};
	struct side side = {"plugd", plugd_round, &starts, 1};
	struct row row = {.name = "start", .unit = "ms", .reach_of = REACH_VALUE, .reach = 1000};

	snprintf(row.what, sizeof(row.what), "start of plugd with %zu plugins, all ready",
		 starts.plugins);
	bench_path(starts.dir, sizeof(starts.dir), "%s/start", bench->work_dir);
	daemon_make_plugins(bench, starts.dir, "start", starts.plugins, "autostart: true");
	bench_compare(bench, &floor, &side, &row);
	report_add(bench->report, &row);
}

/* ---- discovery ---- */

static void
check_round(void *arg, size_t count, struct samples *ret)
{
	struct starts *starts = arg;
	cpu_set_t cpus = process_caller_cpus(starts->bench);
	char program[PATH_MAX];
	char *argv[] = {program, (char *)"--check", (char *)"--plugin-dir", starts->dir, NULL};
	struct process_request request = {
		.argv = argv, .stdout_fd = -1, .stderr_fd = STDERR_FILENO, .cpus = &cpus};

	bench_path(program, sizeof(program), "%s/bin/plugd", starts->bench->build_dir);
	for (size_t i = 0; i < count; i++) {
		double start_us = bench_now_us();

		if (process_wait(process_start(&request), NULL))
			bench_die("plugd --check found faults in the manifests");
		samples_add(ret, (bench_now_us() - start_us) / 1e3);
	}
}

static int
read_file(const char *path, const struct stat *st, int type, struct FTW *at)
{
	char text[4096];
	FILE *file;

	(void)st;
	(void)at;
	if (type != FTW_F)
		return 0;
	file = fopen(path, "re");
	if (!file)
		return -1;
	while (fread(text, 1, sizeof(text), file) == sizeof(text))
		;
	fclose(file);
	return 0;
}

static void
walk_round(void *arg, size_t count, struct samples *ret)
{
	struct starts *starts = arg;

	for (size_t i = 0; i < count; i++) {
		double start_us = bench_now_us();

		if (nftw(starts->dir, read_file, 16, FTW_PHYS))
			bench_die("%s cannot be read", starts->dir);
		samples_add(ret, (bench_now_us() - start_us) / 1e3);
	}
}

void
row_discover(const struct bench *bench)
{
	size_t count = bench_count(bench, DISCOVERIES);
	struct starts starts = {.bench = bench, .plugins = MANIFESTS};
	struct side floor = {"reading the files", walk_round, &starts, count};
	struct side side = {"plugd --check", check_round, &starts, count};
	struct row row = {.name = "discover",
			  .what = "plugd --check of 300 manifests, as a process",
			  .unit = "ms",
			  .reach_of = REACH_VALUE,
			  .reach = 100};

	bench_path(starts.dir, sizeof(starts.dir), "%s/discover", bench->work_dir);
	daemon_make_plugins(bench, starts.dir, "discover", starts.plugins, "autostart: false");
	bench_compare(bench, &floor, &side, &row);
	report_add(bench->report, &row);
}
