#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- life ---- */

static char **
environment(char *const *extra)
{
	size_t count = 0, own = 0;
	char **all;

	while (environ[count])
		count++;
	while (extra && extra[own])
		own++;
	all = calloc(count + own + 1, sizeof(*all));
	if (!all)
		bench_die("out of memory");
	if (own)
		memcpy(all, extra, own * sizeof(*all)); /* first: getenv() finds it */
	memcpy(all + own, environ, count * sizeof(*all));
	return all;
}

/* From here to execve() the child shares our memory and we wait (vfork): nothing but system calls.
 * A fork would copy the page tables of a process full of nng's threads' stacks, and be measured. */
static void
put(int fd, int target)
{
	if (fd < 0)
		fd = open("/dev/null", O_RDWR);
	dup2(fd, target);
}

static _Noreturn void
run(const struct process_request *request, char *const *env, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(127);
	if (request->cpus)
		sched_setaffinity(0, sizeof(*request->cpus), request->cpus);
	put(-1, STDIN_FILENO);
	put(request->stdout_fd, STDOUT_FILENO);
	put(request->stderr_fd, STDERR_FILENO);
	if (!request->cwd || chdir(request->cwd) == 0)
		execve(request->argv[0], request->argv, env);
	_exit(127);
}

/* A function of its own: no variable lives across vfork() that it could clobber. */
static __attribute__((noinline)) pid_t
launch(const struct process_request *request, char *const *env)
{
	pid_t parent = getpid(), pid = vfork();

	if (pid == 0)
		run(request, env, parent);
	return pid;
}

pid_t
process_start(const struct process_request *request)
{
	char **env = environment(request->extra_env);
	pid_t pid = launch(request, env);

	if (pid < 0)
		bench_die("cannot start %s: %s", request->argv[0], strerror(errno));
	free(env);
	return pid;
}

int
process_wait(pid_t pid, struct rusage *usage)
{
	int status = 0;

	while (wait4(pid, &status, 0, usage) < 0)
		if (errno != EINTR)
			bench_die("wait4(%d): %s", (int)pid, strerror(errno));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void
process_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	process_wait(pid, NULL);
}

/* ---- processors ---- */

cpu_set_t
process_cpus(const struct bench *bench, int which)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	if (which != 1)
		CPU_SET(bench->cpus[0], &set);
	if (which != 0)
		CPU_SET(bench->cpus[1], &set);
	return set;
}

cpu_set_t
process_caller_cpus(const struct bench *bench)
{
	return process_cpus(bench, bench->pin == PIN_SPLIT ? 0 : -1);
}

cpu_set_t
process_other_cpus(const struct bench *bench)
{
	return process_cpus(bench, bench->pin == PIN_SPLIT ? 1 : -1);
}

void
process_pin_self(const cpu_set_t *cpus)
{
	process_pin(getpid(), cpus);
}

/* ---- threads ---- */

static void
each_thread(pid_t pid, void (*visit)(pid_t pid, pid_t tid, void *arg), void *arg)
{
	char path[64];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		bench_die("%s: %s", path, strerror(errno));
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			visit(pid, (pid_t)atoi(entry->d_name), arg);
	closedir(dir);
}

static void
pin_thread(pid_t pid, pid_t tid, void *arg)
{
	(void)pid;
	if (sched_setaffinity(tid, sizeof(cpu_set_t), arg) < 0 && errno != ESRCH)
		bench_die("sched_setaffinity(%d): %s", (int)tid, strerror(errno));
}

void
process_pin(pid_t pid, const cpu_set_t *cpus)
{
	cpu_set_t set = *cpus;

	each_thread(pid, pin_thread, &set);
}

static void
add_cpu_time(pid_t pid, pid_t tid, void *arg)
{
	unsigned long long ns = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", (int)pid, (int)tid);
	file = fopen(path, "re");
	if (!file)
		return;
	if (fscanf(file, "%llu", &ns) == 1)
		*(uint64_t *)arg += ns;
	fclose(file);
}

pid_t
process_child(pid_t pid)
{
	char path[64];
	int child = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%d", &child) != 1)
		child = 0;
	fclose(file);
	return (pid_t)child;
}

static void
add_waits(pid_t pid, pid_t tid, void *arg)
{
	char path[64], line[256];
	unsigned long long waits;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)pid, (int)tid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "voluntary_ctxt_switches: %llu", &waits) == 1)
			*(uint64_t *)arg += waits;
	if (file)
		fclose(file);
}

uint64_t
process_waits(pid_t pid)
{
	uint64_t waits = 0;

	each_thread(pid, add_waits, &waits);
	return waits;
}

uint64_t
process_cpu_ns(pid_t pid)
{
	uint64_t ns = 0;

	each_thread(pid, add_cpu_time, &ns);
	return ns;
}

/* ---- memory ---- */

/* The sum of the lines of /proc/PID/FILE that begin with `key`. */
static long
sum_of(pid_t pid, const char *name, const char *key)
{
	char path[64], line[256];
	long sum = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	file = fopen(path, "re");
	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file)) {
		char *colon = strchr(line, ':');

		if (colon && !strncmp(line, key, strlen(key)))
			sum = (sum < 0 ? 0 : sum) + atol(colon + 1);
	}
	fclose(file);
	return sum;
}

long
process_resident_kb(pid_t pid)
{
	return sum_of(pid, "status", "VmRSS");
}

long
process_peak_kb(pid_t pid)
{
	return sum_of(pid, "status", "VmHWM");
}

bool
process_peak_reset(pid_t pid)
{
	char path[64];
	bool done;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/clear_refs", (int)pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	done = fd >= 0 && write(fd, "5", 1) == 1;
	if (fd >= 0)
		close(fd);
	return done;
}

int
process_fds(pid_t pid)
{
	char path[64];
	int count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return -1;
	for (struct dirent *entry; (entry = readdir(dir));)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

long
process_private_kb(pid_t pid)
{
	return sum_of(pid, "smaps_rollup", "Private_");
}
