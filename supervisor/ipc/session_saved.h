/* A session over an upgrade of plugd; see state/state.h. */
#ifndef PLUGD_SESSION_SAVED_H
#define PLUGD_SESSION_SAVED_H

#include "ipc/session.h"
#include "state/state.h"

Plugd__SavedSession *session_save(struct session *session, struct state_out *out);

/* Of `config` the loop, ops and user are used.  NULL when memory is short. */
struct session *session_restore(const struct session_config *config,
				const Plugd__SavedSession *saved, struct state_in *in);

#endif
