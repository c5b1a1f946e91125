#include "os/sigchld.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

int
sigchld_open(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return -1;
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGCHLD,
	       SIG_DFL); /* whoever ignores it gets no word, and has no child to wait for */
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
