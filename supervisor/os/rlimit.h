/* The descriptor limit. */
#ifndef PLUGD_RLIMIT_H
#define PLUGD_RLIMIT_H

#include <sys/resource.h>

#include <plug/error.h>

/*
 * Raise the soft limit of descriptors to `want`, or as far as the hard limit allows; never lowers
 * it.  *ret_old is the limit before, for spawn_request.nofile_soft; *ret_now the one in force.
 */
plug_err rlimit_raise_nofile(rlim_t want, rlim_t *ret_old, rlim_t *ret_now);

#endif
