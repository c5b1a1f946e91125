/*
 * A reload of a plugin: all its slots, one after the other, to one version.  Loop's thread only.
 *
 * When one slot's reload fails, those that have the new version already go back to the old one.
 */
#ifndef PLUGD_ROLLOUT_H
#define PLUGD_ROLLOUT_H

#include <plug/error.h>
#include <stdbool.h>

#include "plugin/slot.h"

enum rollout_phase { ROLLOUT_FORWARD, ROLLOUT_BACKWARD };

struct rollout {
	enum rollout_phase phase;
	struct version *target; /* of this phase */
	struct version *origin; /* what was in force when it began; NULL: nothing ran */
	bool instead;           /* asked for: never both processes at a time */
	bool no_way_back;       /* a slot could not go back either: what runs is left alone */
	plug_err outcome;
	char how[192]; /* "beside the old process: …"; of the last slot */
	char why[640]; /* of a failure */
};

/* What came of the last one; kept by the plugin. */
struct rollout_result {
	plug_err outcome;
	char *text; /* one sentence; NULL: there was none, or it is not told */
};

/*
 * Begin, to a version with this spec.  None is under way.  Takes `spec`.  Ends with
 * host_ops.on_settled, in the same call at the earliest.  PLUG_ENOMEM: nothing was begun.
 */
plug_err rollout_begin(struct plugin *plugin, struct spec *spec, bool instead);

/* The same, to a version that was made already.  Takes `target`. */
plug_err rollout_begin_with(struct plugin *plugin, struct version *target, bool instead);

/* What runs, or waits to be started; a new reference, or NULL. */
struct version *rollout_in_force(const struct plugin *plugin);

/* What is on disk was refused before anything was begun, and nobody waits to be told. */
void rollout_refuse(struct plugin *plugin, const char *why);

/* An operator wants something else. */
void rollout_cancel(struct plugin *plugin, const char *why);

/* Go on if nothing is to be waited for; called whenever a slot has settled. */
void rollout_step(struct plugin *plugin);

/* From reload.c. */
void rollout_slot_done(struct slot *slot);
void rollout_slot_failed(struct slot *slot, const char *why);

void rollout_free(struct plugin *plugin);

#endif
