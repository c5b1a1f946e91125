/* This process as a plugin: the parts of libplug's plugin half and what they share. */
#ifndef PLUG_SDK_STATE_H
#define PLUG_SDK_STATE_H

#include <plug/plugin.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "broker.h"
#include "change.h"
#include "link.h"
#include "methods.h"
#include "outbox.h"
#include "page.h"
#include "plane.h"
#include "session.h"
#include "settings.h"
#include "tensors.h"
#include "tick.h"
#include "work.h"

/* Why the process ends. */
enum stop_kind {
	STOP_NONE,
	STOP_ASKED,  /* STOP from plugd: exit status 0 */
	STOP_SIGNAL, /* SIGTERM: the same */
	STOP_GONE,   /* plugd is gone for good: exit status 1 */
	STOP_FAULT   /* the session cannot go on: exit status 1 */
};

/* Where the thread that called plug_main() is. */
enum phase { PHASE_HANDSHAKE, PHASE_STARTING, PHASE_READY, PHASE_DRAINING, PHASE_STOPPING };

/* What other threads tell the thread that called plug_main(). */
struct mailbox {
	pthread_mutex_t lock;
	pthread_cond_t news;
	bool drain;
	enum stop_kind stop;
	struct change *changes; /* that wait, the oldest first */
	unsigned change_count;
	bool last_notice; /* SIGTERM came after another reason: plugd's patience ends */
};

struct plug_plugin {
	struct plug_plugin_config config;
	char *instance;
	uint32_t generation;
	pid_t parent;
	char start_error[1024];
	char config_error[CHANGE_REASON_BYTES];

	_Atomic int stopping; /* enum stop_kind; not STOP_NONE: every call counts as cancelled */
	_Atomic int phase;    /* enum phase */
	_Atomic uint32_t log_level; /* log calls below it are dropped; plugd says which */
	struct mailbox mailbox;
	struct link link;
	struct session session;
	struct outbox outbox;
	struct work work;
	struct page page;
	struct methods methods;
	struct broker broker;
	struct plane plane;
	struct settings settings;
	struct tick tick;
};

/*
 * Stop the process.  The first reason counts.  Returns at once, in any thread; handlers see their
 * calls cancelled.  A fault and a vanished plugd leave the process two seconds; a second notice
 * while handlers or on_start still run ends it at once.
 */
void plugp_stop(struct plug_plugin *plugin, enum stop_kind kind);

/* A fault that ends the process: written to stderr, then plugp_stop(STOP_FAULT). */
void plugp_fault(struct plug_plugin *plugin, const char *format, ...) PLUG_PRINTF(2, 3);

/* DRAIN came. */
void plugp_drain(struct plug_plugin *plugin);

/* CONFIG came.  Takes `change`.  False: more of them wait than there is room for. */
bool plugp_take_change(struct plug_plugin *plugin, struct change *change);

/* One line to stderr, with the plugin's name, in one write.  Waits for a full pipe 100 ms at most.
 */
void plugp_complain(const struct plug_plugin *plugin, const char *format, ...) PLUG_PRINTF(2, 3);

#endif
