/*
 * The guardian: plugd's parent, which ends every process that a dead plugd leaves behind.
 *
 * main() starts it before anything else is opened and while there is one thread.  The calling
 * process becomes the guardian and never returns from guardian_start(); the daemon goes on in the
 * child.  Both are subreapers and not dumpable.
 *
 * The guardian passes SIGTERM SIGINT SIGHUP SIGUSR1 on (but not what a terminal sent, which the
 * daemon got itself), relays the daemon's words to the service manager, whose main process it is,
 * and waits.  When the daemon has ended, in whatever way, it kills all that was adopted, ends the
 * daemon's cgroup, and exits with the daemon's status, or 128 + the signal that killed it.
 *
 * Both ask the kernel to kill others first when memory is short (oom_score_adj), where they may.
 * The score before is in the environment, PLUG_OOM_SCORE, for what the daemon starts.
 *
 * Children that the calling process had before count as adopted.  The daemon's environment loses
 * NOTIFY_SOCKET: guardian_notify() is the way.
 *
 * When the guardian ends first, `fd` becomes readable (POLLHUP): the daemon then ends its trees
 * itself and exits.
 */
#ifndef PLUGD_GUARDIAN_H
#define PLUGD_GUARDIAN_H

#include <sys/types.h>

#include <plug/error.h>

struct guardian {
	pid_t pid;
	int fd; /* lifeline: readable only when the guardian has ended */
};

/*
 * Returns in the daemon only, or in the caller when it fails.
 *
 * PLUG_ESYS  no process or socket could be made; errno says why
 */
plug_err guardian_start(struct guardian *ret);

/* In a daemon that was executed anew: what an execve takes away is set again.  `fd` stays as it is.
 */
void guardian_resume(struct guardian *ret, pid_t pid, int fd);

/* Tell it which cgroup to end after the daemon.  PLUG_ESYS: errno says why. */
plug_err guardian_set_cgroup(const struct guardian *guardian, const char *path);

/* Have it keep `fd`, which stays the caller's, open until everything has ended: a lock that tells
 * the next daemon so.  PLUG_ESYS: errno says why. */
plug_err guardian_hold(const struct guardian *guardian, int fd);

/* Have it send `state` ("READY=1\nSTATUS=…") to the service manager, if there is one. */
plug_err guardian_notify(const struct guardian *guardian, const char *state);

void guardian_close(struct guardian *guardian);

#endif
