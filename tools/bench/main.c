/*
 * Options, the order of the rows, and the janitor: the process that was started forks, the child
 * measures, and the parent removes the working directory once every process has ended, whatever
 * happened to the child.
 */
#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bare.h"
#include "report.h"

#define ROUNDS       9
#define ROUNDS_QUICK 3

static const struct {
	const char *name;
	bool talks; /* two sides that can be on a processor each */
	void (*run)(const struct bench *bench);
} rows[] = {
	{"session", true, row_session},    {"call", true, row_call},
	{"callers", true, row_callers},    {"bulk", true, row_bulk},
	{"open", false, row_open},         {"plane", true, row_plane},
	{"tensor", true, row_tensor},      {"sizes", true, row_sizes},
	{"matrix", true, row_matrix},      {"gpt2", true, row_gpt2},
	{"restart", false, row_restart},   {"list", false, row_list},
	{"idle", false, row_idle},         {"echo", false, row_echo_memory},
	{"start", false, row_start},       {"discover", false, row_discover},
	{"reload", false, row_reload},     {"upgrade", false, row_upgrade},
	{"failover", false, row_failover}, {"flood", false, row_flood},
	{"cycles", false, row_cycles},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

enum format { FORMAT_TABLE, FORMAT_JSON, FORMAT_MARKDOWN };

struct options {
	const char *row; /* NULL: all */
	enum format format;
	const char *save; /* a file for the JSON; NULL: none */
};

static volatile sig_atomic_t worker_pid;

/* ---- what everything uses ---- */

void
bench_die(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("plugbench: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	_exit(1);
}

void
bench_progress(const char *format, ...)
{
	va_list args;

	fputs("plugbench: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

size_t
bench_count(const struct bench *bench, size_t normal)
{
	if (!bench->quick)
		return normal;
	return normal < 20 ? 1 : normal / 20;
}

uint64_t
bench_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

double
bench_now_us(void)
{
	return (double)bench_now_ns() / 1e3;
}

void
bench_path(char *path, size_t size, const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(path, size, format, args);
	va_end(args);
	if (length < 0 || (size_t)length >= size)
		bench_die("%s…: longer than %zu bytes", path, size - 1);
}

int
bench_make_dir(const char *path)
{
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -1 : 0;
}

/* ---- options ---- */

static void
print_usage(FILE *out)
{
	fputs("usage: plugbench [--row NAME] [--rounds N] [--quick] [--json | --markdown] [--save "
	      "FILE]\n"
	      "                 [--when-quiet] [--peers DIR] [--pin split|shared] [--build-dir "
	      "DIR]\n"
	      "\n"
	      "Measures plugd and its floors side by side and prints a table.\n"
	      "\n"
	      "  --row NAME       only this row, one of:",
	      out);
	for (size_t i = 0; i < ROWS; i++)
		fprintf(out, " %s", rows[i].name);
	fprintf(out,
		"\n"
		"  --rounds N       default %d, or %d with --quick\n"
		"  --quick          a look whether all works; the figures mean little\n"
		"  --when-quiet     before each row, wait until the machine does nothing else; ten "
		"minutes at most\n"
		"  --json           one JSON document on standard output\n"
		"  --markdown       the table as Markdown\n"
		"  --save FILE      the JSON document to FILE as well\n"
		"  --peers DIR      holds the peers' programs (goplugin/, iceoryx_rtt.c); what "
		"they "
		"need is said\n"
		"  --pin split      in rows of calls, caller and plugd on one processor and the "
		"plugin on\n"
		"                   another (default)\n"
		"  --pin shared     in these rows too, every process on both processors\n"
		"  --build-dir DIR  holds bin/plugd and plugins/; default: where this program was "
		"built\n"
		"\n"
		"Exit status: 0 measured, whether the reach is met or missed; 1 something does not "
		"work; 2 usage.\n",
		ROUNDS, ROUNDS_QUICK);
}

static int
usage_error(const char *what)
{
	fprintf(stderr, "plugbench: %s; see plugbench --help\n", what);
	return 2;
}

static bool
is_row(const char *name)
{
	for (size_t i = 0; i < ROWS; i++)
		if (!strcmp(rows[i].name, name))
			return true;
	return false;
}

static bool
parse_rounds(const char *text, unsigned *ret)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (end == text || *end || value < 1 || value > 1000)
		return false;
	*ret = (unsigned)value;
	return true;
}

enum {
	OPT_ROW = 256,
	OPT_ROUNDS,
	OPT_QUICK,
	OPT_WHEN_QUIET,
	OPT_JSON,
	OPT_MARKDOWN,
	OPT_SAVE,
	OPT_PEERS,
	OPT_PIN,
	OPT_BUILD
};

static const struct option long_options[] = {
	{"row", required_argument, NULL, OPT_ROW},
	{"rounds", required_argument, NULL, OPT_ROUNDS},
	{"quick", no_argument, NULL, OPT_QUICK},
	{"when-quiet", no_argument, NULL, OPT_WHEN_QUIET},
	{"json", no_argument, NULL, OPT_JSON},
	{"markdown", no_argument, NULL, OPT_MARKDOWN},
	{"save", required_argument, NULL, OPT_SAVE},
	{"peers", required_argument, NULL, OPT_PEERS},
	{"pin", required_argument, NULL, OPT_PIN},
	{"build-dir", required_argument, NULL, OPT_BUILD},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static int
set_build_dir(struct bench *bench, const char *dir)
{
	if (realpath(dir, bench->build_dir))
		return -1;
	fprintf(stderr, "plugbench: %s: %s\n", dir, strerror(errno));
	return 1;
}

/* -1: go on; else the exit status. */
static int
take_option(int option, struct bench *bench, struct options *options)
{
	switch (option) {
	case OPT_ROW:
		options->row = optarg;
		return is_row(optarg) ? -1 : usage_error("--row: no such row");
	case OPT_ROUNDS:
		return parse_rounds(optarg, &bench->rounds)
			       ? -1
			       : usage_error("--rounds: expected 1 to 1000");
	case OPT_QUICK:
		bench->quick = true;
		return -1;
	case OPT_WHEN_QUIET:
		bench->when_quiet = true;
		return -1;
	case OPT_JSON:
		options->format = FORMAT_JSON;
		return -1;
	case OPT_MARKDOWN:
		options->format = FORMAT_MARKDOWN;
		return -1;
	case OPT_SAVE:
		options->save = optarg;
		return -1;
	case OPT_PEERS:
		bench->peers_dir = optarg;
		return -1;
	case OPT_PIN:
		bench->pin = strcmp(optarg, "split") ? PIN_SHARED : PIN_SPLIT;
		return strcmp(optarg, "split") && strcmp(optarg, "shared")
			       ? usage_error("--pin: expected shared or split")
			       : -1;
	case OPT_BUILD:
		return set_build_dir(bench, optarg);
	case 'h':
		print_usage(stdout);
		return 0;
	default:
		return usage_error("that is not understood");
	}
}

static int
parse(int argc, char **argv, struct bench *bench, struct options *options)
{
	int option, status = -1;

	while (status < 0 && (option = getopt_long(argc, argv, "h", long_options, NULL)) >= 0)
		status = take_option(option, bench, options);
	if (status < 0 && optind < argc)
		status = usage_error("unexpected argument");
	if (!bench->rounds)
		bench->rounds = bench->quick ? ROUNDS_QUICK : ROUNDS;
	return status;
}

/* ---- surroundings ---- */

/* BUILD/bin/plugbench: plugd and the plugins are of the same build. */
static bool
find_self(struct bench *bench)
{
	ssize_t size = readlink("/proc/self/exe", bench->self, sizeof(bench->self) - 1);
	char *slash;

	if (size <= 0)
		return false;
	bench->self[size] = '\0';
	snprintf(bench->build_dir, sizeof(bench->build_dir), "%s", bench->self);
	for (int i = 0; i < 2 && (slash = strrchr(bench->build_dir, '/')); i++)
		*slash = '\0';
	return true;
}

static void
find_cpus(struct bench *bench)
{
	cpu_set_t allowed;
	int found = 0;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		bench_die("sched_getaffinity: %s", strerror(errno));
	for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++)
		if (CPU_ISSET(cpu, &allowed))
			bench->cpus[found++] = cpu;
	if (found == 1)
		bench->cpus[1] = bench->cpus[0];
}

static bool
in_memory(const char *dir)
{
	struct statfs info;

	return dir && statfs(dir, &info) == 0 && info.f_type == TMPFS_MAGIC &&
	       access(dir, W_OK) == 0;
}

/* Where a daemon's runtime directory would be, so that files cost what they cost there. */
static void
make_work_dir(struct bench *bench)
{
	const char *const dirs[] = {getenv("XDG_RUNTIME_DIR"), "/run", "/dev/shm"};
	const char *dir = "/tmp";

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]) && !bench->work_in_memory; i++)
		if (in_memory(dirs[i]) && strlen(dirs[i]) < 24) {
			dir = dirs[i];
			bench->work_in_memory = true;
		}
	bench_path(bench->work_dir, sizeof(bench->work_dir), "%s/plugbench-XXXXXX", dir);
	if (!mkdtemp(bench->work_dir))
		bench_die("%s: %s", bench->work_dir, strerror(errno));
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

/* ---- the two processes ---- */

static void
run_row(const struct bench *bench, size_t number)
{
	struct bench own = *bench;
	cpu_set_t cpus;

	if (!rows[number].talks)
		own.pin = PIN_SHARED;
	cpus = process_caller_cpus(&own);
	process_pin_self(&cpus);
	if (own.when_quiet && !machine_wait_quiet())
		bench_progress("%s: measured although the machine is busy", rows[number].name);
	rows[number].run(&own);
}

static void
save(const char *path, const struct report *report, const struct bench *bench,
     const struct machine *machine)
{
	FILE *file = fopen(path, "we");

	if (!file)
		bench_die("%s: %s", path, strerror(errno));
	report_json(report, bench, machine, file);
	if (fclose(file))
		bench_die("%s: %s", path, strerror(errno));
}

static int
measure(struct bench *bench, const struct options *options)
{
	struct report report = {0};
	struct machine machine;

	machine_describe(&machine);
	find_cpus(bench);
	bench->report = &report;
	for (size_t i = 0; i < ROWS; i++)
		if (!options->row || !strcmp(options->row, rows[i].name))
			run_row(bench, i);
	machine.load_after = machine_load();
	switch (options->format) {
	case FORMAT_JSON:
		report_json(&report, bench, &machine, stdout);
		break;
	case FORMAT_MARKDOWN:
		report_markdown(&report, bench, &machine, stdout);
		break;
	default:
		report_table(&report, bench, &machine, stdout);
	}
	if (options->save)
		save(options->save, &report, bench, &machine);
	report_fini(&report);
	return fflush(stdout) ? 1 : 0;
}

static void
pass_on(int number)
{
	if (worker_pid > 0)
		kill((pid_t)worker_pid, number);
}

/* Everything that the worker started is our descendant, and ends with it. */
static int
clean_up(const char *work_dir)
{
	int status = 0, result = 1;
	pid_t pid;

	while ((pid = waitpid(-1, &status, 0)) > 0 || errno == EINTR)
		if (pid == worker_pid) {
			result = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
			worker_pid = 0;
		}
	nftw(work_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return result;
}

int
main(int argc, char **argv)
{
	struct bench bench = {0};
	struct options options = {0};
	struct sigaction forward = {.sa_handler = pass_on};
	pid_t parent = getpid();
	int status;

	if (argc > 2 && !strcmp(argv[1], "--other"))
		return bare_other_main(argc - 2, argv + 2);
	if (!find_self(&bench))
		bench_die("/proc/self/exe: %s", strerror(errno));
	status = parse(argc, argv, &bench, &options);
	if (status >= 0)
		return status;
	make_work_dir(&bench);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sigaction(SIGINT, &forward, NULL);
	sigaction(SIGTERM, &forward, NULL);
	worker_pid = fork();
	if (worker_pid == 0) {
		signal(SIGINT, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != parent)
			_exit(1);
		exit(measure(&bench, &options));
	}
	return clean_up(bench.work_dir);
}
