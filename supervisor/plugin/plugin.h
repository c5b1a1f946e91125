/*
 * A plugin: its manifest, the slot of its instance, its failures, its output and its statistics.
 * Loop's thread only.
 *
 * The slot changes in one place, plugin_handle(), which follows the slot table of core/lifecycle.h.
 */
#ifndef PLUGD_PLUGIN_H
#define PLUGD_PLUGIN_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/backoff.h"
#include "plugin/crash.h"
#include "plugin/host.h"
#include "plugin/instance.h"
#include "plugin/output.h"
#include "plugin/spec.h"
#include "plugin/stats.h"

struct plugin {
	struct list node; /* of the registry, sorted by name */
	struct host *host;
	struct spec *spec; /* what to run */
	struct spec
		*next_spec; /* read later than the process that runs: in force at the next start */
	bool removed;       /* its folder is gone: forgotten once it is stopped */

	enum slot_state slot;
	struct instance *instance; /* or NULL */
	struct backoff backoff;
	ev_timer backoff_w;
	uint64_t retry_at_ms; /* CLOCK_MONOTONIC; in BACKOFF */
	uint32_t last_generation;
	uint64_t restarts, crashes_seen;
	uint64_t last_start_ms; /* spawn to READY of the last generation that became ready */
	char why[640];          /* why it is in this state; "" when that is plain */
	bool start_wanted;      /* waits for what it requires */

	struct output output;
	struct crashes crashes;
	struct stats stats;

	/* serve/ */
	struct list incoming; /* calls of which not all has come */
	struct list queue;    /* calls that wait for an instance */
	unsigned queued;
	struct list waiters; /* requests that wait for it to settle */
};

/* Takes `spec`.  NULL when memory is short (`spec` is then freed). */
struct plugin *plugin_new(struct host *host, struct spec *spec);

/* It must have no instance. */
void plugin_free(struct plugin *plugin);

const char *plugin_name(const struct plugin *plugin);

/* An event for the slot.  Refused ones are logged. */
void plugin_handle(struct plugin *plugin, enum slot_event event);

/* The word plugctl shows. */
const char *plugin_word(const struct plugin *plugin);

/* From the instance: it is ready / it is dead (and freed when this returns). */
void plugin_instance_ready(struct plugin *plugin);
void plugin_instance_gone(struct plugin *plugin, struct instance *instance);

/* A newer manifest: in force now if there is no process, else at the next start.  Takes `spec`. */
void plugin_update(struct plugin *plugin, struct spec *spec);

/* "in 1.2 s: starts again" …: what happens next, for people. */
void plugin_next_text(const struct plugin *plugin, char *text, size_t size);

#endif
