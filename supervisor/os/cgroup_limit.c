#include "os/cgroup_limit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define CPU_PERIOD_US 100000u

static const struct {
	unsigned bit;
	const char *name;
} controllers[] = {{CGROUP_MEMORY, "memory"}, {CGROUP_CPU, "cpu"}, {CGROUP_PIDS, "pids"}};

/* ---- files of a group ---- */

static bool
read_file(int dir_fd, const char *name, char *text, size_t size)
{
	AUTO_CLOSE int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);

	if (got < 0)
		return false;
	text[got] = '\0';
	return true;
}

static bool
write_file(int dir_fd, const char *name, const char *text)
{
	AUTO_CLOSE int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static bool
read_number(int dir_fd, const char *name, uint64_t *ret)
{
	char text[64], *end;

	if (!read_file(dir_fd, name, text, sizeof(text)))
		return false;
	*ret = strtoull(text, &end, 10);
	return end != text;
}

/* ---- controllers ---- */

static unsigned
listed(int dir_fd, const char *file)
{
	char text[512], *save = NULL;
	unsigned found = 0;

	if (!read_file(dir_fd, file, text, sizeof(text)))
		return 0;
	for (char *word = strtok_r(text, " \n", &save); word; word = strtok_r(NULL, " \n", &save))
		for (size_t i = 0; i < ARRAY_SIZE(controllers); i++)
			if (!strcmp(word, controllers[i].name))
				found |= controllers[i].bit;
	return found;
}

/* One by one: a line with several is refused as a whole when one of them is. */
static void
enable(int dir_fd, unsigned wanted)
{
	for (size_t i = 0; i < ARRAY_SIZE(controllers); i++) {
		char text[16];

		snprintf(text, sizeof(text), "+%s", controllers[i].name);
		if (wanted & controllers[i].bit)
			write_file(dir_fd, "cgroup.subtree_control", text);
	}
}

unsigned
cgroup_enable_controllers(int dir_fd)
{
	const unsigned all = CGROUP_MEMORY | CGROUP_CPU | CGROUP_PIDS;
	unsigned have = listed(dir_fd, "cgroup.controllers");

	if (have != all) {
		AUTO_CLOSE int parent = openat(dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (parent >= 0)
			enable(parent, listed(parent, "cgroup.controllers") & ~have);
		have = listed(dir_fd, "cgroup.controllers");
	}
	enable(dir_fd, have & ~listed(dir_fd, "cgroup.subtree_control"));
	return listed(dir_fd, "cgroup.subtree_control");
}

const char *
cgroup_controllers_text(unsigned which, char *text, size_t size)
{
	size_t used = 0;

	snprintf(text, size, "none");
	for (size_t i = 0; i < ARRAY_SIZE(controllers) && used < size; i++)
		if (which & controllers[i].bit)
			used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "",
						 controllers[i].name);
	return text;
}

/* ---- limits ---- */

static bool
limit_memory(int dir_fd, uint64_t bytes)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64, bytes);
	if (!write_file(dir_fd, "memory.max", text))
		return false;
	write_file(dir_fd, "memory.swap.max", "0"); /* there is none to limit without swap */
	return true;
}

static bool
limit_cpu(int dir_fd, uint64_t millis)
{
	char text[64];

	snprintf(text, sizeof(text), "%" PRIu64 " %u", millis * (CPU_PERIOD_US / 1000),
		 CPU_PERIOD_US);
	return write_file(dir_fd, "cpu.max", text);
}

static bool
limit_pids(int dir_fd, uint64_t pids)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64, pids);
	return write_file(dir_fd, "pids.max", text);
}

unsigned
cgroup_set_limits(int dir_fd, const struct cgroup_limits *limits)
{
	unsigned set = 0;

	if (dir_fd < 0)
		return 0;
	if (limits->memory_bytes && limit_memory(dir_fd, limits->memory_bytes))
		set |= CGROUP_MEMORY;
	if (limits->cpu_millis && limit_cpu(dir_fd, limits->cpu_millis))
		set |= CGROUP_CPU;
	if (limits->pids && limit_pids(dir_fd, limits->pids))
		set |= CGROUP_PIDS;
	return set;
}

/* ---- what happened ---- */

uint64_t
cgroup_oom_kills(int dir_fd)
{
	char text[512], *at;

	if (dir_fd < 0 || !read_file(dir_fd, "memory.events", text, sizeof(text)))
		return 0;
	at = strstr(text, "oom_kill ");
	return at ? strtoull(at + strlen("oom_kill "), NULL, 10) : 0;
}

bool
cgroup_memory(int dir_fd, uint64_t *ret_now, uint64_t *ret_peak)
{
	if (dir_fd < 0 || !read_number(dir_fd, "memory.current", ret_now))
		return false;
	if (!read_number(dir_fd, "memory.peak", ret_peak))
		*ret_peak = 0;
	return true;
}
