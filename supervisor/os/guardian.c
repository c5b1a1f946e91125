#include "os/guardian.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "os/guardian_run.h"

static void
protect(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

plug_err
guardian_start(struct guardian *ret)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
	AUTO_CLOSE int theirs = -1, ours = -1;
	pid_t guardian = getpid(), daemon;
	sigset_t forwarded, old;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return PLUG_ESYS;
	theirs = ends[0];
	ours = ends[1];
	sigemptyset(&forwarded);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		sigaddset(&forwarded, numbers[i]);
	sigprocmask(SIG_BLOCK, &forwarded, &old); /* none may end the guardian from here on */

	daemon = fork();
	if (daemon > 0) {
		close_fd(&ours);
		protect();
		guardian_run(daemon, steal_fd(&theirs), &forwarded);
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (daemon < 0)
		return PLUG_ESYS;
	protect();
	unsetenv("NOTIFY_SOCKET");
	ret->pid = guardian;
	ret->fd = steal_fd(&ours);
	return PLUG_OK;
}

static plug_err
tell(const struct guardian *guardian, char kind, const char *text)
{
	struct iovec parts[] = {{&kind, 1}, {(void *)(uintptr_t)text, strlen(text)}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = ARRAY_SIZE(parts)};

	if (strlen(text) >= GUARDIAN_MESSAGE_BYTES)
		return PLUG_ETOOLARGE;
	if (sendmsg(guardian->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return PLUG_ESYS;
	return PLUG_OK;
}

plug_err
guardian_set_cgroup(const struct guardian *guardian, const char *path)
{
	return tell(guardian, GUARDIAN_CGROUP, path);
}

plug_err
guardian_notify(const struct guardian *guardian, const char *state)
{
	return tell(guardian, GUARDIAN_NOTIFY, state);
}

void
guardian_close(struct guardian *guardian)
{
	close_fd(&guardian->fd);
}
