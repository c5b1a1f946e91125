/*
 * All plugins, by name, and the order in which they start and stop.  Loop's thread only.
 *
 * What a plugin requires starts before it and stops after it.
 */
#ifndef PLUGD_REGISTRY_H
#define PLUGD_REGISTRY_H

#include "base/idmap.h"
#include "plugin/plugin.h"

/* A folder that looks like a plugin and is not one. */
struct bad_plugin {
	struct list node;
	char *path;
	char **errors; /* formatted lines */
	size_t error_count;
	char *explained; /* the same with excerpts, for --check; NULL: there is none */
	bool unseen;     /* nobody knows what is there, and below its folder */
	struct spec
		*spec; /* where its manifest is right, and what others say keeps it out; or NULL */
};

struct registry {
	struct host *host;
	struct list plugins; /* sorted by name */
	size_t count;
	struct idmap by_name; /* hash of the name; those that are not in it are found in the list */
	size_t unindexed;
	struct list bad;
	bool keep_removed; /* one whose folder is gone is forgotten only once it is down */
	ev_timer tick_w;
	ev_idle pump_w; /* starts, stops and forgets what is due, once callbacks have returned */
	void (*on_all_stopped)(void *user);
	void *on_all_stopped_user;
};

void registry_init(struct registry *registry, struct host *host);
/* Every process must be dead; instances that are left are freed, their calls end. */
void registry_fini(struct registry *registry);

/* One more, of a name that is not there; then it is the registry's. */
void registry_add(struct registry *registry, struct plugin *plugin);

struct plugin *registry_find(const struct registry *registry, const char *name);

/* The name that was probably meant, or NULL. */
const char *registry_suggest(const struct registry *registry, const char *name);

/* The bad one in a folder of this name, or NULL: what somebody who asks for `name` wants to read.
 */
const struct bad_plugin *registry_bad_in_folder(const struct registry *registry, const char *name);

/* What a search found, all of it. */
struct registry_found {
	struct spec **specs; /* taken, the array is not */
	size_t count;
	size_t limit;     /* plugins that there may be */
	struct list *bad; /* taken */
	/* plugd looked by itself: plugins that are known stay as they are, though their manifests
	 * may have changed, and what is new is told as an event. */
	bool noticed;
};

/*
 * Plugins that are new are added, known ones get the new spec, those whose manifest has become bad
 * stay as they were, the others are stopped and forgotten.  A plugin whose requirements cannot be
 * met becomes a bad one too, and so do those above the limit.
 */
void registry_update(struct registry *registry, const struct registry_found *found);

/* What errors of the manifest at `path` leave in force: the plugin that was read from there before,
 * or nothing.  Returns `text`.  `registry` may be NULL. */
#define REGISTRY_IN_FORCE_BYTES 256
const char *registry_in_force(const struct registry *registry, const char *path,
			      char text[REGISTRY_IN_FORCE_BYTES]);

/* A bad one of which *ret's errors are those of `diags`.  NULL when memory is short. */
struct bad_plugin *bad_plugin_new(const char *path, const struct diags *diags);
void bad_plugin_free(struct bad_plugin *bad);
void bad_plugins_free(struct list *bad);

/*
 * Start every plugin that never ran and should by itself, each as soon as what it requires is
 * ready: not a disabled one; an enabled one; else what `wanted` says (NULL: one with
 * run.autostart).  One that an operator stopped, or that has done its work, stays as it is.
 */
void registry_autostart(struct registry *registry,
			bool (*wanted)(void *user, const struct plugin *plugin), void *user);

/* Start this one, and before it what it requires.  For operators. */
void registry_start(struct registry *registry, struct plugin *plugin);

/* Stop this one; it is started for no other until somebody wants that anew.  For operators. */
void registry_stop(struct plugin *plugin);

/* Restart this one; one that is down is started as above.  For operators. */
void registry_restart(struct registry *registry, struct plugin *plugin);

/* Stop everything, dependents first, then call `done` from the loop. */
void registry_shutdown(struct registry *registry, void (*done)(void *user), void *user);

/* A plugin's state changed in a way that others may wait for. */
void registry_changed(struct registry *registry);

/* The next plugin that `plugin` requires and that is not ready, or NULL. */
struct plugin *registry_waits_for(const struct registry *registry, const struct plugin *plugin);

/* One of a type that load_order starts before, and that is about to start, or NULL. */
struct plugin *registry_comes_after(const struct registry *registry, const struct plugin *plugin);

/* Is this the pid of an instance, or of one that waits to be reaped? */
bool registry_has_pid(const struct registry *registry, pid_t pid);

#endif
