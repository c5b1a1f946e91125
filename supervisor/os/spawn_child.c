/*
 * The other threads of the parent do not exist here, and their locks may be held for ever: nothing
 * but system calls.  They are made with syscall(), so that no library or sanitizer wrapper runs.
 */
#include "os/spawn_child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/prctl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

#define KERNEL_SIGNALS     64
#define KERNEL_SIGSET_SIZE 8

static _Noreturn void
give_up(const struct spawn_child *child, enum spawn_step step, const char *path)
{
	struct spawn_failure failure = {.error = errno, .step = (uint8_t)step};

	if (step == SPAWN_STEP_EXEC && errno == ENOENT && path)
		failure.exists = syscall(SYS_faccessat, AT_FDCWD, path, F_OK) == 0;
	for (size_t i = 0; path && path[i] && i + 1 < sizeof(failure.path); i++)
		failure.path[i] = path[i];
	syscall(SYS_write, child->error_fd, &failure, sizeof(failure));
	for (;;)
		syscall(SYS_exit_group, 127);
}

/* A disposition survives exec when it is "ignore", so that it has to be reset here. */
static void
reset_signals(void)
{
	static const char default_action[64]; /* struct sigaction of the kernel: SIG_DFL is 0 */

	for (int number = 1; number <= KERNEL_SIGNALS; number++)
		syscall(SYS_rt_sigaction, number, default_action, NULL, KERNEL_SIGSET_SIZE);
}

static void
unblock_signals(void)
{
	static const unsigned char none[KERNEL_SIGSET_SIZE];

	syscall(SYS_rt_sigprocmask, SIG_SETMASK, none, NULL, KERNEL_SIGSET_SIZE);
}

/* Between the fork and prctl the parent may have died: then no signal will come. */
static void
die_with_parent(const struct spawn_child *child)
{
	if (syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		give_up(child, SPAWN_STEP_DEATHSIG, NULL);
	if (syscall(SYS_getppid) != child->parent)
		syscall(SYS_exit_group, 127);
}

/* Best effort: without it the tree is found by its parents only. */
static void
enter_cgroup(int cgroup_fd)
{
	long fd = syscall(SYS_openat, cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	syscall(SYS_write, fd, "0", 1);
	syscall(SYS_close, fd);
}

static int
move_up(const struct spawn_child *child, int fd)
{
	long moved = syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, SPAWN_TARGET_MAX + 1);

	if (moved < 0)
		give_up(child, SPAWN_STEP_FDS, NULL);
	return (int)moved;
}

static void
put(const struct spawn_child *child, int fd, int target)
{
	if (syscall(SYS_dup3, fd, target, 0) < 0)
		give_up(child, SPAWN_STEP_FDS, NULL);
}

/* CLOSE_RANGE_CLOEXEC is of Linux 5.11. */
static void
close_all_on_exec(void)
{
	struct rlimit limit = {.rlim_cur = 1024};

	if (syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC) == 0)
		return;
	syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit);
	for (rlim_t fd = 3; fd < limit.rlim_cur; fd++)
		syscall(SYS_fcntl, (int)fd, F_SETFD, FD_CLOEXEC);
}

static void
pass_descriptors(struct spawn_child *child, int *exec_fd)
{
	const struct spawn_request *request = child->request;
	int moved[SPAWN_FDS], out, err;
	long null;

	child->error_fd = move_up(child, child->error_fd);
	out = move_up(child, request->stdout_fd);
	err = move_up(child, request->stderr_fd);
	*exec_fd = request->exec_fd < 0 ? -1 : move_up(child, request->exec_fd);
	for (size_t i = 0; i < request->fd_count; i++)
		moved[i] = move_up(child, request->fds[i].fd);

	null = syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC);
	if (null < 0)
		give_up(child, SPAWN_STEP_STDIN, "/dev/null");
	close_all_on_exec();
	if (null)
		put(child, (int)null, STDIN_FILENO);
	else
		syscall(SYS_fcntl, (int)null, F_SETFD, 0);
	put(child, out, STDOUT_FILENO);
	put(child, err, STDERR_FILENO);
	for (size_t i = 0; i < request->fd_count; i++)
		put(child, moved[i], request->fds[i].target);
}

static void
restore_limit(const struct spawn_child *child)
{
	struct rlimit limit;

	if (!child->request->nofile_soft)
		return;
	if (syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) < 0)
		give_up(child, SPAWN_STEP_LIMIT, NULL);
	limit.rlim_cur = child->request->nofile_soft;
	if (limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	if (syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, NULL) < 0)
		give_up(child, SPAWN_STEP_LIMIT, NULL);
}

_Noreturn void
spawn_child_run(const struct spawn_child *given)
{
	struct spawn_child own = *given, *child = &own;
	const struct spawn_request *request = child->request;
	int exec_fd;

	reset_signals();
	if (syscall(SYS_setsid) < 0)
		give_up(child, SPAWN_STEP_SETSID, NULL);
	die_with_parent(child);
	if (child->enter_cgroup)
		enter_cgroup(request->cgroup_fd);
	pass_descriptors(child, &exec_fd);
	syscall(SYS_umask, request->umask);
	restore_limit(child);
	if (request->cwd && syscall(SYS_chdir, request->cwd) < 0)
		give_up(child, SPAWN_STEP_CHDIR, request->cwd);
	unblock_signals();
	if (exec_fd >= 0)
		syscall(SYS_execveat, exec_fd, "", request->argv, request->envp, AT_EMPTY_PATH);
	else
		syscall(SYS_execve, request->path, request->argv, request->envp);
	give_up(child, SPAWN_STEP_EXEC, request->path);
}
