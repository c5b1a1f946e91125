/* Who is whose child, as /proc tells it at this moment. */
#ifndef PLUGD_CHILDREN_H
#define PLUGD_CHILDREN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Pids of the children of all threads of `parent`, zombies included.  Returns how many were
 * written, at most `size`; *ret_more says that there were more.  Exact only while nothing forks or
 * ends; a caller that must have all of them asks again.
 */
size_t children_of(pid_t parent, pid_t *pids, size_t size, bool *ret_more);

/* The same by reading all of /proc, for kernels without CONFIG_PROC_CHILDREN. */
size_t children_of_by_scan(pid_t parent, pid_t *pids, size_t size, bool *ret_more);

#endif
