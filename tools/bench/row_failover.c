/*
 * A plugin with a spare dies, and a call is answered by the spare.
 *
 * The call is under way when the process dies: it waits in a handler that never returns there, its
 * method may be executed twice, and the spare answers it at once.  So nobody has to ask again and
 * again, and what is measured ends with the first answer that there can be.
 *
 * By a fault: from just before the faulting instruction, whose time the plugin itself notes; that
 * is before any notice, so the figure is too high rather than too low.  By SIGKILL: from the last
 * look at the process's pidfd that did not say so, by threads that have only what processors nobody
 * wants.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "daemon.h"
#include "load_plane.h"
#include "report.h"

#define DEATHS       10
#define DEATHS_LARGE 5
#define LARGE_MIB    1024
#define QUICK_MIB    64
#define REACH_US     200
#define CALL_MS      60000
#define CHANNEL_US   5e6
#define PLUGIN       "failover-000"
#define SERVED       100 /* calls before each death */

struct failover {
	struct daemon *daemon;
	enum load_plane plane;
	struct plug_client *client; /* the held call's */
	unsigned *deaths;           /* of all planes, so far */
	size_t mib;                 /* resident in the process that dies, more than it has anyway */
	char stamp[PATH_MAX];       /* where the plugin notes the time */
	struct samples notice;      /* SIGKILL: from the kernel's notice to the answer */
};

/* ---- the call that is held ---- */

struct held {
	pthread_t thread;
	struct failover *failover;
	double end_us;
	char why[256]; /* "": it was answered */
};

static void *
held_main(void *arg)
{
	struct held *held = arg;
	struct plug_request call = {.size = sizeof(call),
				    .plugin = PLUGIN,
				    .method = "hold",
				    .payload = {"", 0, "text/plain"},
				    .timeout_ms = CALL_MS};
	struct plug_reply *reply = NULL;
	plug_err err = plug_client_call(held->failover->client, &call, NULL, NULL, &reply);

	held->end_us = bench_now_us();
	if (err)
		snprintf(held->why, sizeof(held->why), "%s",
			 reply ? reply->message : plug_err_text(err));
	plug_reply_free(reply);
	return NULL;
}

/* Calls go over a channel only while there is one. */
static void
await_channel(struct failover *failover)
{
	double limit_us = bench_now_us() + CHANNEL_US;

	do {
		if (bench_now_us() > limit_us)
			bench_die("failover: no channel was opened: %s",
				  plug_client_error_text(failover->client));
		daemon_call(failover->client, PLUGIN, "echo", "x", 1, 1);
	} while (!load_plane_ready(failover->client));
}

static void
order(struct failover *failover, const char *method)
{
	daemon_call(failover->daemon->client, PLUGIN, method, "", 0, 0);
}

/* As one in service is: 1 GiB that was written this moment has taken the caches from everybody. */
static void
serve(struct failover *failover)
{
	for (unsigned i = 0; i < SERVED; i++)
		daemon_call(failover->client, PLUGIN, "echo", "x", 1, 1);
}

/* Return when the call is in the handler of the process that is to die. */
static void
hold(struct failover *failover, struct held *ret)
{
	char bytes[32];
	int failed;

	*ret = (struct held){.failover = failover};
	daemon_await_whole(failover->daemon, PLUGIN);
	snprintf(bytes, sizeof(bytes), "%zu", failover->mib << 20);
	if (failover->mib)
		daemon_call(failover->daemon->client, PLUGIN, "fill", bytes, strlen(bytes), 0);
	if (failover->plane == LOAD_DATA)
		await_channel(failover);
	serve(failover);
	order(failover, "arm");
	failed = pthread_create(&ret->thread, NULL, held_main, ret);
	if (failed)
		bench_die("no thread: %s", strerror(failed));
	order(failover, "held");
}

static double
await_answer(struct held *held)
{
	pthread_join(held->thread, NULL);
	if (*held->why)
		bench_die("failover: the call under way was lost: %s", held->why);
	return held->end_us;
}

/* ---- deaths ---- */

/* It dies within the call, which says so.  A request that kills twice is refused: each is another.
 */
static void
die(struct failover *failover)
{
	char type[48];
	struct plug_request call = {.size = sizeof(call),
				    .plugin = PLUGIN,
				    .method = "die",
				    .payload = {failover->stamp, strlen(failover->stamp), type},
				    .timeout_ms = CALL_MS};
	plug_err err;

	snprintf(type, sizeof(type), "text/plain; death=%u", ++*failover->deaths);
	err = plug_client_call(failover->daemon->client, &call, NULL, NULL, NULL);
	if (err != PLUG_EGONE)
		bench_die("failover: it was told to die: %s", plug_err_name(err));
}

static double
read_stamp_us(const struct failover *failover)
{
	int fd = open(failover->stamp, O_RDONLY | O_CLOEXEC);
	uint64_t ns;

	if (fd < 0 || read(fd, &ns, sizeof(ns)) != sizeof(ns))
		bench_die("%s: no time in it", failover->stamp);
	close(fd);
	return (double)ns / 1e3;
}

static void
by_fault(void *arg, size_t count, struct samples *ret)
{
	struct failover *failover = arg;

	for (size_t i = 0; i < count; i++) {
		struct held held;
		double end_us;

		hold(failover, &held);
		die(failover);
		end_us = await_answer(&held);
		samples_add(ret, end_us - read_stamp_us(failover));
	}
}

/* One for each processor looks without a pause, and gives its processor to whoever wants it: while
 * one is free, the notice is seen. */
struct watcher {
	pthread_t thread;
	int pidfd;
	size_t processor;
	sem_t *looks, *over;
	double notice_us; /* of its last look that found the process alive */
};

#define WATCHERS_MAX 64

struct watchers {
	struct watcher of[WATCHERS_MAX];
	size_t count;
	sem_t looks, over;
};

static void *
watcher_main(void *arg)
{
	const struct sched_param none = {0};
	struct watcher *watcher = arg;
	struct pollfd ended = {.fd = watcher->pidfd, .events = POLLIN};
	double look_us = bench_now_us();
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(watcher->processor, &one);
	pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
	pthread_setschedparam(pthread_self(), SCHED_IDLE, &none);
	sem_post(watcher->looks);
	do {
		watcher->notice_us = look_us;
		look_us = bench_now_us();
	} while (poll(&ended, 1, 0) == 0);
	sem_wait(watcher->over); /* a thread that ends would need the processor for longer */
	return NULL;
}

static void
watchers_start(struct watchers *watchers, pid_t pid)
{
	int pidfd = pidfd_open(pid, 0), failed = 0;
	cpu_set_t allowed;

	if (pidfd < 0)
		bench_die("pidfd_open(%d): %s", (int)pid, strerror(errno));
	sched_getaffinity(0, sizeof(allowed), &allowed);
	watchers->count = 0;
	sem_init(&watchers->looks, 0, 0);
	sem_init(&watchers->over, 0, 0);
	for (size_t n = 0; n < CPU_SETSIZE && watchers->count < WATCHERS_MAX && !failed; n++) {
		struct watcher *watcher = &watchers->of[watchers->count];

		if (!CPU_ISSET(n, &allowed))
			continue;
		*watcher = (struct watcher){.pidfd = pidfd,
					    .processor = n,
					    .looks = &watchers->looks,
					    .over = &watchers->over};
		failed = pthread_create(&watcher->thread, NULL, watcher_main, watcher);
		watchers->count++;
	}
	if (failed)
		bench_die("no thread: %s", strerror(failed));
	for (size_t i = 0; i < watchers->count; i++)
		while (sem_wait(&watchers->looks))
			;
}

/* When the kernel said so, or a moment before: the last look of all that found it alive. */
static double
watchers_notice_us(struct watchers *watchers)
{
	double notice_us = 0;

	for (size_t i = 0; i < watchers->count; i++)
		sem_post(&watchers->over);
	for (size_t i = 0; i < watchers->count; i++) {
		pthread_join(watchers->of[i].thread, NULL);
		if (watchers->of[i].notice_us > notice_us)
			notice_us = watchers->of[i].notice_us;
	}
	sem_destroy(&watchers->looks);
	sem_destroy(&watchers->over);
	close(watchers->of[0].pidfd);
	return notice_us;
}

/* Returns how long it took until the call was answered: from the kernel's notice, which watchers
 * tell, who keep the dying threads waiting; without them (NULL) from kill(). */
static double
kill_it(struct failover *failover, struct watchers *watchers)
{
	double start_us, end_us;
	struct held held;
	pid_t pid;

	hold(failover, &held);
	pid = daemon_plugin_pid(failover->daemon, PLUGIN);
	if (watchers)
		watchers_start(watchers, pid);
	start_us = bench_now_us();
	kill(pid, SIGKILL);
	end_us = await_answer(&held);
	return end_us - (watchers ? watchers_notice_us(watchers) : start_us);
}

static void
by_kill(void *arg, size_t count, struct samples *ret)
{
	struct failover *failover = arg;
	struct watchers watchers;

	for (size_t i = 0; i < count; i++) {
		samples_add(ret, kill_it(failover, NULL));
		samples_add(&failover->notice, kill_it(failover, &watchers));
	}
}

/* ---- rows ---- */

static void
describe(const struct failover *failover, const char *from, struct row *row)
{
	const char *plane = failover->plane == LOAD_DATA ? "data plane" : "control plane";

	if (failover->mib)
		snprintf(row->what, sizeof(row->what), "%s, %s, %zu MiB", from, plane,
			 failover->mib);
	else
		snprintf(row->what, sizeof(row->what), "%s, %s", from, plane);
}

static void
add_notice(const struct bench *bench, struct failover *failover, const struct row *faults)
{
	struct row row = {
		.name = "failover", .unit = "us", .reach_of = REACH_VALUE, .reach = REACH_US};

	bench_single(&row, NAN);
	describe(failover, "SIGKILL's notice to the spare's answer", &row);
	row.value = samples_percentiles(&failover->notice);
	row.count = failover->notice.count;
	row.rounds = faults->rounds;
	report_add(bench->report, &row);
	samples_clear(&failover->notice);
}

static void
compare(const struct bench *bench, struct failover *failover, size_t mib, size_t deaths)
{
	struct side floor = {"SIGKILL, from kill()", by_kill, failover, deaths, NULL};
	struct side side = {"plugd", by_fault, failover, deaths, NULL};
	struct row row = {
		.name = "failover", .unit = "us", .reach_of = REACH_VALUE, .reach = REACH_US};

	failover->mib = mib;
	describe(failover, "a fault to the spare's answer", &row);
	bench_compare(bench, &floor, &side, &row);
	report_add(bench->report, &row);
	add_notice(bench, failover, &row);
}

static void
over_plane(const struct bench *bench, struct daemon *daemon, enum load_plane plane,
	   const char *stamp, unsigned *deaths)
{
	struct failover failover = {.daemon = daemon, .plane = plane, .deaths = deaths};

	bench_path(failover.stamp, sizeof(failover.stamp), "%s", stamp);
	if (load_plane_open(daemon->runtime_dir, plane, -1, &failover.client))
		bench_die("%s", plug_client_error_text(NULL));
	compare(bench, &failover, 0, bench_count(bench, DEATHS));
	compare(bench, &failover, bench->quick ? QUICK_MIB : LARGE_MIB, DEATHS_LARGE);
	samples_fini(&failover.notice);
	plug_client_close(failover.client);
}

void
row_failover(const struct bench *bench)
{
	char dir[PATH_MAX], stamp[PATH_MAX];
	unsigned deaths = 0;
	struct daemon daemon;
	int fd;

	bench_path(dir, sizeof(dir), "%s/failover", bench->work_dir);
	bench_path(stamp, sizeof(stamp), "%s/stamp", bench->work_dir);
	fd = open(stamp, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		bench_die("%s: %s", stamp, strerror(errno));
	close(fd);
	daemon_make_plugins(bench, dir, "failover", 1,
			    "autostart: true, standby: 1, restart: always, max_failures: 0, "
			    "backoff: { min: 20ms, max: 20ms }");
	daemon_start(bench, dir, &daemon);
	daemon_await_whole(&daemon, PLUGIN);
	over_plane(bench, &daemon, LOAD_CONTROL, stamp, &deaths);
	over_plane(bench, &daemon, LOAD_DATA, stamp, &deaths);
	daemon_stop(&daemon);
}
