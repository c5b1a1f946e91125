#include "inspect.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "check.h"
#include "out.h"
#include "plugin_json.h"
#include "vitals.h"

#define STACKS_MS    5000 /* plugd takes a process for hung after 8 s */
#define STACKS_BYTES ((size_t)1 << 20)
#define LINE_BYTES   1024

/* ---- /proc ---- */

/* All of a small file, without its last newline; false: it cannot be read. */
static bool
read_text(const char *folder, const char *name, char *ret, size_t size)
{
	char path[128];
	AUTO_CLOSE int fd = -1;
	ssize_t got;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? -1 : read(fd, ret, size - 1);
	ret[got > 0 ? got : 0] = '\0';
	if (got > 0 && ret[got - 1] == '\n')
		ret[got - 1] = '\0';
	return got > 0;
}

/* "S (sleeping)" */
static void
read_state(const char *folder, char *ret, size_t size)
{
	char text[4096];
	const char *state;

	*ret = '\0';
	if (!read_text(folder, "status", text, sizeof(text)) || !(state = strstr(text, "\nState:")))
		return;
	state += strlen("\nState:");
	state += strspn(state, " \t");
	snprintf(ret, size, "%.*s", (int)strcspn(state, "\n"), state);
}

/* "running", or the number of the system call that it is in. */
static void
read_syscall(const char *folder, char *ret, size_t size)
{
	char text[256];

	*ret = '\0';
	if (read_text(folder, "syscall", text, sizeof(text)))
		snprintf(ret, size, "%.*s", (int)strcspn(text, " "), text);
}

static json_t *
thread_json(const char *folder, uint64_t tid)
{
	char name[64] = "", state[64], wchan[128] = "", call[32], stack[4096];
	json_t *json;

	read_text(folder, "comm", name, sizeof(name));
	read_state(folder, state, sizeof(state));
	read_text(folder, "wchan", wchan, sizeof(wchan));
	read_syscall(folder, call, sizeof(call));
	json = json_pack("{s:o, s:o, s:o, s:o, s:o}", "tid", number_json(tid), "name",
			 out_json_text(name), "state", out_json_text(state), "wchan",
			 out_json_text(strcmp(wchan, "0") ? wchan : ""), "syscall",
			 out_json_text(call));
	if (read_text(folder, "stack", stack, sizeof(stack)))
		json_object_set_new(json, "kernel_stack", out_json_text(stack));
	return json;
}

static json_t *
threads_json(uint64_t pid)
{
	json_t *threads = json_array();
	const struct dirent *entry;
	char path[300];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/task", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%" PRIu64 "/task/%.20s", pid, entry->d_name);
		json_array_append_new(threads,
				      thread_json(path, strtoull(entry->d_name, NULL, 10)));
	}
	if (dir)
		closedir(dir);
	return threads;
}

static uint64_t
count_descriptors(uint64_t pid)
{
	char path[64];
	uint64_t count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/fd", pid);
	dir = opendir(path);
	while (dir && readdir(dir))
		count++;
	if (dir)
		closedir(dir);
	return count > 2 ? count - 2 : 0;
}

/* ---- the vitals page ---- */

static uint64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Its descriptor is closed, the mapping stays. */
static uint64_t
vitals_address(uint64_t pid)
{
	char path[64], line[512];
	unsigned long long start = 0;
	FILE *maps;
	bool found = false;

	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/maps", pid);
	maps = fopen(path, "re");
	while (maps && !found && fgets(line, sizeof(line), maps))
		found = strstr(line, "/memfd:plug-vitals") && sscanf(line, "%llx-", &start) == 1;
	if (maps)
		fclose(maps);
	return found ? start : 0;
}

static bool
read_vitals(uint64_t pid, struct plug_vitals *ret)
{
	uint64_t address = vitals_address(pid);
	char path[64];
	AUTO_CLOSE int fd = -1;

	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/mem", pid);
	fd = address ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	return fd >= 0 && pread(fd, ret, sizeof(*ret), (off_t)address) == (ssize_t)sizeof(*ret) &&
	       ret->magic == PLUG_VITALS_MAGIC;
}

static void
add_vitals(json_t *json, uint64_t pid)
{
	json_t *executing = json_array();
	struct plug_vitals vitals;
	uint64_t now = now_ns();

	if (read_vitals(pid, &vitals)) {
		json_object_set_new(
			json, "silent_ms",
			number_json(now > vitals.tick_ns ? (now - vitals.tick_ns) / 1000000 : 0));
		for (size_t i = 0; i < PLUG_VITALS_WORKERS; i++) {
			const struct plug_vitals_slot *worker = &vitals.workers[i];
			uint64_t since = worker->since_ns;

			if (worker->id)
				json_array_append_new(
					executing,
					json_pack("{s:o, s:o}", "call", number_json(worker->id),
						  "for_ms",
						  number_json(now > since ? (now - since) / 1000000
									  : 0)));
		}
	}
	json_object_set_new(json, "executing", executing);
}

json_t *
inspect_process(uint64_t pid)
{
	char folder[64], state[64];
	json_t *json;

	snprintf(folder, sizeof(folder), "/proc/%" PRIu64, pid);
	read_state(folder, state, sizeof(state));
	if (!*state)
		return NULL;
	json = json_pack("{s:o, s:o, s:b, s:o, s:o}", "pid", number_json(pid), "state",
			 out_json_text(state), "stopped", *state == 'T' || *state == 't', "threads",
			 threads_json(pid), "descriptors", number_json(count_descriptors(pid)));
	add_vitals(json, pid);
	return json;
}

/* ---- a debugger's view ---- */

static _Noreturn void
exec_debugger(uint64_t pid, int output)
{
	char number[24];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	snprintf(number, sizeof(number), "%" PRIu64, pid);
	dup2(null, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	if (check_program("eu-stack"))
		execlp("eu-stack", "eu-stack", "-p", number, (char *)NULL);
	execlp("gdb", "gdb", "-q", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-iex",
	       "set auto-load off", "-p", number, "-ex", "thread apply all bt 40", (char *)NULL);
	_exit(127);
}

/* Until it ends, or time is up; false: time is up. */
static bool
read_output(int fd, FILE *to)
{
	uint64_t until = now_ns() + (uint64_t)STACKS_MS * 1000000u, now;
	struct pollfd watched = {.fd = fd, .events = POLLIN};
	char bytes[4096];
	size_t total = 0;
	ssize_t got = 1;

	while (got > 0 && total < STACKS_BYTES && (now = now_ns()) < until) {
		if (poll(&watched, 1, (int)((until - now) / 1000000u) + 1) <= 0)
			continue;
		got = read(fd, bytes, sizeof(bytes));
		if (got > 0)
			total += fwrite(bytes, 1, (size_t)got, to);
	}
	return got <= 0;
}

/* Its frames and the heads of its threads; not what a debugger says of itself. */
static json_t *
lines_of(char *text)
{
	json_t *lines = json_array();
	char *rest = text;

	for (char *line; (line = strsep(&rest, "\n"));)
		if (line[0] == '#' || strncmp(line, "Thread ", 7) == 0 ||
		    strncmp(line, "TID ", 4) == 0 || (line[0] == ' ' && line[1]))
			json_array_append_new(lines, out_json_text(line));
	return lines;
}

static json_t *
run_debugger(uint64_t pid, char *why, size_t why_size)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	json_t *lines = NULL;
	int ends[2];
	pid_t child;
	bool ended;

	if (!to || pipe2(ends, O_CLOEXEC) < 0 || (child = fork()) < 0) {
		snprintf(why, why_size, "a debugger cannot be started: %s", strerror(errno));
		return NULL;
	}
	if (child == 0)
		exec_debugger(pid, ends[1]);
	close(ends[1]);
	ended = read_output(ends[0], to);
	if (!ended)
		kill(child, SIGKILL); /* the kernel lets the process go on */
	close(ends[0]);
	waitpid(child, NULL, 0);
	fclose(to);
	lines = lines_of(text);
	free(text);
	if (json_array_size(lines))
		return lines;
	json_decref(lines);
	if (ended)
		snprintf(why, why_size,
			 "the debugger may not look into it: as root, or with sysctl "
			 "kernel.yama.ptrace_scope=0");
	else
		snprintf(why, why_size,
			 "the debugger did not get hold of it within %d s: it waits in the kernel, "
			 "see the states of its threads",
			 STACKS_MS / 1000);
	return NULL;
}

json_t *
inspect_stacks(uint64_t pid, char *why, size_t why_size)
{
	if (check_program("gdb") || check_program("eu-stack"))
		return run_debugger(pid, why, why_size);
	snprintf(why, why_size, "no debugger is installed: apt-get install gdb (or elfutils)");
	return NULL;
}
