/*
 * How a process is kept to what its manifest allows: user, limits, sandbox.
 *
 * Limits go to the process's cgroup where a controller is there, else to rlimits where one of them
 * means the same; what neither can enforce is not enforced, and confine_text() says so.
 */
#ifndef PLUGD_CONFINE_H
#define PLUGD_CONFINE_H

#include "os/cgroup.h"
#include "os/sandbox.h"
#include "plugin/spec.h"

struct confine {
	struct sandbox sandbox;
	unsigned cgroup_set; /* enum cgroup_controller: limits in force */
	char text[768];  /* "user nobody; memory 64 MB by cgroup; …"; "" when nothing was asked */
	bool incomplete; /* a limit that was asked for is not in force */
};

#define CONFINE_INIT                    \
	{                               \
		.sandbox = SANDBOX_INIT \
	}

/*
 * Before the spawn; `group` is the process's, empty as yet.  On failure *ret is untouched and `why`
 * says what to change: the process is not started.  Errors as sandbox_prepare().
 */
plug_err confine_prepare(const struct spec *spec, const struct cgroup_group *group,
			 struct confine *ret, struct reason *why);

void confine_fini(struct confine *confine);

/* Is this "NAME=value" of plugd's environment for that plugin? */
bool confine_inherits(const struct spec *spec, const char *item);

#endif
