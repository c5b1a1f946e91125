/* The guardian's own life; for guardian.c only. */
#ifndef PLUGD_GUARDIAN_RUN_H
#define PLUGD_GUARDIAN_RUN_H

#include <limits.h>
#include <signal.h>
#include <sys/types.h>

/* A message of the daemon's is one of these and a text. */
#define GUARDIAN_CGROUP        'G'
#define GUARDIAN_NOTIFY        'N'
#define GUARDIAN_HOLD          'H'      /* no text, and a descriptor */
#define GUARDIAN_MESSAGE_BYTES PATH_MAX /* with the kind */

/* Takes `fd`, its end of the lifeline.  The signals to be passed on are blocked. */
_Noreturn void guardian_run(pid_t daemon, int fd, const sigset_t *forwarded);

#endif
