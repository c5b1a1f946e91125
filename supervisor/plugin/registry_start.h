/* For registry.c: what plugins require of each other, and their starts.  Loop's thread only. */
#ifndef PLUGD_REGISTRY_START_H
#define PLUGD_REGISTRY_START_H

#include "plugin/registry.h"

/* How many plugins it requires, by name and by capability. */
size_t requirements_count(const struct plugin *plugin);

/*
 * The one that its i-th requirement means.  Of several that provide a capability: one that takes
 * calls, else the first to start.  NULL: there is none (any more).
 */
struct plugin *requirements_at(const struct registry *registry, const struct plugin *plugin,
			       size_t i);

/* Start those of which a start is wanted and that may start now. */
void registry_start_wanted(struct registry *registry);

#endif
