/*
 * All plugins, by name, and the order in which they start and stop.  Loop's thread only.
 *
 * What a plugin requires starts before it and stops after it.
 */
#ifndef PLUGD_REGISTRY_H
#define PLUGD_REGISTRY_H

#include "plugin/plugin.h"

/* A folder that looks like a plugin and is not one. */
struct bad_plugin {
	struct list node;
	char *path;
	char **errors; /* formatted lines */
	size_t error_count;
};

struct registry {
	struct host *host;
	struct list plugins; /* sorted by name */
	size_t count;
	struct list bad;
	ev_timer tick_w;
	ev_idle pump_w; /* starts, stops and forgets what is due, once callbacks have returned */
	void (*on_all_stopped)(void *user);
	void *on_all_stopped_user;
};

void registry_init(struct registry *registry, struct host *host);
/* Every process must be dead; instances that are left are freed, their calls end. */
void registry_fini(struct registry *registry);

struct plugin *registry_find(const struct registry *registry, const char *name);

/* The name that was probably meant, or NULL. */
const char *registry_suggest(const struct registry *registry, const char *name);

/* The bad one in a folder of this name, or NULL: what somebody who asks for `name` wants to read.
 */
const struct bad_plugin *registry_bad_in_folder(const struct registry *registry, const char *name);

/*
 * What a scan found, all of it: plugins that are new are added, known ones get the new spec, those
 * whose manifest has become bad stay as they were, the others are stopped and forgotten.  Takes
 * the specs and the bad ones (struct bad_plugin on a list); a plugin whose requirements cannot be
 * met becomes a bad one too, and so do those above `limit`.
 */
void registry_update(struct registry *registry, struct spec **specs, size_t count, size_t limit,
		     struct list *bad);

/* A bad one of which *ret's errors are those of `diags`.  NULL when memory is short. */
struct bad_plugin *bad_plugin_new(const char *path, const struct diags *diags);
void bad_plugin_free(struct bad_plugin *bad);

/* Start every plugin with run.autostart that never ran, each as soon as what it requires is ready.
 * One that an operator stopped, or that has done its work, stays as it is. */
void registry_autostart(struct registry *registry);

/* Start this one, and before it what it requires.  For operators. */
void registry_start(struct registry *registry, struct plugin *plugin);

/* Stop everything, dependents first, then call `done` from the loop. */
void registry_shutdown(struct registry *registry, void (*done)(void *user), void *user);

/* A plugin's state changed in a way that others may wait for. */
void registry_changed(struct registry *registry);

/* The next plugin that `plugin` requires and that is not ready, or NULL. */
struct plugin *registry_waits_for(const struct registry *registry, const struct plugin *plugin);

/* Is this the pid of an instance, or of one that waits to be reaped? */
bool registry_has_pid(const struct registry *registry, pid_t pid);

#endif
