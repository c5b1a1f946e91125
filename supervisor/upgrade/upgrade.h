/*
 * plugctl upgrade: another plugd takes the place of this one in the same process, and everything
 * that runs goes on.  Loop's thread only.
 *
 *   IDLE --operator--> ASKED --> CHECKING --it understands the state--> HELD --> DUE --execve--> …
 *    ^                   |           |                                             |
 *    +--- refused: why --+-----------+---------------------------------------------+
 *
 * Nothing of what runs is touched before the execve.  The state is written between two turns of the
 * loop, when no event is pending: a copy in ASKED, for the proof, and then in DUE, while signals
 * wait.  A plugd that was executed and cannot take over
 * executes the one before again, which tells the operator why.
 */
#ifndef PLUGD_UPGRADE_H
#define PLUGD_UPGRADE_H

#include <limits.h>

#include "os/guardian.h"
#include "serve/saved.h"
#include "upgrade/check.h"
#include "upgrade/handover.h"

enum upgrade_phase { UPGRADE_IDLE, UPGRADE_ASKED, UPGRADE_CHECKING, UPGRADE_HELD, UPGRADE_DUE };

struct upgrade {
	/* set by the owner */
	struct host *host;
	const struct guardian *guardian;
	char *const *argv; /* of this process */
	size_t tickets_per_client;
	/* Everything but what is below, as it is now. */
	void (*save)(void *user, struct state_out *out, Plugd__Saved *saved);
	void *user;

	/* read-only */
	unsigned count;    /* upgrades so far */
	uint64_t since_ms; /* CLOCK_MONOTONIC, of the last; 0: none */
	enum upgrade_phase phase;

	/* private */
	char program[PATH_MAX]; /* plugd was started from it */
	char binary[PATH_MAX];  /* is to take over */
	int binary_fd;
	struct ticket ticket; /* of the operator, who may have gone */
	uint64_t begun_ms, paused_ns;
	struct check check;
	ev_prepare due_w;
	ev_idle hurry_w; /* the loop does not sleep while one is due */
};

void upgrade_init(struct upgrade *upgrade);
void upgrade_fini(struct upgrade *upgrade);

/* From an operator; `binary` "": what plugd was started from, as it is on disk now. */
void upgrade_request(struct upgrade *upgrade, struct client *client, uint64_t id,
		     const char *binary);

/* One under way is called off: why. */
void upgrade_cancel(struct upgrade *upgrade, const char *why);

/* Is this a process of ours? */
bool upgrade_has_pid(const struct upgrade *upgrade, pid_t pid);

/* After the execve, in the plugd that runs now: as it was, then, when all is made anew and works,
 * what came of it is told. */
void upgrade_restore(struct upgrade *upgrade, const Plugd__SavedUpgrade *saved,
		     const struct serve_in *si);
void upgrade_tell(struct upgrade *upgrade, const Plugd__SavedUpgrade *saved, const char *refused);

#endif
