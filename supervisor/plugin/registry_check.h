/* Do these specs go together?  Names, requirements, order. */
#ifndef PLUGD_REGISTRY_CHECK_H
#define PLUGD_REGISTRY_CHECK_H

#include "base/list.h"
#include "plugin/spec.h"

struct registry;

/*
 * Sort `specs` into start order and take out those that cannot run: a second one of a name, one
 * that requires what is not there (or is there in another version), one on a cycle, one with a
 * command of another, the last ones above `limit`.  Each of these is given to `bad` with its
 * reason, which says what stays in force, by `known` (NULL: nothing is).  Returns how many are
 * left.
 */
size_t registry_check(struct spec **specs, size_t count, size_t limit, const struct registry *known,
		      struct list *bad);

/* May this take the place of the plugin of its name, beside all others as they are?  Its
 * requirements are ready, nobody's requirement of it breaks, and no cycle arises.  Else errors are
 * added. */
bool registry_accepts(const struct registry *registry, const struct spec *spec,
		      struct diags *diags);

#endif
