/*
 * Operators' requests: what plugctl asks.  Loop's thread only.
 *
 * One file a group of requests; control.c has the table and what they share.
 */
#ifndef PLUGD_CONTROL_H
#define PLUGD_CONTROL_H

#include "plugin/registry.h"
#include "serve/router.h"
#include "serve/ticket.h"

/* What only the daemon can do or knows. */
struct control_daemon {
	void (*reread)(void *user);
	void (*shutdown)(void *user);
	/* Fills what registry and router do not know; strings stay valid until the loop turns. */
	void (*describe)(void *user, Plug__DaemonStatus *status);
	/* `plugctl start --set`: NULL after an error was added. */
	struct spec *(*respec)(void *user, const struct spec *spec, char *const *set, size_t count,
			       struct diags *diags);
	void *user;
};

struct control {
	struct host *host;
	struct registry *registry;
	struct router *router;
	struct control_daemon daemon;
	size_t tickets_per_client;
};

/* A request of an authenticated client. */
void control_request(struct control *control, struct client *client, uint64_t id,
		     const Plug__Request *request);

/* host_ops.on_settled */
void control_on_settled(struct control *control, struct plugin *plugin);

/* A plugin is about to be forgotten, or plugd ends: nobody waits on it any more. */
void control_forget(struct plugin *plugin);

#endif
