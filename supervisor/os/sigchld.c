#include "os/sigchld.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

int
sigchld_open(void)
{
	struct sigaction now;
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return -1;
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* Whoever ignores it gets no word, and has no child to wait for. */
	if (sigaction(SIGCHLD, NULL, &now) == 0 && now.sa_handler == SIG_IGN)
		signal(SIGCHLD, SIG_DFL);
	return fd;
}

/* There is one at a time: it is not queued. */
void
sigchld_clear(int fd)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		;
}
