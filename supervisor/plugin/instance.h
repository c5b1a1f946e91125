/*
 * One process of a plugin: spawn, handshake, watch, end.  Loop's thread only.
 *
 * Its state changes in one place, instance_handle(), which follows the process table of
 * core/lifecycle.h and performs the effects.  An instance is freed by itself after it is GONE;
 * nobody else may keep a pointer past host_ops.on_gone.
 */
#ifndef PLUGD_INSTANCE_H
#define PLUGD_INSTANCE_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/hang.h"
#include "core/lifecycle.h"
#include "ipc/session.h"
#include "os/cgroup.h"
#include "os/exit_status.h"
#include "os/rundir.h"
#include "plugin/broker.h"
#include "plugin/confine.h"
#include "plugin/keeper.h"
#include "plugin/output.h"
#include "vitals.h"
#include "wire.h"

struct accused;
struct last_calls;
struct plug_trace;
struct plugin;
struct slot;
struct version;

/* A method as HELLO offered it. */
struct instance_method {
	char *name, *description;
	bool stream, idempotent;
	uint64_t timeout_ms;
};

/* How well a process is: instance_hang.c. */
struct instance_hang {
	enum hang_kind kind;
	uint64_t since_ms; /* of this kind; CLOCK_MONOTONIC */
	uint64_t well_ns;  /* CLOCK_MONOTONIC; last time that it became well again */
	bool told;         /* that it is not well */
	bool continued;    /* got SIGCONT */
	bool ended;        /* killed because it, or a handler, hung by itself */
	bool wedged;       /* all its handlers are overdue */
	unsigned overdue;  /* handlers past their calls' deadlines and hang.grace, by its word */
	uint64_t reported[PLUG_VITALS_WORKERS]; /* calls of channels */
};

struct instance {
	struct list node; /* of plugin->instances */
	struct plugin *plugin;
	struct slot *slot;
	struct version *version;
	const struct spec *spec; /* the version's */
	uint32_t generation;
	pid_t pid;
	enum process_state state;
	char sdk[64];
	struct instance_method *methods;
	size_t method_count;
	uint64_t spawned_ms, ready_ms; /* CLOCK_MONOTONIC; ready_ms 0: never */
	uint64_t rss_bytes, rss_ms;    /* last seen, and when */
	uint64_t peak_bytes;           /* 0: unknown */
	uint64_t resumes;

	/* serve/ keeps the calls that this instance has; plugin/ only asks whether there are any.
	 */
	struct list calls;
	unsigned in_flight;
	uint64_t turn;           /* of the plugin's calls, the number of the last one given to it */
	uint64_t answers;        /* messages of replies that came from it */
	uint64_t denied;         /* what it asked for as a client and may not */
	unsigned denied_kinds;   /* of these, kinds that were told: permit.h */
	struct accused *accused; /* its calls that were moved before its end; suspects.h */

	/* serve/ keeps its channels, too */
	uint32_t channels_offered; /* by HELLO: 0: no data plane */
	bool takes_log_level;      /* by HELLO */
	bool takes_config;         /* by HELLO */
	uint64_t config_asked;     /* the Config that it has not answered; 0: none */
	bool config_accepted;      /* of the change under way: it has the new values */
	struct list channels;
	unsigned channel_count, channels_overdue;

	/* why it ends, when plugd knows: the first reason counts */
	char cause[512];
	bool declared; /* FAILED before READY, refused, or never executed: no restart */
	bool asked;    /* an operator, restart or shutdown wanted it to end */
	struct exit_status status;
	struct last_calls *last_calls;   /* death.h; NULL: not noted */
	struct plug_vitals *last_vitals; /* of a dead process; NULL: not read */
	int dying;                       /* the fault signal that it says hit it; 0: none */
	uint64_t dying_ms;               /* CLOCK_MONOTONIC; when it said so */
	struct plug_trace *trace;        /* and where; NULL: not said */

	/* private */
	int pidfd, error_fd, vitals_fd;
	ev_io exit_w;
	ev_timer deadline_w, resume_w, exit_w_grace, probe_w;
	bool exited, calls_ended, collected, unreaped, hello_seen, violated;
	struct output_pipe out, err;
	struct session *session;
	struct broker broker;
	struct keeper keeper;     /* of one that others can stand in for */
	uint64_t keeper_until_ms; /* CLOCK_MONOTONIC; it is waited for; 0: not yet */
	ev_timer drain_w, dying_w;
	struct rundir_session dir;
	struct cgroup_group cgroup;
	struct confine confine; /* user, limits and sandbox in force */
	uint8_t token[PLUG_TOKEN_BYTES], client_token[PLUG_TOKEN_BYTES];
	uint64_t last_ticks, last_tick_ms, ping_ms, looked_ms;
	bool ping_out;
	struct instance_hang hang;
	uint64_t answers_before_probe;
	unsigned probe_failures; /* in a row */
};

/*
 * Spawn the plugin's next generation for this slot.  On success *ret is set and in STARTING.  On
 * failure nothing is left, and `why` says what was found; PLUG_ESYS is worth another try.
 */
plug_err instance_start(struct slot *slot, struct version *version, char *why, size_t why_size,
			struct instance **ret);

/* An event.  Refused ones are logged.  May end in the instance's being freed: from the loop, not
 * within. */
void instance_handle(struct instance *instance, enum process_event event);

/* Remember why it ends (the first one stays), then hand on the event. */
void instance_end(struct instance *instance, enum process_event event, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The other side broke the protocol: reported, and nothing more is taken from it. */
void instance_violation(struct instance *instance, plug_err err, const char *reason);

/* For the router. */
bool instance_takes_calls(const struct instance *instance);
plug_err instance_send(struct instance *instance, Plug__Envelope *env);
size_t instance_unacked_bytes(const struct instance *instance);
const struct instance_method *instance_method(const struct instance *instance, const char *name);
/* It says that it dies, or is killed, or is dead, and nobody asked it to end. */
bool instance_is_ending(const struct instance *instance);
/* It died, or was as good as dead, and another process has its place: its calls may be elsewhere.
 */
bool instance_was_replaced(const struct instance *instance);
/* The router has taken a call off in->calls: a draining instance may be done now. */
void instance_call_ended(struct instance *instance);

/* What came of host_ops.probe. */
void instance_probed(struct instance *instance, plug_err outcome, const char *message);

/* Once a second: acknowledge, look at the vitals, ping on suspicion. */
void instance_tick(struct instance *instance);

/* A handler goes on past its call's deadline and hang.grace: report it, and act as hang.call says.
 */
void instance_call_hangs(struct instance *instance, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* It is stopped, in a debugger's hands, or otherwise not well: nothing that it does not do in time
 * may be laid at a handler's door.  Looks at the process. */
bool instance_is_halted(const struct instance *instance);

/* The word plugctl shows. */
const char *instance_word(const struct instance *instance);
/* False: nothing special comes next. */
bool instance_next_text(const struct instance *instance, char *text, size_t size);

/* A copy of its vitals; false when it does not write them. */
bool instance_vitals(const struct instance *instance, struct plug_vitals *ret);

/* Is this the token given to this instance for the client half?  Good for the life of its process.
 */
bool instance_has_client_token(const struct instance *instance, const uint8_t *token, size_t size);

/* Send it the values of `spec`, its own or one of the same manifest, as Config `number`. */
plug_err instance_tell_config(struct instance *in, const struct spec *spec, uint64_t number,
			      bool back);

/* Tell it the level of log calls that its plugin has now. */
void instance_tell_log_level(struct instance *in);

#endif
