/* Shared by router.c and router_reply.c. */
#ifndef PLUGD_ROUTER_PRIVATE_H
#define PLUGD_ROUTER_PRIVATE_H

#include "serve/router.h"

/* What the client is told: a call that was sent `again` may have been executed before, so that of
 * what says that it was not PLUG_EGONE becomes. */
plug_err router_outcome(plug_err outcome, bool again);

/* Give the client its outcome.  The relay is freed, unless the plugin has it and has not answered
 * yet. */
void router_finish(struct relay *relay, plug_err outcome, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same with PLUG_EUNAVAILABLE and the plugin's state, why, and what happens next. */
void router_finish_unavailable(struct relay *relay);

/* Send it to this process, whose room has been looked at.  True when it was sent; else it has
 * ended. */
bool router_send(struct relay *relay, struct instance *in);

/* All of it is there: to a process, or where it waits for one, or to its end. */
void router_route(struct relay *relay);

/* Hand what waits to the instance, as far as it has room. */
void router_dispatch(struct plugin *plugin);

/* May it be sent once more? */
bool router_may_replay(const struct relay *relay);

/* Into the plugin's queue before all that waits there: they are older.  Empties the list. */
void router_requeue(struct plugin *plugin, struct list *relays);

/* Of a client's call. */
extern const struct ticket_ops router_ticket_ops;

#endif
