/*
 * SIGCHLD by a descriptor.  A handler would come before the pidfd that tells which process has
 * ended: the wait for that is interrupted, the handler's stack page may have to be copied, and the
 * calls of the dead process wait.
 */
#ifndef PLUGD_SIGCHLD_H
#define PLUGD_SIGCHLD_H

/* Readable when a child has ended.  SIGCHLD stays blocked in this thread, and in those that it
 * starts, and over an execve(), too, which what has come outlives.  Before it was called children
 * may have ended unheard: look once.  -1: errno says why, and SIGCHLD is as it was. */
int sigchld_open(void);

/* It is not readable any more, until the next child ends. */
void sigchld_clear(int fd);

#endif
