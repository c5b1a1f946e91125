/* Groups by their directory; for cgroup.c and cgroup_group.c only. */
#ifndef PLUGD_CGROUP_DIR_H
#define PLUGD_CGROUP_DIR_H

#include "os/cgroup.h"

/* SIGKILL to the group and what is below it. */
plug_err cgroup_dir_kill(int dir_fd, enum cgroup_rung rung);

/* Removes `name` and its sub-groups.  PLUG_EBUSY: processes are left.  PLUG_OK when it is gone. */
plug_err cgroup_dir_remove(int parent_fd, const char *name);

/* CGROUP_KILL where the file can be written, else CGROUP_PROCS. */
enum cgroup_rung cgroup_dir_rung(int dir_fd);

#endif
