#include "os/cgroup_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "os/dir.h"

#define MAX_DEPTH   16
#define KILL_ROUNDS 8

static plug_err
write_file(int dir_fd, const char *name, const char *text)
{
	AUTO_CLOSE int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC);
	ssize_t length = (ssize_t)strlen(text);

	return fd >= 0 && write(fd, text, (size_t)length) == length ? PLUG_OK : PLUG_ESYS;
}

enum cgroup_rung
cgroup_dir_rung(int dir_fd)
{
	return faccessat(dir_fd, "cgroup.kill", W_OK, AT_EACCESS) ? CGROUP_PROCS : CGROUP_KILL;
}

static size_t
read_pids(int dir_fd, pid_t *pids, size_t size)
{
	AUTO_CLOSE int fd = openat(dir_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	char text[4096];
	size_t count = 0;
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (got <= 0)
		return 0;
	text[got] = '\0';
	for (char *at = text; count < size && strchr(at, '\n'); at = strchr(at, '\n') + 1)
		pids[count++] = (pid_t)strtol(at, NULL, 10);
	return count;
}

/* The group is read again after the descriptor was opened: then it is of a member, or of nobody. */
static void
kill_member(int dir_fd, pid_t pid)
{
	AUTO_CLOSE int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	pid_t members[512];
	size_t count = read_pids(dir_fd, members, ARRAY_SIZE(members));

	for (size_t i = 0; fd >= 0 && i < count; i++)
		if (members[i] == pid)
			syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
}

struct kill_round {
	int depth;
	size_t killed;
};

/* Directories in a cgroup are its sub-groups. */
static bool
kill_members(void *context, int parent_fd, const char *name, int type)
{
	struct kill_round *round = context;
	AUTO_CLOSE int fd = -1;
	pid_t pids[512];
	size_t count;

	if (type != DT_DIR || round->depth == MAX_DEPTH)
		return true;
	fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return true;
	count = read_pids(fd, pids, ARRAY_SIZE(pids));
	for (size_t i = 0; i < count; i++)
		kill_member(fd, pids[i]);
	round->killed += count;
	round->depth++;
	dir_each(fd, ".", kill_members, round);
	round->depth--;
	return true;
}

/* Frozen first, where the kernel can, so that members do not multiply meanwhile. */
static plug_err
kill_by_members(int dir_fd)
{
	write_file(dir_fd, "cgroup.freeze", "1");
	for (int i = 0; i < KILL_ROUNDS; i++) {
		struct kill_round round = {0};

		kill_members(&round, dir_fd, ".", DT_DIR);
		if (!round.killed)
			break;
	}
	write_file(dir_fd, "cgroup.freeze", "0");
	return PLUG_OK;
}

plug_err
cgroup_dir_kill(int dir_fd, enum cgroup_rung rung)
{
	if (rung == CGROUP_KILL && !write_file(dir_fd, "cgroup.kill", "1"))
		return PLUG_OK;
	return kill_by_members(dir_fd);
}

static bool
remove_with_groups(void *context, int parent_fd, const char *name, int type)
{
	int *depth = context;

	if (type != DT_DIR || unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 || errno != EBUSY ||
	    *depth == MAX_DEPTH)
		return true;
	++*depth;
	dir_each(parent_fd, name, remove_with_groups, depth);
	--*depth;
	unlinkat(parent_fd, name, AT_REMOVEDIR);
	return true;
}

plug_err
cgroup_dir_remove(int parent_fd, const char *name)
{
	int depth = 0;

	remove_with_groups(&depth, parent_fd, name, DT_DIR);
	if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return PLUG_OK;
	return errno == EBUSY ? PLUG_EBUSY : PLUG_ESYS;
}
