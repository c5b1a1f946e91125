/*
 * A plugin dies by a fault and is started again, thousands of times: what plugd and its guardian
 * have after the first cycles and after all of them.
 *
 * What may grow: the smallest block of the heap has 32 bytes, so one that is lost in every cycle
 * takes 281 KiB in 9,000.  Less than half of that is no such loss, but the heap's own unrest.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "daemon.h"
#include "report.h"

#define CYCLES    10000
#define QUICK     100
#define REACH_KB  128
#define SETTLE_NS 500000000 /* dead processes are reaped after 100 ms */
#define SETTLES   20
#define CALL_MS   60000
#define PLUGIN    "cycles-000"

struct holding {
	long kb;
	int fds;
};

struct holdings {
	struct holding plugd, guardian;
};

static struct holdings
look(const struct daemon *daemon)
{
	return (struct holdings){
		.plugd = {process_resident_kb(daemon->pid), process_fds(daemon->pid)},
		.guardian = {process_resident_kb(daemon->guardian), process_fds(daemon->guardian)},
	};
}

/* When nothing has been closed for a while. */
static struct holdings
settle(struct daemon *daemon)
{
	const struct timespec length = {.tv_nsec = SETTLE_NS};
	struct holdings before, now;

	daemon_await_whole(daemon, PLUGIN);
	now = look(daemon);
	for (int i = 0; i < SETTLES; i++) {
		before = now;
		nanosleep(&length, NULL);
		now = look(daemon);
		if (now.plugd.fds >= before.plugd.fds && now.guardian.fds >= before.guardian.fds)
			break;
	}
	return now;
}

/* No two are alike: nothing else than the plugin is to blame for a death. */
static void
cycle(struct daemon *daemon, size_t number)
{
	struct plug_request call = {
		.size = sizeof(call), .plugin = PLUGIN, .method = "die", .timeout_ms = CALL_MS};
	struct plug_reply *reply = NULL;
	char text[32];
	plug_err err;

	snprintf(text, sizeof(text), "%zu", number);
	call.payload.data = text;
	call.payload.size = strlen(text);
	call.payload.content_type = "text/plain";
	err = plug_client_call(daemon->client, &call, NULL, NULL, &reply);
	if (err != PLUG_EGONE)
		bench_die("cycles: death %zu: %s: %s", number, plug_err_name(err),
			  reply ? reply->message : "");
	plug_reply_free(reply);
}

static void
add_growth(const struct bench *bench, const char *who, struct holding early, struct holding late,
	   size_t cycles)
{
	struct row memory = {
		.name = "cycles", .unit = "KiB", .reach_of = REACH_VALUE, .reach = REACH_KB};
	struct row fds = {.name = "cycles", .unit = "fds", .reach_of = REACH_VALUE, .reach = 0};

	snprintf(memory.what, sizeof(memory.what),
		 "%s: memory more after %zu crashes than after %zu", who, cycles, cycles / 10);
	bench_single(&memory, (double)(late.kb - early.kb));
	snprintf(memory.note, sizeof(memory.note), "%ld KiB resident, before %ld KiB", late.kb,
		 early.kb);
	report_add(bench->report, &memory);
	snprintf(fds.what, sizeof(fds.what),
		 "%s: descriptors more after %zu crashes than after %zu", who, cycles, cycles / 10);
	bench_single(&fds, late.fds - early.fds);
	snprintf(fds.note, sizeof(fds.note), "%d, before %d", late.fds, early.fds);
	report_add(bench->report, &fds);
}

static void
add_rate(const struct bench *bench, double per_s)
{
	struct row row = {.name = "cycles",
			  .what = "crashes by a fault, and starts after them",
			  .unit = "a second",
			  .higher_is_better = true};

	bench_single(&row, per_s);
	report_add(bench->report, &row);
}

void
row_cycles(const struct bench *bench)
{
	size_t cycles = bench->quick ? QUICK : CYCLES;
	struct holdings early = {0}, late;
	char dir[PATH_MAX];
	struct daemon daemon;
	double busy_us = 0;

	bench_progress("cycles: %zu crashes", cycles);
	bench_path(dir, sizeof(dir), "%s/cycles", bench->work_dir);
	daemon_make_plugins(bench, dir, "cycles", 1,
			    "autostart: true, restart: always, max_failures: 0, "
			    "backoff: { min: 0ms, max: 0ms }");
	daemon_start(bench, dir, &daemon);
	daemon_await_ready(&daemon, 1);
	for (size_t i = 1; i <= cycles; i++) {
		busy_us -= bench_now_us();
		cycle(&daemon, i);
		busy_us += bench_now_us();
		if (i == cycles / 10)
			early = settle(&daemon);
	}
	late = settle(&daemon);
	add_growth(bench, "plugd", early.plugd, late.plugd, cycles);
	add_growth(bench, "guardian", early.guardian, late.guardian, cycles);
	add_rate(bench, (double)cycles * 1e6 / busy_us);
	daemon_stop(&daemon);
}
