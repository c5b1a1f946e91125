#include "os/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

static plug_err
proc_error(void)
{
	if (errno == ENOENT || errno == ESRCH)
		return PLUG_ENOTFOUND;
	return errno == EACCES || errno == EPERM ? PLUG_EDENIED : PLUG_ESYS;
}

/* One read: these files are made at the read, and a second one may see another instant. */
static plug_err
read_path(const char *path, char *text, size_t size)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return proc_error();
	got = read(fd, text, size - 1);
	if (got < 0)
		return proc_error();
	text[got] = '\0';
	return got ? PLUG_OK : PLUG_ENOTFOUND;
}

static plug_err
read_file(pid_t pid, const char *name, char *text, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return read_path(path, text, size);
}

/* The name may hold anything, parentheses and spaces too: it ends at the last one. */
static plug_err
parse_stat(char *text, struct proc_info *ret)
{
	char *open_at = strchr(text, '('), *close_at = strrchr(text, ')');
	unsigned long long user, system, start;
	int parent, group, session;
	long threads, rss_pages;

	if (!open_at || !close_at || close_at < open_at)
		return PLUG_ESYS;
	*close_at = '\0';
	snprintf(ret->command, sizeof(ret->command), "%s", open_at + 1);
	if (sscanf(close_at + 1,
		   " %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %ld %*d "
		   "%llu %*u %ld",
		   &ret->state, &parent, &group, &session, &user, &system, &threads, &start,
		   &rss_pages) != 9)
		return PLUG_ESYS;
	ret->parent = parent;
	ret->group = group;
	ret->session = session;
	ret->threads = (uint32_t)threads;
	ret->cpu_ms = (user + system) * 1000u / (uint64_t)sysconf(_SC_CLK_TCK);
	ret->start_ticks = start;
	ret->rss_bytes = rss_pages > 0 ? (uint64_t)rss_pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
	return PLUG_OK;
}

plug_err
proc_read(pid_t pid, struct proc_info *ret)
{
	struct proc_info info = {.pid = pid};
	char text[1024];
	plug_err err = read_file(pid, "stat", text, sizeof(text));

	if (!err)
		err = parse_stat(text, &info);
	if (!err)
		*ret = info;
	return err;
}

/* The last number of stat. */
plug_err
proc_wait_status(pid_t pid, int *ret)
{
	struct proc_info info;
	char text[1024], *last;
	plug_err err = read_file(pid, "stat", text, sizeof(text));
	int status;

	if (err)
		return err;
	last = strrchr(text, ' ');
	if (!last)
		return PLUG_ESYS;
	status = (int)strtol(last, NULL, 10);
	err = parse_stat(text, &info);
	if (err)
		return err;
	if ((info.state != 'Z' && info.state != 'X') || info.threads > 1)
		return PLUG_EAGAIN;
	*ret = status;
	return PLUG_OK;
}

pid_t
proc_tracer(pid_t pid)
{
	char text[4096];
	const char *at;

	if (read_file(pid, "status", text, sizeof(text)))
		return 0;
	at = strstr(text, "\nTracerPid:");
	return at ? (pid_t)strtol(at + strlen("\nTracerPid:"), NULL, 10) : 0;
}

/* Its tools are the executables /usr/libexec/valgrind/memcheck-amd64-linux and the like. */
bool
proc_is_in_valgrind(pid_t pid)
{
	char path[64], target[1024];
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		return false;
	target[length] = '\0';
	return strstr(target, "/valgrind/");
}

static uint64_t
kilobytes_of(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? strtoull(at + strlen(key), NULL, 10) * 1024u : 0;
}

plug_err
proc_read_memory(pid_t pid, struct proc_memory *ret)
{
	char text[4096];
	plug_err err = read_file(pid, "smaps_rollup", text, sizeof(text));

	if (err)
		return err;
	*ret = (struct proc_memory){
		.rss_bytes = kilobytes_of(text, "\nRss:"),
		.pss_bytes = kilobytes_of(text, "\nPss:"),
		.private_bytes = kilobytes_of(text, "\nPrivate_Clean:") +
				 kilobytes_of(text, "\nPrivate_Dirty:"),
		.swap_bytes = kilobytes_of(text, "\nSwap:"),
	};
	return PLUG_OK;
}

uint64_t
proc_peak_bytes(pid_t pid)
{
	char text[4096];

	return read_file(pid, "status", text, sizeof(text)) ? 0 : kilobytes_of(text, "\nVmHWM:");
}

uint64_t
proc_available_bytes(void)
{
	char text[4096];

	return read_path("/proc/meminfo", text, sizeof(text))
		       ? 0
		       : kilobytes_of(text, "\nMemAvailable:");
}

/* The file is some 5 KB; a field that were not in its first part would not be found. */
uint64_t
proc_oom_kills(void)
{
	char text[16384];
	const char *at;

	if (read_path("/proc/vmstat", text, sizeof(text)))
		return 0;
	at = strstr(text, "\noom_kill ");
	return at ? strtoull(at + strlen("\noom_kill "), NULL, 10) : 0;
}
