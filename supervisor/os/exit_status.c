#include "os/exit_status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/proc.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

void
exit_status_from_siginfo(const siginfo_t *info, struct exit_status *ret)
{
	bool exited = info->si_code == CLD_EXITED;

	*ret = (struct exit_status){
		.code = exited ? info->si_status : 0,
		.signal = exited ? 0 : info->si_status,
		.core_dumped = info->si_code == CLD_DUMPED,
	};
}

static plug_err
wait_for(int pidfd, int options, struct exit_status *ret)
{
	struct rusage usage = {0};
	siginfo_t info = {0};

	/* The C library's has no place for the usage. */
	while (syscall(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED | WNOHANG | options, &usage) < 0)
		if (errno != EINTR)
			return PLUG_ESYS;
	if (!info.si_pid)
		return PLUG_EAGAIN;
	exit_status_from_siginfo(&info, ret);
	ret->max_rss_bytes = (uint64_t)usage.ru_maxrss * 1024u;
	return PLUG_OK;
}

plug_err
exit_status_reap(int pidfd, struct exit_status *ret)
{
	return wait_for(pidfd, 0, ret);
}

plug_err
exit_status_peek(pid_t pid, int pidfd, struct exit_status *ret)
{
	plug_err err = wait_for(pidfd, WNOWAIT, ret);
	int status;

	if (err != PLUG_EAGAIN || proc_wait_status(pid, &status))
		return err;
	*ret = (struct exit_status){
		.code = WIFEXITED(status) ? WEXITSTATUS(status) : 0,
		.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
		.core_dumped = WIFSIGNALED(status) && WCOREDUMP(status),
	};
	return PLUG_OK;
}

bool
exit_status_is_fault(const struct exit_status *status)
{
	switch (status->signal) {
	case SIGSEGV:
	case SIGBUS:
	case SIGILL:
	case SIGFPE:
	case SIGABRT:
	case SIGSYS:
	case SIGTRAP:
		return true;
	default:
		return false;
	}
}

const char *
signal_name(int number, char *text, size_t size)
{
	const char *abbreviation = number > 0 ? sigabbrev_np(number) : NULL;

	if (abbreviation)
		snprintf(text, size, "SIG%s", abbreviation);
	else if (number == SIGRTMIN)
		snprintf(text, size, "SIGRTMIN");
	else if (number > SIGRTMIN && number <= SIGRTMAX)
		snprintf(text, size, "SIGRTMIN+%d", number - SIGRTMIN);
	else
		snprintf(text, size, "signal %d", number);
	return text;
}

const char *
exit_status_text(const struct exit_status *status, char *text, size_t size)
{
	char name[SIGNAL_NAME_BYTES];

	if (status->signal)
		snprintf(text, size, "killed by %s%s",
			 signal_name(status->signal, name, sizeof(name)),
			 status->core_dumped ? " (core dumped)" : "");
	else
		snprintf(text, size, "exit code %d", status->code);
	return text;
}
