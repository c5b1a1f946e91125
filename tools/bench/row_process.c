/* What the processes themselves cost: plugctl's run, plugd's memory and idle time, a plugin's
 * memory. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bare.h"
#include "daemon.h"
#include "report.h"

#define PLUGINS      10
#define LISTS        20
#define IDLE_S       20
#define IDLE_QUICK_S 2
#define SETTLE_S     2 /* from the last start to what is called idle */

/* ---- plugctl list ---- */

struct run {
	const struct bench *bench;
	char program[PATH_MAX];
	char *argv[5];
	double cpu_us; /* of all runs */
	size_t runs;
};

static double
cpu_us(const struct rusage *usage)
{
	return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1e6 +
	       (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec);
}

static void
run_round(void *arg, size_t count, struct samples *ret)
{
	struct run *run = arg;
	cpu_set_t cpus = process_caller_cpus(run->bench);
	struct process_request request = {
		.argv = run->argv, .stdout_fd = -1, .stderr_fd = STDERR_FILENO, .cpus = &cpus};

	for (size_t i = 0; i < count; i++) {
		double start_us = bench_now_us();
		struct rusage usage;

		if (process_wait(process_start(&request), &usage))
			bench_die("%s failed", run->program);
		samples_add(ret, bench_now_us() - start_us);
		run->cpu_us += cpu_us(&usage);
		run->runs++;
	}
}

static void
ten_plugins(const struct bench *bench, const char *stem, struct daemon *daemon)
{
	char dir[PATH_MAX];

	bench_path(dir, sizeof(dir), "%s/%s", bench->work_dir, stem);
	daemon_make_plugins(bench, dir, stem, PLUGINS, "autostart: true");
	daemon_start(bench, dir, daemon);
	daemon_await_ready(daemon, PLUGINS);
}

void
row_list(const struct bench *bench)
{
	size_t count = bench_count(bench, LISTS);
	struct daemon daemon;
	struct run list = {.bench = bench}, nothing = {.bench = bench, .program = "/bin/true"};
	struct side floor = {"/bin/true", run_round, &nothing, count};
	struct side side = {"plugctl list", run_round, &list, count};
	struct row row = {.name = "list",
			  .what = "plugctl list as a process, 10 plugins",
			  .unit = "us",
			  .reach_of = REACH_VALUE,
			  .reach = 10000};

	ten_plugins(bench, "list", &daemon);
	bench_path(list.program, sizeof(list.program), "%s/bin/plugctl", bench->build_dir);
	list.argv[0] = list.program;
	list.argv[1] = (char *)"--runtime-dir";
	list.argv[2] = daemon.runtime_dir;
	list.argv[3] = (char *)"list";
	nothing.argv[0] = nothing.program;
	bench_compare(bench, &floor, &side, &row);
	snprintf(row.note, sizeof(row.note),
		 "user and system time of its process %.0f us (%s %.0f us)",
		 list.cpu_us / (double)list.runs, floor.name,
		 nothing.cpu_us / (double)nothing.runs);
	report_add(bench->report, &row);
	daemon_stop(&daemon);
}

/* ---- memory and idle time ---- */

static void
add_resident(const struct bench *bench, const char *what, pid_t pid, double hub_kb)
{
	struct row row = {.name = "idle", .unit = "KiB", .reach_of = REACH_VALUE, .reach = 8192};

	snprintf(row.what, sizeof(row.what), "%s", what);
	bench_single(&row, (double)process_resident_kb(pid));
	if (hub_kb > 0) {
		row.floor.p50 = hub_kb;
		row.ratio = row.ratio_low = row.ratio_high = row.value.p50 / hub_kb;
		strcpy(row.floor_name, "bare nng, 10 peers");
	}
	snprintf(row.note, sizeof(row.note), "private %ld KiB", process_private_kb(pid));
	report_add(bench->report, &row);
}

static void
add_idle(const struct bench *bench, const char *what, uint64_t ns, unsigned seconds)
{
	struct row row = {
		.name = "idle", .unit = "% of a core", .reach_of = REACH_VALUE, .reach = 0.1};

	snprintf(row.what, sizeof(row.what), "%s", what);
	bench_single(&row, (double)ns / 1e7 / seconds);
	snprintf(row.note, sizeof(row.note), "over %u s, of all its threads", seconds);
	report_add(bench->report, &row);
}

static double
hub_resident_kb(const struct bench *bench)
{
	struct bare_hub hub;
	double kb;

	bare_hub_open(bench, PLUGINS, &hub);
	kb = (double)process_resident_kb(hub.pid);
	bare_hub_close(&hub);
	return kb;
}

void
row_idle(const struct bench *bench)
{
	unsigned seconds = bench->quick ? IDLE_QUICK_S : IDLE_S;
	double hub_kb = hub_resident_kb(bench);
	uint64_t plugd_ns, guardian_ns, plugin_ns;
	struct daemon daemon;
	pid_t plugin;

	ten_plugins(bench, "idle", &daemon);
	bench_progress("idle: %u s with nothing to do", seconds);
	sleep(SETTLE_S);
	add_resident(bench, "plugd resident, 10 plugins", daemon.pid, hub_kb);
	add_resident(bench, "guardian resident", daemon.guardian, 0);
	plugin = daemon_plugin_pid(&daemon, "idle-000");
	plugd_ns = process_cpu_ns(daemon.pid);
	guardian_ns = process_cpu_ns(daemon.guardian);
	plugin_ns = process_cpu_ns(plugin);
	sleep(seconds);
	add_idle(bench, "plugd idle, 10 plugins", process_cpu_ns(daemon.pid) - plugd_ns, seconds);
	add_idle(bench, "guardian idle", process_cpu_ns(daemon.guardian) - guardian_ns, seconds);
	add_idle(bench, "a plugin idle", process_cpu_ns(plugin) - plugin_ns, seconds);
	daemon_stop(&daemon);
}

void
row_echo_memory(const struct bench *bench)
{
	struct row row = {.name = "echo",
			  .what = "echo plugin, private memory",
			  .unit = "KiB",
			  .reach_of = REACH_VALUE,
			  .reach = 1024};
	char dir[PATH_MAX];
	struct daemon daemon;
	struct bare bare;

	bench_progress("echo: its memory");
	bench_path(dir, sizeof(dir), "%s/plugins/interfaces", bench->build_dir);
	daemon_start(bench, dir, &daemon);
	daemon_await_ready(&daemon, 1);
	bare_open(bench, &bare);
	for (int i = 0; i < 100; i++) {
		daemon_call(daemon.client, "echo", "echo", "x", 1, 1);
		bare_round_trip(&bare, BENCH_MESSAGE);
	}
	bench_single(&row, (double)process_private_kb(daemon_plugin_pid(&daemon, "echo")));
	row.floor.p50 = (double)process_private_kb(bare.pid);
	row.ratio = row.ratio_low = row.ratio_high = row.value.p50 / row.floor.p50;
	strcpy(row.floor_name, "bare nng child");
	snprintf(row.note, sizeof(row.note), "after 100 calls; resident %ld KiB",
		 process_resident_kb(daemon_plugin_pid(&daemon, "echo")));
	report_add(bench->report, &row);
	bare_close(&bare);
	daemon_stop(&daemon);
}
