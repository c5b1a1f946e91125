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
read_file(pid_t pid, const char *name, char *text, size_t size)
{
	AUTO_CLOSE int fd = -1;
	char path[64];
	ssize_t got;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return proc_error();
	got = read(fd, text, size - 1);
	if (got < 0)
		return proc_error();
	text[got] = '\0';
	return got ? PLUG_OK : PLUG_ENOTFOUND;
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
proc_self_rss_bytes(void)
{
	struct proc_info info;

	return proc_read(getpid(), &info) ? 0 : info.rss_bytes;
}
