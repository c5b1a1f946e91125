/*
 * Limits on a group: memory, processor time, processes.  Each needs its controller, which cgroup v2
 * gives to a group only when every group above has it enabled for its children.  What is not there
 * is not an error here: the caller learns which limits are in force, and decides.
 */
#ifndef PLUGD_CGROUP_LIMIT_H
#define PLUGD_CGROUP_LIMIT_H

#include <stdint.h>

#include "os/cgroup.h"

enum cgroup_controller {
	CGROUP_MEMORY = 1 << 0,
	CGROUP_CPU = 1 << 1,
	CGROUP_PIDS = 1 << 2,
};

struct cgroup_limits {
	uint64_t memory_bytes; /* 0: none, as for all of these; swap counts, too */
	uint64_t cpu_millis;   /* thousandths of one processor */
	uint64_t pids;
};

/*
 * Enable the controllers for the groups below `dir_fd`, and for that first in the group above when
 * it lacks them.  Returns those (enum cgroup_controller) that its groups have now.
 */
unsigned cgroup_enable_controllers(int dir_fd);

/* Set the limits of the group `dir_fd`.  Returns those in force; what was asked for and is not in
 * force has no controller here, or was refused by the kernel. */
unsigned cgroup_set_limits(int dir_fd, const struct cgroup_limits *limits);

/* How often the kernel has killed a process of the group because the group's memory was full; 0
 * when not known. */
uint64_t cgroup_oom_kills(int dir_fd);

/* Bytes in use by the group, now and at most so far; false when there is no memory controller.
 * *ret_peak is 0 before Linux 5.19. */
bool cgroup_memory(int dir_fd, uint64_t *ret_now, uint64_t *ret_peak);

/* "memory, pids"; "none".  Returns `text`. */
const char *cgroup_controllers_text(unsigned controllers, char *text, size_t size);

#endif
