/*
 * Which slots a plugin has: as many active ones and spares as are wanted.  Loop's thread only.
 *
 * An active slot's process takes calls.  A spare's is ready and takes none, until the process of an
 * active slot dies: then it changes over, and the spare's slot gets a new one.
 */
#ifndef PLUGD_SLOTS_H
#define PLUGD_SLOTS_H

#include <stdbool.h>

#include "plugin/slot.h"

/* How many the manifest, or plugctl scale, wants. */
unsigned slots_wanted(const struct plugin *plugin, enum slot_kind kind);

/* Are there as many as are wanted? */
bool slots_fit(const struct plugin *plugin);

/*
 * Make it so: add slots, started if the plugin runs, and stop and forget those that are too many.
 * Not from within an event of the plugin.  When memory is short there are fewer.
 */
void slots_adjust(struct plugin *plugin);

/* Is there a spare, of this version unless that is NULL, that could take the place of this active
 * slot's process now? */
bool slots_can_help(const struct slot *slot, const struct version *version);

/* The process of this active slot is dead or as good as dead: such a spare takes its place, if
 * there is one.  True when one did. */
bool slots_fail_over(struct slot *slot, const struct version *version);

/* This spare has become ready: an active slot that waits for its next start may have it. */
void slots_help_out(struct slot *spare);

/* The version in force is the one before again: spares get it, too. */
void slots_return_spares(struct plugin *plugin);

/* No active slot will take calls again: spares are of no use. */
void slots_stop_spares(struct plugin *plugin);

/* The slot's backoff is over.  True: it goes on for a moment, because the memory of a process that
 * has ended, whose place a spare may have by now, is not given back yet, and the next one may need
 * it. */
bool slots_put_off(struct slot *slot);

#endif
