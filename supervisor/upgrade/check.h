/*
 * A new plugd proves itself on a copy of the state, as a child of the one that runs: BINARY
 * --check-state, with the state as descriptor 3.  It says one line and exits with 0 or 1:
 *
 *     plugd-state: VERSION: ok
 *     plugd-state: VERSION: refused: REASON
 */
#ifndef PLUGD_UPGRADE_CHECK_H
#define PLUGD_UPGRADE_CHECK_H

#include <ev.h>
#include <plug/error.h>
#include <stdbool.h>
#include <sys/types.h>

#define CHECK_OPTION  "--check-state"
#define CHECK_FD      3
#define CHECK_LINE    "plugd-state: "
#define CHECK_SECONDS 10.0
#define CHECK_BYTES   2048 /* of what it says */

struct check {
	struct ev_loop *loop;
	/* Once, when it has ended or was ended.  `version` is NULL when it refused or broke; then
	 * `why` says so. */
	void (*on_done)(void *user, const char *version, const char *why);
	void *user;

	/* private */
	pid_t pid; /* 0: none runs */
	int pidfd, error_fd, said_fd;
	ev_io end_w, said_w;
	ev_timer deadline_w;
	bool late;
	char said[CHECK_BYTES];
	size_t used;
};

void check_init(struct check *check, struct ev_loop *loop,
		void (*on_done)(void *user, const char *version, const char *why), void *user);

/* Begin.  The descriptors stay the caller's.  PLUG_ESYS: errno says why. */
plug_err check_start(struct check *check, int program_fd, const char *path, int state_fd);

/* Kill it if it runs; nothing is called any more. */
void check_stop(struct check *check);

/* In the child: say what came of it; the exit status. */
int check_say(const char *version, const char *why);

#endif
