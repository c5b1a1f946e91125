/*
 * A plugin: its manifest, the slots of its processes, its output and its statistics.  Loop's thread
 * only.
 */
#ifndef PLUGD_PLUGIN_H
#define PLUGD_PLUGIN_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "plugin/crash.h"
#include "plugin/data_stats.h"
#include "plugin/enabled.h"
#include "plugin/host.h"
#include "plugin/instance.h"
#include "plugin/output.h"
#include "plugin/rollout.h"
#include "plugin/slot.h"
#include "plugin/spec.h"
#include "plugin/stats.h"

struct change;
struct relay;

/* Going to another version of the store: the chosen one follows what came of it. */
enum plugin_choosing {
	PLUGIN_CHOSEN,         /* nothing is to be done */
	PLUGIN_CHOOSING,       /* a reload goes to the version that is to be chosen */
	PLUGIN_CHOICE_SETTLES, /* it is chosen, and may still be rolled back */
};

struct plugin {
	struct list node; /* of the registry, sorted by name */
	struct host *host;
	struct spec *spec;       /* in force */
	struct spec *next_spec;  /* read later: in force at the next start of a process */
	struct version *version; /* made last of what is on disk */
	bool removed;            /* its folder is gone: forgotten once it is stopped */
	bool was_removed;        /* before the search whose results are being taken */
	bool out_of_reach;       /* a folder above it cannot be read: nobody knows */

	struct list slots;     /* slots.h */
	enum enabled enabled;  /* as an operator said */
	unsigned scale;        /* active slots that plugctl scale wants; 0: as the manifest says */
	struct list instances; /* every process, in whatever part */
	int log_level;         /* of its log calls, as plugctl said; -1: as the manifest says */
	unsigned handling;     /* an event is on its way through the slots: nothing is settled */
	uint32_t last_generation;
	uint64_t restarts, crashes_seen;
	uint64_t cpu_ended_ms;   /* processor time of the processes that have ended */
	uint64_t last_start_ms;  /* spawn to READY of the last generation that became ready */
	bool start_wanted;       /* waits for what it requires */
	uint64_t wanted_ns;      /* since then, with what it requires; CLOCK_MONOTONIC; else 0 */
	uint64_t acted_ns;       /* when it was last started, given up, or stopped by an operator */
	struct rollout *rollout; /* the reload that is under way, or NULL */
	enum plugin_choosing choosing;
	struct rollout_result reloaded;
	uint64_t tried; /* digest of what is on disk and was tried because it had changed */

	struct output output;
	struct crashes crashes;
	struct stats stats;
	struct data_stats data; /* of processes that have ended */

	/* serve/ */
	uint64_t channels_opened, channel_violations;
	struct list incoming; /* calls of which not all has come */
	struct list held;     /* calls whose process is dead, as their clients say: held.h */
	struct list queue;    /* calls that wait for an instance */
	struct list suspects; /* and of them those that a process may have died of: one at a time */
	struct relay *trial;  /* the one of those that a process has */
	unsigned queued;      /* in both lists */
	uint64_t turns;       /* calls given to a process */
	struct change *change; /* of its configuration, under way; or NULL */
	struct list waiters;   /* requests that wait for it to settle */
};

/* Takes `spec`.  NULL when memory is short (`spec` is then freed). */
struct plugin *plugin_new(struct host *host, struct spec *spec);

/* The same without slots. */
struct plugin *plugin_alloc(struct host *host, struct spec *spec);

/* It must have no instance. */
void plugin_free(struct plugin *plugin);

const char *plugin_name(const struct plugin *plugin);

/* The least level of log calls that is kept, as in Log; set for all its processes. */
unsigned plugin_log_level(const struct plugin *plugin);
void plugin_set_log_level(struct plugin *plugin, unsigned level);

/* Found, and neither started yet, nor about to be, nor disabled. */
bool plugin_is_new(const struct plugin *plugin);

/* An event for all slots. */
void plugin_handle(struct plugin *plugin, enum slot_event event);

/* Sets of slot states, for the questions below. */
#define SLOT_IN(symbol) (1u << SS_##symbol)
#define SLOTS_DOWN      (SLOT_IN(STOPPED) | SLOT_IN(FAILED) | SLOT_IN(QUARANTINED))

bool plugin_all(const struct plugin *plugin, unsigned states);
bool plugin_all_active(const struct plugin *plugin, unsigned states);
bool plugin_any(const struct plugin *plugin, enum slot_kind kind, unsigned states);

/* Is it started without being asked for? */
bool plugin_starts_by_itself(const struct plugin *plugin);

/* No process, and none will come by itself. */
bool plugin_is_down(const struct plugin *plugin);
/* What runs of it is a process that SIGKILL does not end. */
bool plugin_is_stuck(const struct plugin *plugin);
/* A process of it takes calls. */
bool plugin_takes_calls(const struct plugin *plugin);
/* One takes calls, or will. */
bool plugin_may_take_calls(const struct plugin *plugin);
/* … and a call that none takes now waits for it: plugd is not going down. */
bool plugin_lets_calls_wait(const struct plugin *plugin);
/* No slot is on its way to another state; a process that SIGKILL does not end is not waited for. */
bool plugin_slots_settled(const struct plugin *plugin);
bool plugin_slot_is_settled(const struct slot *slot);
/* A slot waits for its next start. */
bool plugin_is_paused(const struct plugin *plugin);
/* What was asked of it has reached its end, or nobody knows when it will. */
bool plugin_is_settled(const struct plugin *plugin);

/* The slot that stands for it where only one can be shown, and its process or NULL. */
struct slot *plugin_face(const struct plugin *plugin);
struct instance *plugin_main_instance(const struct plugin *plugin);

/* The word plugctl shows, why it is so ("" when that is plain), and what happens next. */
const char *plugin_word(const struct plugin *plugin);
const char *plugin_why(const struct plugin *plugin);
void plugin_set_why(struct plugin *plugin, const char *why);
void plugin_next_text(const struct plugin *plugin, char *text, size_t size);

/* A newer manifest: in force now if there is no process, else at the next start.  Takes `spec`. */
void plugin_update(struct plugin *plugin, struct spec *spec);

/* Other values of its configuration, for all who run or start what is in force: `spec` is of the
 * same manifest. */
void plugin_set_values(struct plugin *plugin, struct spec *spec);

/* ---- for its slots ---- */

void plugin_adopt_next_spec(struct plugin *plugin);
void plugin_drop_next_spec(struct plugin *plugin);
/* This is what is in force. */
void plugin_set_version(struct plugin *plugin, struct version *version);
/* What is on disk now; a new reference.  NULL when memory is short. */
struct version *plugin_version_on_disk(struct plugin *plugin);
/* A slot is down: the calls that wait end, unless another slot may take them. */
void plugin_slot_down(struct plugin *plugin);
/* A slot has reached the end of a start, stop or restart; or is stuck. */
void plugin_slot_settled(struct plugin *plugin);

#endif
