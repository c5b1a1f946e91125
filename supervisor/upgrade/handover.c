#include "upgrade/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

#define ENV_STATE   "PLUGD_UPGRADE_STATE"
#define ENV_OLD     "PLUGD_UPGRADE_OLD"
#define ENV_REFUSED "PLUGD_UPGRADE_REFUSED"

static void
change_mask(int how)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
	sigset_t signals;

	sigemptyset(&signals);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		sigaddset(&signals, numbers[i]);
	sigprocmask(how, &signals, NULL);
}

void
handover_block(void)
{
	change_mask(SIG_BLOCK);
}

void
handover_unblock(void)
{
	change_mask(SIG_UNBLOCK);
}

static void
set_number(const char *name, int fd)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", fd);
	setenv(name, text, 1);
}

static void
set_inherited(const struct state_out *out, int state_fd, int old_fd, int flags)
{
	for (size_t i = 0; i < out->fd_count; i++)
		fcntl(out->fds[i], F_SETFD, flags);
	fcntl(state_fd, F_SETFD, flags);
	fcntl(old_fd, F_SETFD, flags);
}

static void
execute(int program_fd, char *const *argv)
{
	syscall(SYS_execveat, program_fd, "", argv, environ, AT_EMPTY_PATH);
}

static void
clear_environment(void)
{
	unsetenv(ENV_STATE);
	unsetenv(ENV_OLD);
	unsetenv(ENV_REFUSED);
}

void
handover_execute(int program_fd, char *const *argv, int state_fd, const struct state_out *out)
{
	AUTO_CLOSE int old_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int saved;

	if (old_fd < 0)
		return;
	set_number(ENV_STATE, state_fd);
	set_number(ENV_OLD, old_fd);
	set_inherited(out, state_fd, old_fd, 0);
	execute(program_fd, argv);
	saved = errno;
	set_inherited(out, state_fd, old_fd, FD_CLOEXEC);
	clear_environment();
	errno = saved;
}

static int
take_number(const char *name)
{
	const char *text = getenv(name);
	int fd = text ? atoi(text) : -1;

	return fd > 2 && fcntl(fd, F_GETFD) >= 0 ? fd : -1;
}

bool
handover_take(struct handover *ret)
{
	const char *refused = getenv(ENV_REFUSED);
	bool is_one = getenv(ENV_STATE) != NULL;

	*ret = (struct handover){take_number(ENV_STATE), take_number(ENV_OLD), ""};
	if (refused)
		snprintf(ret->refused, sizeof(ret->refused), "%s", refused);
	clear_environment();
	if (is_one)
		prctl(PR_SET_NAME, "plugd", 0, 0, 0); /* executed by descriptor, it has a number */
	return is_one && ret->state_fd >= 0;
}

void
handover_done(struct handover *handover)
{
	close_fd(&handover->state_fd);
	close_fd(&handover->old_fd);
}

void
handover_give_back(const struct handover *handover, char *const *argv, const char *why)
{
	if (*handover->refused || handover->old_fd < 0)
		return; /* that one has given it back already */
	set_number(ENV_STATE, handover->state_fd);
	setenv(ENV_REFUSED, why, 1);
	execute(handover->old_fd, argv);
	clear_environment();
}
