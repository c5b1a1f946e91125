/*
 * Operators' requests: what plugctl asks.  Loop's thread only.
 *
 * One file a group of requests; control.c has the table and what they share.
 */
#ifndef PLUGD_CONTROL_H
#define PLUGD_CONTROL_H

#include "core/place.h"
#include "os/reason.h"
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
	/* The same plugin from what is on disk now; `version`: of the store, NULL: the chosen one.
	 * NULL after an error was added. */
	struct spec *(*reread_plugin)(void *user, const struct spec *spec, const char *version,
				      struct diags *diags);
	/* The model table of the settings in force. */
	const struct field_entries *(*models)(void *user);
	/* plugctl upgrade; answered by the plugd that runs afterwards. */
	void (*upgrade)(void *user, struct client *client, uint64_t id, const char *binary);
	/* Where it is in its plugin directory. */
	void (*place)(void *user, const struct plugin *plugin, struct place *ret);
	/* The plugin directories; what *ret points to is of `arena`, or lasts until the loop turns.
	 */
	void (*list_dirs)(void *user, Plug__Dirs *ret, struct arena *arena);
	/* Add or remove one; all are searched afterwards.  `why` on failure. */
	plug_err (*change_dirs)(void *user, const Plug__DirsRequest *request, struct reason *why);
	/* The plugin at a path, which belongs to this plugd from now on.  NULL with *ret_err and
	 * `why`. */
	struct plugin *(*load)(void *user, const char *path, plug_err *ret_err, struct reason *why);
	/* And not any more: it is stopped and forgotten.  PLUG_ESTATE: it was not loaded so. */
	plug_err (*unload)(void *user, struct plugin *plugin, struct reason *why);
	void *user;
};

struct control {
	struct host *host;
	struct registry *registry;
	struct router *router;
	struct control_daemon daemon;
	size_t tickets_per_client;
	uint64_t last_config; /* number of the last Config that was sent to a process */
};

/* A request of an authenticated client. */
void control_request(struct control *control, struct client *client, uint64_t id,
		     const Plug__Request *request);

/* Send a Response whose body is set.  PLUG_ETOOLARGE: too much for one message. */
plug_err control_answer(struct client *client, uint64_t id, Plug__Response *response);

#define CONTROL_ERRORS_BYTES 4096

/* Begin a reload from what is on disk now; `version`: to this one of the store, which is the chosen
 * one if it stays; NULL or "": none.  None is under way.  PLUG_EINVAL, with `text`: what is there
 * cannot be used, and nothing was begun.  PLUG_ENOMEM. */
plug_err control_begin_reload(struct control *control, struct plugin *plugin, const char *version,
			      bool in_place, char text[CONTROL_ERRORS_BYTES]);

struct change;

/* A change of configuration is over: tell who waits for it, and begin what waits next.  The change
 * is freed afterwards. */
void control_change_done(struct control *control, struct plugin *plugin,
			 const struct change *change, const char *text);

/* host_ops.on_settled */
void control_on_settled(struct control *control, struct plugin *plugin);

/* A plugin is about to be forgotten, or plugd ends: nobody waits on it any more. */
void control_forget(struct plugin *plugin);

#endif
