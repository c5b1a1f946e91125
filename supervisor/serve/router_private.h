/* Shared by router.c and router_reply.c. */
#ifndef PLUGD_ROUTER_PRIVATE_H
#define PLUGD_ROUTER_PRIVATE_H

#include "serve/router.h"

/* Give the client its outcome.  The relay is freed, unless the plugin has it and has not answered
 * yet. */
void router_finish(struct relay *relay, plug_err outcome, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same with PLUG_EUNAVAILABLE and the plugin's state, why, and what happens next. */
void router_finish_unavailable(struct relay *relay);

/* Hand what waits to the instance, as far as it has room. */
void router_dispatch(struct plugin *plugin);

#endif
