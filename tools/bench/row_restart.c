/* From SIGKILL of the plugin's process to the answer of the next call, by the next process. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "bare.h"
#include "daemon.h"
#include "peer.h"
#include "report.h"

#define KILLS  10
#define PLUGIN "restart-000"

static void
plugd_round(void *arg, size_t count, struct samples *ret)
{
	struct daemon *daemon = arg;

	for (size_t i = 0; i < count; i++) {
		pid_t pid = daemon_plugin_pid(daemon, PLUGIN);
		double start_us = bench_now_us();

		kill(pid, SIGKILL);
		daemon_call(daemon->client, PLUGIN, "echo", "x", 1, 1);
		samples_add(ret, bench_now_us() - start_us);
		if (daemon_plugin_pid(daemon, PLUGIN) == pid)
			bench_die("restart: the killed process answered");
	}
}

static void
go_round(void *arg, size_t count, struct samples *ret)
{
	samples_add(ret, go_peer_restart(arg, count).p50);
}

static void
bare_kills(void *arg, size_t count, struct samples *ret)
{
	struct bare *bare = arg;

	for (size_t i = 0; i < count; i++) {
		double start_us = bench_now_us();

		process_kill(bare->pid);
		bare_respawn(bare);
		bare_round_trip(bare, BENCH_MESSAGE);
		samples_add(ret, bench_now_us() - start_us);
	}
}

void
row_restart(const struct bench *bench)
{
	size_t count = bench_count(bench, KILLS);
	char dir[PATH_MAX];
	struct daemon daemon;
	struct go_peer peer;
	struct bare bare;
	struct side go = {"go-plugin", go_round, &peer, count};
	struct side floor = {"bare nng child", bare_kills, &bare, count};
	struct side side = {"plugd", plugd_round, &daemon, count};
	struct row row = {.name = "restart",
			  .what = "SIGKILL to the next call's answer",
			  .unit = "us",
			  .reach_of = REACH_RATIO,
			  .reach = 0.5};
	struct row spawn = {
		.name = "restart", .what = "SIGKILL to the next call's answer", .unit = "us"};

	bench_path(dir, sizeof(dir), "%s/restart", bench->work_dir);
	daemon_make_plugins(bench, dir, "restart", 1,
			    "restart: always, max_failures: 0, backoff: { min: 0ms, max: 0ms }");
	daemon_start(bench, dir, &daemon);
	daemon_await_ready(&daemon, 1);
	if (go_peer_build(bench, &peer, row.note))
		bench_compare(bench, &go, &side, &row);
	else
		bench_measure(bench, &side, &row);
	report_add(bench->report, &row);
	bare_open(bench, &bare);
	bench_compare(bench, &floor, &side, &spawn);
	report_add(bench->report, &spawn);
	bare_close(&bare);
	daemon_stop(&daemon);
}
