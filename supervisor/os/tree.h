/*
 * Ending a process with everything that it started, whatever that did to hide: sessions and groups
 * of their own, double forks, fork bombs.
 *
 * The caller is a subreaper, so a descendant whose parents are dead is its child: a "stranger".
 * Known children are those that spawn_process() made; they are only ever reaped through their
 * pidfd, strangers only ever here.  A pid is signalled through a pidfd after its parent was
 * verified, so one that was reused is never hit.  Main thread only.  Nothing here blocks, except
 * tree_end_all() up to its deadline; each call does a bounded number of rounds.
 */
#ifndef PLUGD_TREE_H
#define PLUGD_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <plug/error.h>

#include "os/exit_status.h"
#include "wire.h"

/*
 * Signal the process, its group and all its descendants.  `leader` is a known child that was not
 * reaped (a zombie will do).  Returns how many of them were alive.
 */
unsigned tree_signal(pid_t leader, int number);

/* SIGKILL to the group alone: one system call. `leader` as above. */
void tree_kill_group(pid_t leader);

/* Stops all of the tree first, so that nothing can fork away, then SIGKILL to all of it. */
unsigned tree_kill(pid_t leader);

#define STRANGER_INSTANCE_BYTES 80

/* What is known of a child that is not a known one. */
struct stranger {
	pid_t pid;
	pid_t group;
	pid_t session;    /* the pid of the instance, unless it made its own */
	char command[16]; /* first 15 bytes of its name */
	char instance[STRANGER_INSTANCE_BYTES]; /* PLUG_INSTANCE of its environment, or "" */
	uint32_t generation;                    /* PLUG_GENERATION; or 0 */
	char token[2 * PLUG_TOKEN_BYTES + 1];   /* PLUG_TOKEN: secret, so it proves the two above */
};

struct tree_callbacks {
	/* Is this pid a known child?  Called for every child. */
	bool (*is_known)(void *context, pid_t pid);
	/* Is this stranger, with all its descendants, to be killed?  NULL: every one is. */
	bool (*belongs)(void *context, const struct stranger *stranger);
	/* A stranger was reaped.  May be NULL. */
	void (*on_reaped)(void *context, pid_t pid, const struct exit_status *status);
	void *context;
};

/* Reap the strangers that have ended; known children are left.  On SIGCHLD.  Returns how many. */
unsigned tree_reap_strangers(const struct tree_callbacks *callbacks);

/* Kill the strangers that belong, frozen first.  Returns the number of processes killed. */
unsigned tree_kill_strangers(const struct tree_callbacks *callbacks);

/*
 * Kill and reap every descendant of the caller, known or not, and wait for their end.
 *
 * PLUG_ETIMEOUT  some are left (SIGKILL does not end them: uninterruptible sleep); *ret_left says
 *                how many children
 */
plug_err tree_end_all(unsigned timeout_ms, unsigned *ret_left);

#endif
