/*
 * What clients want, over an upgrade of plugd: calls, channels, requests that are not answered yet;
 * see state/state.h.  Loop's thread only.
 */
#ifndef PLUGD_SERVE_SAVED_H
#define PLUGD_SERVE_SAVED_H

#include "ipc/doorman_saved.h"
#include "plugin/saved.h"
#include "serve/channels.h"
#include "serve/control.h"

/* What the parts are found by when they are made anew. */
struct serve_in {
	struct state_in *in;
	const struct doorman *doorman;
	const struct registry *registry;
};

Plugd__SavedTicket *ticket_save(const struct ticket *ticket, struct state_out *out);
/* Opens it; one that had no client stays closed, or is a failure (false). */
void ticket_restore_if_open(struct ticket *ticket, const struct ticket_ops *ops,
			    const Plugd__SavedTicket *saved, const struct serve_in *si);
bool ticket_restore(struct ticket *ticket, const struct ticket_ops *ops,
		    const Plugd__SavedTicket *saved, const struct serve_in *si);

/* The plugin of this name; NULL is a failure. */
struct plugin *serve_in_plugin(const struct serve_in *si, const char *name);

Plugd__SavedRouter *router_save(struct router *router, struct state_out *out);
void router_restore(struct router *router, const Plugd__SavedRouter *saved,
		    const struct serve_in *si);

/* What is known of requests that processes died of: the router's part, and after the relays. */
void suspects_save(struct router *router, Plugd__SavedRouter *saved, struct state_out *out);
void suspects_restore(struct router *router, const Plugd__SavedRouter *saved,
		      const struct serve_in *si);

Plugd__SavedChannels *channels_save(struct channels *channels, struct state_out *out);
void channels_restore(struct channels *channels, const Plugd__SavedChannels *saved,
		      const struct serve_in *si);

struct change;
Plugd__SavedChange *change_save(struct change *change, struct state_out *out);
void change_restore(struct control *control, const Plugd__SavedChange *saved,
		    const struct serve_in *si);

Plugd__SavedControl *control_save(struct control *control, struct state_out *out);
void control_restore(struct control *control, const Plugd__SavedControl *saved,
		     const struct serve_in *si);

#endif
