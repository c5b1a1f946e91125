#include "os/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "os/exit_status.h"
#include "os/random.h"
#include "os/spawn_child.h"
#include "os/spawn_memory.h"

#define PROBE_TIMEOUT_MS 2000

static bool cannot_be_born_in_cgroup;

bool
spawn_cgroup_found(void)
{
	return !cannot_be_born_in_cgroup;
}

void
spawn_set_cgroup_found(bool can_be_born)
{
	cannot_be_born_in_cgroup = !can_be_born;
}

static bool
request_is_valid(const struct spawn_request *request)
{
	uint64_t taken = 0;

	if (!request->argv || !request->argv[0] || !request->envp || request->fd_count > SPAWN_FDS)
		return false;
	if (request->stdout_fd < 0 || request->stderr_fd < 0)
		return false;
	if (!request->path && request->exec_fd < 0)
		return false;
	for (size_t i = 0; i < request->fd_count; i++) {
		int target = request->fds[i].target;

		if (target < 3 || target > SPAWN_TARGET_MAX || taken >> target & 1)
			return false;
		taken |= UINT64_C(1) << target;
	}
	return true;
}

static pid_t
clone_child(const struct spawn_child *child, int cgroup_fd, int *ret_pidfd)
{
	struct clone_args args = {
		.flags = CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)ret_pidfd,
		.exit_signal = SIGCHLD,
	};
	long pid;

	if (cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_fd;
	}
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0 && !child)
		syscall(SYS_exit_group, 0);
	if (pid == 0)
		spawn_child_run(child);
	return (pid_t)pid;
}

bool
spawn_probe_cgroup(int cgroup_fd)
{
	AUTO_CLOSE int pidfd = -1;
	struct exit_status status = {0};
	struct pollfd end = {.events = POLLIN};
	pid_t pid = clone_child(NULL, cgroup_fd, &pidfd);
	bool lives = false;

	if (pid > 0) {
		end.fd = pidfd;
		if (poll(&end, 1, PROBE_TIMEOUT_MS) != 1)
			kill(pid, SIGKILL);
		lives = !exit_status_reap(pidfd, &status) && !status.signal;
	}
	cannot_be_born_in_cgroup = !lives;
	return lives;
}

/* Not fork(): its handlers belong to libraries, and the child must run none of them. */
static pid_t
fork_child(const struct spawn_child *child, int *ret_pidfd)
{
	long pid = syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L);

	if (pid == 0)
		spawn_child_run(child);
	if (pid < 0)
		return -1;
	*ret_pidfd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	if (*ret_pidfd < 0) {
		int saved = errno;

		kill((pid_t)pid, SIGKILL);
		waitpid((pid_t)pid, NULL, 0);
		errno = saved;
		return -1;
	}
	return (pid_t)pid;
}

static bool
out_of_processes(void)
{
	return errno == EAGAIN || errno == ENOMEM;
}

static pid_t
make_child(struct spawn_child *child, bool try_clone3, struct spawned *made)
{
	int cgroup_fd = child->request->cgroup_fd;
	pid_t pid = -1;

	errno = ENOSYS;
	if (try_clone3 && cgroup_fd >= 0 && !cannot_be_born_in_cgroup)
		pid = clone_child(child, cgroup_fd, &made->pidfd);
	made->in_cgroup = pid > 0;
	if (pid > 0 || out_of_processes())
		return pid;
	child->enter_cgroup = cgroup_fd >= 0;
	if (try_clone3)
		pid = clone_child(child, -1, &made->pidfd);
	if (pid > 0 || out_of_processes())
		return pid;
	return fork_child(child, &made->pidfd);
}

/* No handler of ours may run in the child before it has reset them. */
static pid_t
make_child_unsignalled(const struct spawn_child *child, bool try_clone3, struct spawned *made)
{
	struct spawn_memory *memory = spawn_memory_new(child);
	sigset_t all, old;
	pid_t pid;
	int saved;

	if (!memory)
		return -1;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	spawn_memory_hide_heap();
	pid = make_child(spawn_memory_child(memory), try_clone3, made);
	saved = errno;
	spawn_memory_show_heap();
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	spawn_memory_free(memory);
	errno = saved;
	return pid;
}

static plug_err
spawn(const struct spawn_request *request, bool try_clone3, struct spawned *ret)
{
	AUTO_CLOSE int read_end = -1, write_end = -1;
	struct spawn_child child = {
		.request = request, .parent = getpid(), .oom_score = getenv(SPAWN_ENV_OOM_SCORE)};
	struct spawned made = {.pidfd = -1};
	int ends[2];

	if (!request_is_valid(request))
		return PLUG_EINVAL;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return PLUG_ESYS;
	read_end = ends[0];
	write_end = child.error_fd = ends[1];
	made.pid = make_child_unsignalled(&child, try_clone3, &made);
	if (made.pid < 0)
		return PLUG_ESYS;
	made.error_fd = steal_fd(&read_end);
	*ret = made;
	return PLUG_OK;
}

plug_err
spawn_process(const struct spawn_request *request, struct spawned *ret)
{
	return spawn(request, true, ret);
}

plug_err
spawn_process_fork(const struct spawn_request *request, struct spawned *ret)
{
	return spawn(request, false, ret);
}

static bool
is_for_want(const struct spawn_failure *failure)
{
	int error = failure->error;

	/* F_DUPFD says EINVAL when what it shall be above is above the limit. */
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == EAGAIN ||
	       (failure->step == SPAWN_STEP_FDS && error == EINVAL);
}

static const char *
hint(const struct spawn_failure *failure)
{
	if (failure->step <= SPAWN_STEP_STDIN && is_for_want(failure))
		return " (the descriptor limit is too low or used up: raise `ulimit -n`, or "
		       "LimitNOFILE= of the service)";
	if (failure->step != SPAWN_STEP_EXEC)
		return "";
	if (failure->exists)
		return " (the file is there: its interpreter or dynamic loader is not)";
	if (failure->error == EACCES)
		return " (is it a regular file with the execute bit, on a file system without "
		       "noexec?)";
	if (failure->error == ENOEXEC)
		return " (neither a binary for this machine nor a script with a #! line)";
	return "";
}

static void
changed_text(const struct spawn_failure *failure, char *text, size_t size)
{
	char found[2 * SPAWN_DIGEST_BYTES + 1], expected[2 * SPAWN_DIGEST_BYTES + 1];

	hex_encode(found, failure->found, sizeof(failure->found));
	hex_encode(expected, failure->expected, sizeof(failure->expected));
	snprintf(text, size,
		 "%s was changed after it was installed: its SHA-256 is %s, pinned is %s; install "
		 "it again, or another version",
		 failure->path, found, expected);
}

plug_err
spawn_error_read(int error_fd, char *text, size_t size, bool *ret_for_want)
{
	static const char *const steps[] = {
#define SPAWN_STEP_TEXT(name, step_text) [name] = step_text,
		SPAWN_STEP_MAP(SPAWN_STEP_TEXT)
#undef SPAWN_STEP_TEXT
	};
	struct spawn_failure failure;
	const char *description;
	ssize_t got = read(error_fd, &failure, sizeof(failure));

	if (got < 0)
		return PLUG_EAGAIN;
	if (got != sizeof(failure) || failure.step >= SPAWN_STEP_COUNT)
		return PLUG_ENOTFOUND;
	failure.path[sizeof(failure.path) - 1] = '\0';
	description = strerrordesc_np(failure.error);
	*ret_for_want = is_for_want(&failure);
	if (failure.step == SPAWN_STEP_CHECK && failure.changed) {
		changed_text(&failure, text, size);
		return PLUG_OK;
	}
	snprintf(text, size, "%s%s%s: %s%s", steps[failure.step], failure.path[0] ? " " : "",
		 failure.path, description ? description : "unknown error", hint(&failure));
	return PLUG_OK;
}
