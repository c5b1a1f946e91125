/* How a process ended. */
#ifndef PLUGD_EXIT_STATUS_H
#define PLUGD_EXIT_STATUS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <plug/error.h>

#define SIGNAL_NAME_BYTES 16

struct exit_status {
	int code;   /* exit code; meaningful when signal is 0 */
	int signal; /* that killed it, else 0 */
	bool core_dumped;
	/* The most that it, or a child that it waited for, had resident; 0: not known.  The kernel
	 * counts what its parent had at the spawn, too. */
	uint64_t max_rss_bytes;
};

/*
 * Reap the process of `pidfd`, which stays open and the caller's.  Never blocks.  From then on its
 * pid may be another's: end its group and tree before.
 *
 * PLUG_EAGAIN  it has not ended
 * PLUG_ESYS    errno says why; ECHILD: not our child, or reaped before
 */
plug_err exit_status_reap(int pidfd, struct exit_status *ret);

/*
 * The same without reaping: the process, whose pid is `pid`, stays a zombie and its pid its own.
 * One that a debugger holds cannot be reaped before that has done so: how it ended is told all the
 * same.
 */
plug_err exit_status_peek(pid_t pid, int pidfd, struct exit_status *ret);

void exit_status_from_siginfo(const siginfo_t *info, struct exit_status *ret);

/* Ended by its own fault: SIGSEGV SIGBUS SIGILL SIGFPE SIGABRT SIGSYS SIGTRAP. */
bool exit_status_is_fault(const struct exit_status *status);

/* "killed by SIGSEGV (core dumped)", "exit code 3".  Returns `text`. */
const char *exit_status_text(const struct exit_status *status, char *text, size_t size);

/* "SIGSEGV", "SIGRTMIN+3", "signal 99".  Returns `text`; SIGNAL_NAME_BYTES are enough. */
const char *signal_name(int number, char *text, size_t size);

#endif
