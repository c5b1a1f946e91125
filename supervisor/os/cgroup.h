/*
 * Process groups that nothing escapes: cgroup2, where it can be written.
 *
 * The ladder, best first: CGROUP_KILL (one write ends a group with all its sub-groups),
 * CGROUP_PROCS (rounds over cgroup.procs), CGROUP_NONE (the caller has tree.h only).  Which rung is
 * in force is found once, by cgroup_open().  With CGROUP_NONE every call succeeds and does nothing,
 * so callers have one path.  Main thread; only cgroup_open()
 * may block.
 */
#ifndef PLUGD_CGROUP_H
#define PLUGD_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include <plug/error.h>

#include "os/reason.h"

enum cgroup_rung { CGROUP_NONE, CGROUP_PROCS, CGROUP_KILL };

/* The daemon's own base group; one directory a daemon. */
struct cgroup {
	enum cgroup_rung rung;
	int fd;               /* the base group's directory, -1 with CGROUP_NONE */
	char path[PATH_MAX];  /* of the base group; "" with CGROUP_NONE */
	struct reason why;    /* why no better rung; "" with CGROUP_KILL */
	bool untidy;          /* a group could not be removed when it was asked for */
	unsigned controllers; /* enum cgroup_controller: limits that groups can have */
};

/* One generation's group: not to be used again after a kill, see spawn_probe_cgroup(). */
struct cgroup_group {
	int fd; /* for spawn_request.cgroup_fd; -1 with CGROUP_NONE or when it could not be made */
	char name[80];
};

#define CGROUP_GROUP_INIT \
	{                 \
		.fd = -1  \
	}

/*
 * Find the best rung and make the base group, below the group that the caller is in, named by pid
 * and start time.  Groups there that dead daemons left are ended and removed, for which it may wait
 * some seconds.  Never fails: the reason is in ret->why.
 */
void cgroup_open(struct cgroup *ret);

/* Remove the base group and close it; what is still in it is not killed. */
void cgroup_close(struct cgroup *cgroup);

/* "cgroup.kill in /sys/fs/cgroup/…", "process groups and subreaper: …why".  Returns `text`. */
const char *cgroup_text(const struct cgroup *cgroup, char *text, size_t size);

/*
 * Make the group `name` (no slash, not starting with a dot, at most 79 bytes).
 *
 * PLUG_EINVAL  malformed name
 * PLUG_ESYS    errno says why; group->fd is -1, and the instance is started without
 */
plug_err cgroup_group_open(struct cgroup *cgroup, const char *name, struct cgroup_group *ret);

/* SIGKILL to all of the group and its sub-groups.  PLUG_ESYS: errno says why. */
plug_err cgroup_group_kill(const struct cgroup *cgroup, const struct cgroup_group *group);

/* Does a process live in it or in a sub-group?  Zombies do not count.  false when not known. */
bool cgroup_group_populated(const struct cgroup_group *group);

/*
 * Remove it with its sub-groups and close it.
 *
 * PLUG_EBUSY  processes are left: `group` stays open; try again when they are gone, or close it: a
 *             later cgroup_group_open() removes it when it is empty
 */
plug_err cgroup_group_remove(struct cgroup *cgroup, struct cgroup_group *group);

/* Close the descriptor, leaving the group. */
void cgroup_group_close(struct cgroup_group *group);

/*
 * Kill everything in the group at `path` and below it, then remove it as far as it is empty.  For
 * the guardian, which has the path only.  PLUG_EBUSY: processes are still ending, try again.
 */
plug_err cgroup_end_path(const char *path);

#endif
