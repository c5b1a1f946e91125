/*
 * The place of one process in its plugin; it survives its processes.  Loop's thread only.
 *
 * Its state changes in one place, slot_handle(), which follows the slot table of core/lifecycle.h.
 */
#ifndef PLUGD_SLOT_H
#define PLUGD_SLOT_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "core/backoff.h"
#include "plugin/version.h"

struct instance;
struct plugin;

#define SLOT_LABEL_BYTES 80
#define SLOT_WHY_BYTES   1024 /* of a start that failed */

enum slot_kind { SLOT_ACTIVE, SLOT_SPARE }; /* slots.h */

struct slot {
	struct list node; /* of plugin->slots: the active ones, then the spares, by number */
	struct plugin *plugin;
	enum slot_kind kind;
	unsigned number; /* of its kind, from 1 */
	enum slot_state state;
	struct instance *current; /* the process that fills it, or NULL */
	struct version *version;  /* what is started here; NULL: what is on disk then */
	struct backoff backoff;
	ev_timer backoff_w;
	uint64_t retry_at_ms;     /* CLOCK_MONOTONIC; in BACKOFF */
	uint32_t last_generation; /* of the processes started here */

	/* a reload's: reload.h */
	enum reload_state reload;
	struct version *target, *before; /* what it leads to, and what was in force before it */
	struct instance *next, *old;     /* the new process before the switch, the old one after */
	uint64_t settled_at_ms;          /* CLOCK_MONOTONIC; in SETTLING */

	char *why; /* why it is in this state; NULL when that is plain */
};

/* A new one, STOPPED.  NULL when memory is short. */
struct slot *slot_new(struct plugin *plugin, enum slot_kind kind, unsigned number);

/* It must have no process. */
void slot_free(struct slot *slot);

/* An event.  Refused ones are logged. */
void slot_handle(struct slot *slot, enum slot_event event);

/* The pause of BACKOFF is over. */
void slot_go_on(struct slot *slot);

/* What is started here from now on; NULL: what is on disk then. */
void slot_set_version(struct slot *slot, struct version *version);

/* From a process of it: it is ready; it is about to die; SIGKILL does not end it; it is dead (and
 * freed when this returns). */
void slot_process_ready(struct slot *slot, struct instance *instance);
void slot_process_dying(struct slot *slot, struct instance *instance);
void slot_process_stuck(struct slot *slot, struct instance *instance);
void slot_process_gone(struct slot *slot, struct instance *instance);

/* NAME; NAME.2 where a plugin has several; NAME.s1 for a spare. */
void slot_label(const struct slot *slot, char label[SLOT_LABEL_BYTES]);

/* The word plugctl shows, and why: "" when that is plain. */
const char *slot_word(const struct slot *slot);
const char *slot_why(const struct slot *slot);
void slot_set_why(struct slot *slot, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "starts again in 1.2 s" …: what happens next, for people. */
void slot_next_text(const struct slot *slot, char *text, size_t size);

#endif
