/*
 * The runtime directory: 0700, ours, no symbolic link; holds plugd.sock, plugd.pid (locked while a
 * daemon runs) and s/, where each session has a directory with a random name.
 *
 * Everything goes through the directory's descriptor; paths are made only to be handed to others.
 * Main thread; nothing blocks.
 */
#ifndef PLUGD_RUNDIR_H
#define PLUGD_RUNDIR_H

#include <limits.h>
#include <stddef.h>
#include <sys/types.h>

#include <plug/error.h>

#include "os/reason.h"

#define RUNDIR_SOCKET_BYTES 107 /* longest path of a Unix socket */
#define RUNDIR_SESSION_HEX  12
#define RUNDIR_PATH_BYTES   (RUNDIR_SOCKET_BYTES + 1)

struct rundir {
	int fd;
	int lock_fd;
	int sessions_fd;              /* s/ */
	char path[RUNDIR_PATH_BYTES]; /* absolute */
};

#define RUNDIR_INIT                                        \
	{                                                  \
		.fd = -1, .lock_fd = -1, .sessions_fd = -1 \
	}

struct rundir_session {
	char name[RUNDIR_SESSION_HEX + 1]; /* below s/; "" when there is none */
};

/* $XDG_RUNTIME_DIR/plugd, else /run/plugd.  PLUG_ETOOLARGE with the reason. */
plug_err rundir_default_path(char *path, size_t size, struct reason *why);

/*
 * Open, and create if missing (its parent must exist), then lock it and write our pid.  What a dead
 * daemon left (plugd.sock, sessions) is removed.  On failure *ret is untouched, nothing of a
 * running daemon is disturbed, and `why` says all.
 *
 * PLUG_EDENIED    a symbolic link, not a directory, foreign, too open, or in a directory where
 * others could replace it PLUG_EBUSY      another daemon runs there; *ret_holder is its pid, 0 if
 * not known PLUG_ETOOLARGE  the path leaves no room for socket names PLUG_ESYS       errno says why
 */
plug_err rundir_open(const char *path, struct rundir *ret, pid_t *ret_holder, struct reason *why);

/* Remove the sessions, the socket and the pid file, unlock.  Accepts RUNDIR_INIT. */
void rundir_close(struct rundir *rundir);

/* Path of `name` in the directory.  It fits: rundir_open() saw to that.  PLUG_ETOOLARGE if not. */
plug_err rundir_path(const struct rundir *rundir, const char *name, char *path, size_t size);

/* A new 0700 directory below s/.  PLUG_ESYS: errno says why. */
plug_err rundir_session_new(const struct rundir *rundir, struct rundir_session *ret);

/* Path of `name` (at most 2 bytes, so that every path fits) in the session's directory. */
plug_err rundir_session_path(const struct rundir *rundir, const struct rundir_session *session,
			     const char *name, char *path, size_t size);

/* From now on processes of other users reach their own session's directory and plugd.sock, whose
 * doorman knows them by their token: 0711, and 0666 for the socket.  PLUG_ESYS. */
plug_err rundir_admit_users(const struct rundir *rundir);

/* Make the session's directory and what is in it that user's.  PLUG_ESYS: errno says why. */
plug_err rundir_session_give(const struct rundir *rundir, const struct rundir_session *session,
			     uid_t uid);

/* Remove it with its content and clear the name.  Does nothing when there is none. */
void rundir_session_remove(const struct rundir *rundir, struct rundir_session *session);

#endif
