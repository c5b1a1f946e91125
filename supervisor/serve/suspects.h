/*
 * Calls that a process may have died of: who they were, and what that means for those that come.
 * core/poison.h is what is known; here it meets the relays.  Loop's thread only.
 *
 *  - Nothing is computed while no process has died of anything: the payload of a call is kept until
 *    it is answered, as far as there is room, and its digest is taken after the death.
 *  - Of a plugin's suspects one at a time has a process, so that its death tells which one it was.
 *    A process that says that it dies has told it: the next one does not wait for its end.
 */
#ifndef PLUGD_SUSPECTS_H
#define PLUGD_SUSPECTS_H

#include "serve/router.h"

/* Is the call among those that the process's vitals page says it executes? */
bool suspects_executes(const struct plug_vitals *vitals, uint64_t id);

/* The process says that it dies, or is killed, and its calls are about to be moved. */
void suspects_before_death(struct router *router, struct instance *in);

/* It is dead, and how is known.  Before its calls are moved or ended. */
void suspects_after_death(struct router *router, struct instance *in);

/* A call whose payload is whole.  False: it was refused, and has ended. */
bool suspects_admit(struct relay *relay);

/* The process of which its client says that it died, if it is there and had a channel of his. */
const struct instance *suspects_process_of(const struct relay *relay);

/* One that waited, and would be sent now: processes may have died of others like it meanwhile.
 * False: it was refused, or waits among the suspects from now on. */
bool suspects_admit_again(struct relay *relay);

/* A suspect was answered. */
void suspects_answered(struct relay *relay);

#endif
