/* A link over an upgrade of plugd; see state/state.h. */
#ifndef PLUGD_LINK_SAVED_H
#define PLUGD_LINK_SAVED_H

#include "ipc/link.h"
#include "state/state.h"

Plugd__SavedLink *link_save(struct link *link, struct state_out *out);

/* config->path is not used.  NULL when memory is short. */
struct link *link_restore(const struct link_config *config, const Plugd__SavedLink *saved,
			  struct state_in *in);

#endif
