/* A state through a memfd and back, in one process.  Everything fails the test itself. */
#ifndef STATE_SUPPORT_H
#define STATE_SUPPORT_H

#include "state/state.h"

/* Seal what was saved and read it again; `out` is finished with.  state_in_fini() is the caller's.
 */
void state_through(struct state_out *out, Plugd__Saved *saved, bool dry, struct state_in *ret);

/* An object whose descriptors another one has taken: it must not be ended, nor looked for as leaked
 * memory. */
void state_abandon(void *object);

#endif
