/*
 * A plugin prints as fast as it is read, and another one is called: how much memory plugd takes for
 * that, and what it does to the others' latency, over both planes.
 *
 * It is called at a fixed rate, each call when it is due.  Rounds with a flood alternate with
 * rounds without one; the figure of a round is the 99th percentile of its calls.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "load_side.h"
#include "paced.h"
#include "report.h"

#define FLOOD_BYTES 1000000000u /* of all rounds of a plane together */
#define RATE        2000.       /* calls of the other plugin a second */
#define IN_FLIGHT   4096
#define QUIET_NS    500000000
#define QUICK_NS    100000000
#define REACH_KB    2048
#define REACH_P99   1.5
#define STEP_NS     100000
#define CONFIG      "log: { max_bytes: 1MiB, files: 1 }\n" PACED_CONFIG
#define LOUD        "loud-000"
#define OTHER       "other-000"

struct flood {
	const struct bench *bench;
	struct daemon *daemon;
	struct plug_client *client; /* of the order to print */
	struct load *load;
	struct load_result result;
	pthread_t thread;
	size_t bytes; /* a round */
	atomic_bool called;
	double us, plugd_us; /* that the last flood took, in all and of plugd's processor time */
	size_t floods;       /* so far */
};

/* ---- a round ---- */

static void
on_call(void *user, plug_err outcome, uint64_t start_ns, uint64_t end_ns)
{
	struct flood *flood = user;

	(void)outcome;
	(void)start_ns;
	(void)end_ns;
	atomic_store_explicit(&flood->called, true, memory_order_relaxed);
}

/* Print once the calls that count have begun, and end the round when all is printed. */
static void *
flood_main(void *arg)
{
	const struct timespec step = {.tv_nsec = STEP_NS};
	struct flood *flood = arg;
	char bytes[32];

	while (!atomic_load_explicit(&flood->called, memory_order_relaxed))
		nanosleep(&step, NULL);
	snprintf(bytes, sizeof(bytes), "%zu", flood->bytes);
	flood->us = -bench_now_us();
	flood->plugd_us = -(double)process_cpu_ns(flood->daemon->pid) / 1e3;
	daemon_call(flood->client, LOUD, "flood", bytes, strlen(bytes), 0);
	flood->us += bench_now_us();
	flood->plugd_us += (double)process_cpu_ns(flood->daemon->pid) / 1e3;
	load_end_round(flood->load);
	return NULL;
}

static void *
quiet_main(void *arg)
{
	struct flood *flood = arg;
	struct timespec length = {.tv_nsec = flood->bench->quick ? QUICK_NS : QUIET_NS};

	while (!atomic_load_explicit(&flood->called, memory_order_relaxed))
		nanosleep(&(struct timespec){.tv_nsec = STEP_NS}, NULL);
	nanosleep(&length, NULL);
	load_end_round(flood->load);
	return NULL;
}

static void
round_with(struct flood *flood, void *(*meanwhile)(void *), struct samples *ret)
{
	const struct load_result *result = &flood->result;
	char why[LOAD_WHY_BYTES];
	int failed;

	atomic_store(&flood->called, false);
	failed = pthread_create(&flood->thread, NULL, meanwhile, flood);
	if (failed)
		bench_die("no thread: %s", strerror(failed));
	if (load_round(flood->load, &flood->result, why))
		bench_die("flood: %s", why);
	pthread_join(flood->thread, NULL);
	if (result->outcomes[PLUG_OK] != result->calls)
		bench_die("flood: a call failed: %s", result->failure_text);
	samples_add(ret, histogram_quantile(&result->latency, 0.99) / 1e3);
}

static void
quiet_round(void *arg, size_t count, struct samples *ret)
{
	(void)count;
	round_with(arg, quiet_main, ret);
}

static void
flood_round(void *arg, size_t count, struct samples *ret)
{
	struct flood *flood = arg;

	(void)count;
	round_with(flood, flood_main, ret);
	flood->floods++;
}

/* ---- rows ---- */

static void
add_latency(struct flood *flood, enum load_plane plane)
{
	struct load_plan plan = load_side_plan(flood->daemon, OTHER, plane);
	struct side floor = {"without a flood", quiet_round, flood, 1, NULL};
	struct side side = {"plugd", flood_round, flood, 1, NULL};
	struct row row = {
		.name = "flood", .unit = "us, p99", .reach_of = REACH_RATIO, .reach = REACH_P99};
	char why[LOAD_WHY_BYTES];

	plan.rate = RATE;
	plan.in_flight = IN_FLIGHT;
	plan.spin_us = 0;
	plan.count = 0;
	plan.duration_ns = UINT64_C(3600000000000);
	plan.on_call = on_call;
	plan.user = flood;
	if (load_open(&plan, &flood->load, why))
		bench_die("flood: %s", why);
	snprintf(row.what, sizeof(row.what), "call of another plugin during a flood, %s plane",
		 load_plane_name(plane));
	bench_compare(flood->bench, &floor, &side, &row);
	snprintf(row.note, sizeof(row.note),
		 "%.2f GB printed in rounds of %.0f MB; the last at %.0f MB/s, with %.0f %% of a "
		 "core for plugd",
		 (double)(flood->bytes * flood->bench->rounds) / 1e9, (double)flood->bytes / 1e6,
		 (double)flood->bytes / flood->us, 100. * flood->plugd_us / flood->us);
	report_add(flood->bench->report, &row);
	load_close(flood->load);
}

static void
add_memory(const struct flood *flood, long before_kb, bool fresh)
{
	struct row row = {.name = "flood",
			  .what = "plugd's memory at most during floods, more than before",
			  .unit = "KiB",
			  .reach_of = REACH_VALUE,
			  .reach = REACH_KB};
	long peak_kb = process_peak_kb(flood->daemon->pid);

	bench_single(&row, (double)(peak_kb - before_kb));
	snprintf(row.note, sizeof(row.note),
		 "%ld KiB resident before, %ld KiB at most%s, %ld KiB after; %.2f GB printed in "
		 "all",
		 before_kb, peak_kb, fresh ? "" : " since its start",
		 process_resident_kb(flood->daemon->pid),
		 (double)(flood->bytes * flood->floods) / 1e9);
	report_add(flood->bench->report, &row);
}

void
row_flood(const struct bench *bench)
{
	static struct flood flood;
	char dir[PATH_MAX];
	struct daemon daemon;
	long before_kb;
	bool fresh;

	bench_path(dir, sizeof(dir), "%s/flood", bench->work_dir);
	daemon_make_plugins(bench, dir, "loud", 1, "autostart: true");
	daemon_make_plugins(bench, dir, "other", 1, "autostart: true");
	daemon_start_with(bench, dir, CONFIG, &daemon);
	daemon_await_ready(&daemon, 2);
	flood = (struct flood){.bench = bench,
			       .daemon = &daemon,
			       .client = daemon_client(&daemon),
			       .bytes = bench_count(bench, FLOOD_BYTES) / bench->rounds};
	for (int i = 0; i < 100; i++)
		daemon_call(daemon.client, OTHER, "echo", "x", 1, 1);
	before_kb = process_resident_kb(daemon.pid);
	fresh = process_peak_reset(daemon.pid);
	add_latency(&flood, LOAD_CONTROL);
	add_latency(&flood, LOAD_DATA);
	add_memory(&flood, before_kb, fresh);
	plug_client_close(flood.client);
	daemon_stop(&daemon);
}
