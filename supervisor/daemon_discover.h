/*
 * Where plugins are looked for, and what is done with what is found.  Loop's thread only.
 *
 * A search is made at once (start, reread, an operator's wish), or goes on in small steps while the
 * loop turns (what was noticed).  Of the latter kind one is under way at most.
 */
#ifndef PLUGD_DAEMON_DISCOVER_H
#define PLUGD_DAEMON_DISCOVER_H

#include <ev.h>

#include "base/idmap.h"
#include "config.h"
#include "os/kept_list.h"
#include "plugin/registry.h"

struct daemon;

struct daemon_discover {
	struct kept_list added, loaded; /* plugctl dirs add, plugctl load; in the state directory */

	/* the search under way */
	struct scan_walk *walk; /* NULL: all is found, or there is no search */
	bool making;            /* specs of what was found */
	bool again;             /* something has changed since it began */
	struct scan scan;
	size_t next; /* of scan.plugins */
	struct spec **specs;
	size_t count;
	struct list bad;
	ev_timer step_w;

	/* the plugins there are by the path of their manifests, as of */
	struct idmap known;
	uint64_t known_changes;
	size_t known_count;
};

void daemon_discover_init(struct daemon *d);
void daemon_discover_fini(struct daemon *d);

/* What operators have added, as of the state directory. */
void daemon_discover_load(struct daemon *d);

/* Of settings, options and what operators added: d->dirs anew. */
void daemon_set_dirs(struct daemon *d);

/* Find the plugins and give them to the registry, now.  PLUG_ENOMEM */
plug_err daemon_discover(struct daemon *d);

/* The same in steps: plugins that came or went; those that are there stay as they are, and are
 * started by themselves as policy says. */
void daemon_discover_begin(struct daemon *d);

/* Start what should run by itself. */
void daemon_autostart(struct daemon *d);

/* control_daemon; `user` is the daemon. */
void daemon_place(void *user, const struct plugin *plugin, struct place *ret);
void daemon_list_dirs(void *user, Plug__Dirs *ret, struct arena *arena);
plug_err daemon_change_dirs(void *user, const Plug__DirsRequest *request, struct reason *why);
struct plugin *daemon_load(void *user, const char *path, plug_err *ret_err, struct reason *why);
plug_err daemon_unload(void *user, struct plugin *plugin, struct reason *why);

#endif
