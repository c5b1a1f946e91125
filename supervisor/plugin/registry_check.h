/* Do these specs go together?  Names, requirements, order. */
#ifndef PLUGD_REGISTRY_CHECK_H
#define PLUGD_REGISTRY_CHECK_H

#include "base/list.h"
#include "plugin/spec.h"

/*
 * Sort `specs` into start order and take out those that cannot run: a second one of a name, one
 * that requires what is not there (or is there in another version), one on a cycle, the last ones
 * above `limit`.  Each of these
 * is freed, and its reason appended to `bad`.  Returns how many are left.
 */
size_t registry_check(struct spec **specs, size_t count, size_t limit, struct list *bad);

#endif
