/* The door and its clients over an upgrade of plugd; see state/state.h. */
#ifndef PLUGD_DOORMAN_SAVED_H
#define PLUGD_DOORMAN_SAVED_H

#include "ipc/doorman.h"
#include "state/state.h"

/* No client is being closed. */
Plugd__SavedDoorman *doorman_save(struct doorman *doorman, struct state_out *out);

/* config->path is not used.  NULL when memory is short. */
struct doorman *doorman_restore(const struct doorman_config *config,
				const Plugd__SavedDoorman *saved, struct state_in *in);

/* For what belongs to a client: the one with this number, or NULL. */
struct client *doorman_find(const struct doorman *doorman, uint64_t number);

#endif
