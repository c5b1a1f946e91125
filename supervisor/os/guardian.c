#include "os/guardian.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "os/guardian_run.h"
#include "os/spawn.h"

#define OOM_SCORE      (-900)
#define OOM_SCORE_TEXT "-900"

static void
protect(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* Before the fork: whoever is killed in plugd's place, plugins are there to be killed. */
static void
ask_to_be_spared(void)
{
	AUTO_CLOSE int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
	char before[8] = "";
	ssize_t got = fd < 0 ? -1 : read(fd, before, sizeof(before) - 1);

	unsetenv(SPAWN_ENV_OOM_SCORE);
	if (got <= 0 || atoi(before) <= OOM_SCORE ||
	    pwrite(fd, OOM_SCORE_TEXT, strlen(OOM_SCORE_TEXT), 0) < 0)
		return; /* asking takes CAP_SYS_RESOURCE */
	before[strcspn(before, "\n")] = '\0';
	setenv(SPAWN_ENV_OOM_SCORE, before, 1);
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

	ask_to_be_spared();
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

void
guardian_resume(struct guardian *ret, pid_t pid, int fd)
{
	protect();
	ret->pid = pid;
	ret->fd = fd;
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
guardian_hold(const struct guardian *guardian, int fd)
{
	char kind = GUARDIAN_HOLD, control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec part = {&kind, 1};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
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
