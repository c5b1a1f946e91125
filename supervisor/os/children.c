/* Used by the guardian when memory may be out: nothing here allocates. */
#include "os/children.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "os/dir.h"
#include "os/proc.h"

struct pids {
	pid_t parent;
	pid_t *at;
	size_t size, count;
	bool more;
	bool unsupported;
};

static void
add(struct pids *pids, pid_t pid)
{
	if (pids->count < pids->size)
		pids->at[pids->count++] = pid;
	else
		pids->more = true;
}

/* Numbers with a space after each; a read may end inside one. */
static void
parse_list(int fd, struct pids *pids)
{
	char buffer[2048];
	pid_t number = 0;
	ssize_t got;

	while ((got = read(fd, buffer, sizeof(buffer))) > 0)
		for (ssize_t i = 0; i < got; i++) {
			if (isdigit((unsigned char)buffer[i])) {
				number = number * 10 + (buffer[i] - '0');
			} else if (number) {
				add(pids, number);
				number = 0;
			}
		}
	if (number)
		add(pids, number);
}

static bool
on_thread(void *context, int task_fd, const char *name, int type)
{
	struct pids *pids = context;
	AUTO_CLOSE int fd = -1;
	char path[300];

	(void)type;
	snprintf(path, sizeof(path), "%s/children", name);
	fd = openat(task_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		parse_list(fd, pids);
	else if (errno == ENOENT && access("/proc/thread-self/children", F_OK) < 0)
		pids->unsupported = true;
	return !pids->unsupported;
}

static bool
on_process(void *context, int proc_fd, const char *name, int type)
{
	struct pids *pids = context;
	struct proc_info info;

	(void)proc_fd;
	(void)type;
	if (isdigit((unsigned char)*name) && !proc_read((pid_t)strtol(name, NULL, 10), &info) &&
	    info.parent == pids->parent)
		add(pids, info.pid);
	return true;
}

size_t
children_of_by_scan(pid_t parent, pid_t *at, size_t size, bool *ret_more)
{
	struct pids pids = {.parent = parent, .at = at, .size = size};

	dir_each(AT_FDCWD, "/proc", on_process, &pids);
	*ret_more = pids.more;
	return pids.count;
}

size_t
children_of(pid_t parent, pid_t *at, size_t size, bool *ret_more)
{
	struct pids pids = {.parent = parent, .at = at, .size = size};
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/task", (int)parent);
	dir_each(AT_FDCWD, path, on_thread, &pids);
	if (pids.unsupported)
		return children_of_by_scan(parent, at, size, ret_more);
	*ret_more = pids.more;
	return pids.count;
}
