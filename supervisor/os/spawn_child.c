/*
 * The other threads of the parent do not exist here, and their locks may be held for ever: nothing
 * but system calls.  They are made with syscall(), so that no library or sanitizer wrapper runs.
 * libsodium's SHA-256 only computes: it takes no lock and no memory.
 */
#include "os/spawn_child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/prctl.h>
#include <signal.h>
#include <sodium/crypto_hash_sha256.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

#define KERNEL_SIGNALS     64
#define KERNEL_SIGSET_SIZE 8

static _Noreturn void
send_failure(const struct spawn_child *child, struct spawn_failure *failure, const char *path)
{
	for (size_t i = 0; path && path[i] && i + 1 < sizeof(failure->path); i++)
		failure->path[i] = path[i];
	syscall(SYS_write, child->error_fd, failure, sizeof(*failure));
	for (;;)
		syscall(SYS_exit_group, 127);
}

static _Noreturn void
give_up(const struct spawn_child *child, enum spawn_step step, const char *path)
{
	struct spawn_failure failure = {.error = errno, .step = (uint8_t)step};

	if (step == SPAWN_STEP_EXEC && errno == ENOENT && path)
		failure.exists = syscall(SYS_faccessat, AT_FDCWD, path, F_OK) == 0;
	send_failure(child, &failure, path);
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

/* Raising it is always allowed. */
static void
set_oom_score(const char *score)
{
	long fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	size_t length = 0;

	if (fd < 0)
		return;
	while (score[length])
		length++;
	syscall(SYS_write, fd, score, length);
	syscall(SYS_close, fd);
}

/* Above every target, so that none is overwritten; no higher, as the limit may be low. */
static int
move_up(const struct spawn_child *child, int fd)
{
	int lowest = STDERR_FILENO + 1;
	long moved;

	for (size_t i = 0; i < child->request->fd_count; i++)
		if (child->request->fds[i].target >= lowest)
			lowest = child->request->fds[i].target + 1;
	moved = syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, lowest);

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

/* ---- what was pinned ---- */

static void
hash(const struct spawn_child *child, const struct spawn_check *check, int fd,
     unsigned char digest[SPAWN_DIGEST_BYTES])
{
	unsigned char block[16384];
	crypto_hash_sha256_state state;
	long at = 0, got;

	crypto_hash_sha256_init(&state);
	while ((got = syscall(SYS_pread64, fd, block, sizeof(block), at)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			give_up(child, SPAWN_STEP_CHECK, check->path);
		crypto_hash_sha256_update(&state, block, (unsigned long long)got);
		at += got;
	}
	crypto_hash_sha256_final(&state, digest);
}

static void
check_file(const struct spawn_child *child, const struct spawn_check *check)
{
	struct spawn_failure failure = {.step = SPAWN_STEP_CHECK, .changed = 1};
	long fd = check->fd;
	unsigned differ = 0;

	if (fd < 0)
		fd = syscall(SYS_openat, AT_FDCWD, check->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		give_up(child, SPAWN_STEP_CHECK, check->path);
	hash(child, check, (int)fd, failure.found);
	if (check->fd < 0)
		syscall(SYS_close, fd);
	for (size_t i = 0; i < SPAWN_DIGEST_BYTES; i++) {
		failure.expected[i] = check->digest[i];
		differ |= (unsigned)(failure.found[i] ^ check->digest[i]);
	}
	if (differ)
		send_failure(child, &failure, check->path);
}

/* A change of user clears the parent-death signal. */
static void
change_user(const struct spawn_child *child, const struct sandbox *sandbox)
{
	if (sandbox_enter_user(sandbox) < 0)
		give_up(child, SPAWN_STEP_USER, NULL);
	if (sandbox->set_user)
		die_with_parent(child);
}

_Noreturn void
spawn_child_run(const struct spawn_child *given)
{
	struct spawn_child own = *given, *child = &own;
	const struct spawn_request *request = child->request;
	struct sandbox sandbox = SANDBOX_INIT;
	int exec_fd;

	reset_signals();
	if (syscall(SYS_setsid) < 0)
		give_up(child, SPAWN_STEP_SETSID, NULL);
	die_with_parent(child);
	if (child->enter_cgroup)
		enter_cgroup(request->cgroup_fd);
	if (child->oom_score)
		set_oom_score(child->oom_score);
	for (size_t i = 0; i < request->check_count; i++)
		check_file(child, &request->checks[i]);
	if (request->sandbox)
		sandbox = *request->sandbox;
	if (sandbox.landlock_fd >= 0)
		sandbox.landlock_fd = move_up(child, sandbox.landlock_fd);
	pass_descriptors(child, &exec_fd);
	syscall(SYS_umask, request->umask);
	restore_limit(child);
	change_user(child, &sandbox);
	if (request->cwd && syscall(SYS_chdir, request->cwd) < 0)
		give_up(child, SPAWN_STEP_CHDIR, request->cwd);
	if (sandbox_enter(&sandbox) < 0)
		give_up(child, SPAWN_STEP_SANDBOX, NULL);
	unblock_signals();
	errno = ENOENT;
	if (exec_fd >= 0)
		syscall(SYS_execveat, exec_fd, "", request->argv, request->envp, AT_EMPTY_PATH);
	/* So it is with what another program interprets: that is given a name, never a descriptor
	 * which is closed on exec. */
	if (errno == ENOENT && request->path)
		syscall(SYS_execve, request->path, request->argv, request->envp);
	give_up(child, SPAWN_STEP_EXEC, request->path);
}
