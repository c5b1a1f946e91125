/* plugd is replaced by its own program again and again, in place, while a plugin is called at fixed
 * rates over both planes. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "paced.h"
#include "report.h"

#define UPGRADES  20 /* a round */
#define PLUGIN    "upgrade-000"
#define USAGE     2 /* plugctl's exit status */
#define REST_NS   500000000
#define REACH_MS  50.
#define UNCHANGED 1.1 /* p99.9 of two halves of one run differ by as much */

/* In which calls are answered: what is within an upgrade is compared with that. */
static void
rest(struct paced *paced)
{
	const struct timespec time = {.tv_nsec = REST_NS};
	uint64_t began_ns = bench_now_ns();

	nanosleep(&time, NULL);
	paced_await(paced, began_ns);
}

/* The exit status of plugctl; what it says is kept in a file. */
static int
upgrade(struct daemon *daemon, const char *said)
{
	cpu_set_t cpus = process_caller_cpus(daemon->bench);
	char program[PATH_MAX], binary[PATH_MAX];
	char *argv[] = {program,
			(char *)"--runtime-dir",
			daemon->runtime_dir,
			(char *)"upgrade",
			(char *)"--daemon",
			binary,
			NULL};
	int fd = open(said, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), status;
	struct process_request request = {
		.argv = argv, .stdout_fd = -1, .stderr_fd = fd, .cpus = &cpus};

	if (fd < 0)
		bench_die("%s: %s", said, strerror(errno));
	bench_path(program, sizeof(program), "%s/bin/plugctl", daemon->bench->build_dir);
	bench_path(binary, sizeof(binary), "%s/bin/plugd", daemon->bench->build_dir);
	status = process_wait(process_start(&request), NULL);
	close(fd);
	return status;
}

/* The first line of what plugctl said. */
static void
read_said(const char *path, char *text, size_t size)
{
	FILE *file = fopen(path, "re");

	*text = '\0';
	if (file && fgets(text, (int)size, file))
		text[strcspn(text, "\n")] = '\0';
	if (file)
		fclose(file);
}

static void
add_pause(const struct paced *paced, const struct bench *bench, const char *doing)
{
	struct row row = {
		.name = "upgrade", .unit = "ms", .reach_of = REACH_VALUE, .reach = REACH_MS};

	snprintf(row.what, sizeof(row.what), "control plane: longest time without an answer, %s",
		 doing);
	bench_single(&row, (double)paced_pause_ns(paced, PACED_CONTROL) / 1e6);
	report_add(bench->report, &row);
}

static void
add_skipped(const struct bench *bench, const char *why)
{
	struct row row = {.name = "upgrade",
			  .what = "plugd replaced in place",
			  .unit = "ms",
			  .reach_of = REACH_VALUE,
			  .reach = REACH_MS};

	bench_single(&row, NAN);
	snprintf(row.note, sizeof(row.note), "not measured: this plugctl cannot do it: %s", why);
	report_add(bench->report, &row);
}

static void
upgrades(struct daemon *daemon, struct paced *paced, size_t count, const char *said)
{
	char why[256];

	for (size_t i = 0; i < count; i++) {
		rest(paced);
		paced_window_begin(paced);
		if (upgrade(daemon, said)) {
			read_said(said, why, sizeof(why));
			bench_die("upgrade: %s", why);
		}
		paced_window_end(paced);
	}
	rest(paced);
}

/* Each upgrade is a window. */
static unsigned
rounds_of(const struct bench *bench)
{
	return bench->rounds < PACED_WINDOWS_MAX / UPGRADES ? bench->rounds
							    : PACED_WINDOWS_MAX / UPGRADES;
}

static void
measure(const struct bench *bench, struct daemon *daemon, size_t count, const char *said)
{
	static struct paced paced;
	char doing[32];

	snprintf(doing, sizeof(doing), "%zu upgrades", count);
	paced_start(daemon, PLUGIN, &paced);
	upgrades(daemon, &paced, count, said);
	paced_stop(&paced);
	paced_add_lost(&paced, bench, "upgrade", doing);
	add_pause(&paced, bench, doing);
	paced_add_tail(&paced, bench, "upgrade", doing, PACED_DATA, rounds_of(bench), UNCHANGED);
	paced_add_latency(&paced, bench, "upgrade", doing, PACED_DATA);
	paced_add_latency(&paced, bench, "upgrade", doing, PACED_CONTROL);
	paced_close(&paced);
}

void
row_upgrade(const struct bench *bench)
{
	size_t count = rounds_of(bench) * bench_count(bench, UPGRADES);
	char dir[PATH_MAX], said[PATH_MAX], why[256];
	struct daemon daemon;
	int status;

	bench_progress("upgrade: %zu, with calls under way", count);
	bench_path(dir, sizeof(dir), "%s/upgrade", bench->work_dir);
	bench_path(said, sizeof(said), "%s/upgrade.said", bench->work_dir);
	daemon_make_plugins(bench, dir, "upgrade", 1, "autostart: true");
	daemon_start_with(bench, dir, PACED_CONFIG, &daemon);
	daemon_await_ready(&daemon, 1);
	status = upgrade(&daemon, said);
	read_said(said, why, sizeof(why));
	if (status == USAGE)
		add_skipped(bench, why);
	else if (status)
		bench_die("upgrade: %s", why);
	else
		measure(bench, &daemon, count, said);
	daemon_stop(&daemon);
}
