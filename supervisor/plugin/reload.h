/*
 * One slot's way from one version to another.  Loop's thread only.
 *
 * slot->reload changes in one place, reload_handle(), which follows the reload table of
 * core/lifecycle.h.  What goes on in all slots of a plugin is rollout.h's.
 */
#ifndef PLUGD_RELOAD_H
#define PLUGD_RELOAD_H

#include "plugin/slot.h"

/* A process that fails within this time after the old one has ended is a failed reload. */
#define RELOAD_SETTLE_MS 5000

/* The slot is READY, and no reload of it is under way.  `beside`: there is room for both. */
void reload_begin(struct slot *slot, struct version *target, bool beside);

/* The slot is in BACKOFF: the version that it waits to start is the one to go back to. */
void reload_begin_paused(struct slot *slot, struct version *target);

/* An event.  Refused ones are logged.  `why` for those that end in a rollback, else NULL. */
void reload_handle(struct slot *slot, enum reload_event event, const char *why);

/* Something is under way that others wait for: not at rest, and not just settling. */
bool reload_is_busy(const struct slot *slot);

/* Is this the new process of a reload, which takes no calls before it was probed? */
bool reload_is_new(const struct slot *slot, const struct instance *instance);

/* The version that comes back when the slot's process fails now; NULL: its own is started again. */
const struct version *reload_way_back(const struct slot *slot);

/* Would the failure of the slot's process be put down to a reload? */
bool reload_is_to_blame(const struct slot *slot);

/* If so, that is over, the version before is in force again, and the slot gets SE_GONE_BACK. */
bool reload_take_blame(struct slot *slot, const char *why);

/* Once a second. */
void reload_tick(struct slot *slot);

#endif
