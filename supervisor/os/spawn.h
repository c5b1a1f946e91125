/*
 * Starting one process.
 *
 * The child is in a session and process group of its own (group id = session id = pid), gets
 * SIGKILL when the calling thread ends (so: call from the main thread only), has every signal at
 * its default and none blocked, and inherits no descriptor but the ones named here.
 */
#ifndef PLUGD_SPAWN_H
#define PLUGD_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <plug/error.h>

#include "os/sandbox.h"

/* What oom_score_adj of children is to be, where plugd has another one (guardian.h). */
#define SPAWN_ENV_OOM_SCORE "PLUG_OOM_SCORE"

#define SPAWN_FDS           8 /* most descriptors passed on, besides stdout and stderr */

struct spawn_fd {
	int fd;     /* of the caller, which keeps it */
	int target; /* its number in the child: 3 … 63, each once */
};

#define SPAWN_DIGEST_BYTES 32 /* SHA-256 */

/* A file that has to hold what it held, or nothing is executed. */
struct spawn_check {
	const char *path; /* absolute */
	int fd;           /* of the caller; -1: `path` is opened by the child */
	const unsigned char *digest;
};

struct spawn_request {
	const char *path; /* relative to `cwd`; never searched in PATH */
	int exec_fd; /* -1, or executed instead of `path`; what is interpreted (a #! script) cannot
			be, and is executed by its `path` all the same */
	char *const *argv; /* NULL-terminated, built before the call */
	char *const *envp; /* NULL-terminated; all that the child's environment holds */
	const char *cwd;   /* NULL: the caller's */
	int stdout_fd;     /* the caller keeps both; stdin is /dev/null */
	int stderr_fd;
	const struct spawn_fd *fds;
	size_t fd_count;
	int cgroup_fd;      /* -1, or the directory of the cgroup2 group to start in */
	mode_t umask;       /* of the child */
	rlim_t nofile_soft; /* soft descriptor limit of the child; 0: as the caller's */
	const struct spawn_check *checks; /* read by the child, however long that takes */
	size_t check_count;
	const struct sandbox *sandbox; /* NULL: none; its own limits come after nofile_soft */
};

#define SPAWN_REQUEST_INIT                                                                     \
	{                                                                                      \
		.exec_fd = -1, .stdout_fd = -1, .stderr_fd = -1, .cgroup_fd = -1, .umask = 077 \
	}

struct spawned {
	pid_t pid;
	int pidfd;      /* readable when the process has ended; owned by the caller */
	int error_fd;   /* see spawn_error_read(); non-blocking, owned by the caller */
	bool in_cgroup; /* born in `cgroup_fd`; when false the child enters it by itself, if it can
			 */
};

/*
 * Early in main(), once: what malloc() takes from the heap from now on is not copied into children,
 * which makes what a start costs independent of how much that is.
 */
void spawn_heap_starts(void);

/*
 * Main thread.  Returns when the child exists, before it executes: whether it could, is read from
 * `error_fd` (end of file on success).  All descriptors returned are close-on-exec.  On failure
 * *ret is untouched.
 *
 * PLUG_EINVAL  a target out of range or named twice, too many, no argv, stdout or stderr missing
 * PLUG_ESYS    no process, no pipe or no pidfd could be made; errno says why
 */
plug_err spawn_process(const struct spawn_request *request, struct spawned *ret);

/* As spawn_process(), leaving out clone3: what happens on a kernel or under a filter without it. */
plug_err spawn_process_fork(const struct spawn_request *request, struct spawned *ret);

/*
 * Try with a child that ends at once whether processes can be born in the empty group `cgroup_fd`.
 * When not, spawn_process() has children enter their group by themselves from then on, which costs
 * more.  Needed because kernels with the later fix of cgroup.kill's race with fork (seen on 6.18)
 * kill a child at birth when cgroup.kill was ever used on its parent's group, or on the one it is
 * born in.  So a group is never used again after a kill.
 */
bool spawn_probe_cgroup(int cgroup_fd);

/* What it found, to be handed on to another program in this process. */
bool spawn_cgroup_found(void);
void spawn_set_cgroup_found(bool can_be_born);

/*
 * What stopped the child before or at its execve, as "exec ./x: No such file or directory".  Never
 * blocks.  PLUG_OK: `text` is written, the process was never executed.  PLUG_EAGAIN: not known
 * yet.  PLUG_ENOTFOUND: there is nothing: it was executed, or was killed before.
 *
 * *ret_for_want, with PLUG_OK: descriptors, processes or memory were short; it may go better later.
 */
plug_err spawn_error_read(int error_fd, char *text, size_t size, bool *ret_for_want);

#endif
