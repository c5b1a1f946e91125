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

#include "core/lifecycle.h"
#include "ipc/session.h"
#include "os/cgroup.h"
#include "os/exit_status.h"
#include "os/rundir.h"
#include "plugin/output.h"
#include "vitals.h"
#include "wire.h"

struct plugin;

/* A method as HELLO offered it. */
struct instance_method {
	char *name, *description;
	bool stream, idempotent;
	uint64_t timeout_ms;
};

struct instance {
	struct plugin *plugin;
	uint32_t generation;
	pid_t pid;
	enum process_state state;
	char sdk[64];
	struct instance_method *methods;
	size_t method_count;
	uint64_t spawned_ms, ready_ms; /* CLOCK_MONOTONIC; ready_ms 0: never */
	uint64_t rss_bytes;            /* last seen */
	uint64_t resumes;

	/* serve/ keeps the calls that this instance has; plugin/ only asks whether there are any.
	 */
	struct list calls;
	unsigned in_flight;

	/* why it ends, when plugd knows: the first reason counts */
	char cause[512];
	bool declared; /* FAILED before READY, refused, or never executed: no restart */
	bool asked;    /* an operator, restart or shutdown wanted it to end */
	struct exit_status status;

	/* private */
	int pidfd, error_fd, vitals_fd;
	ev_io exit_w;
	ev_timer deadline_w, resume_w, exit_w_grace;
	bool exited, unreaped, hello_seen, violated;
	struct output_pipe out, err;
	struct session *session;
	struct rundir_session dir;
	struct cgroup_group cgroup;
	uint8_t token[PLUG_TOKEN_BYTES], client_token[PLUG_TOKEN_BYTES];
	uint64_t last_ticks, last_tick_ms, ping_ms, looked_ms;
	bool ping_out;
};

/*
 * Spawn the plugin's next generation.  On success *ret is set and in STARTING.  On failure nothing
 * is left, and `why` says what was found; PLUG_ESYS is worth another try.
 */
plug_err instance_start(struct plugin *plugin, char *why, size_t why_size, struct instance **ret);

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
/* The router has taken a call off in->calls: a draining instance may be done now. */
void instance_call_ended(struct instance *instance);

/* Once a second: acknowledge, look at the vitals, ping on suspicion. */
void instance_tick(struct instance *instance);

/* A copy of its vitals; false when it does not write them. */
bool instance_vitals(const struct instance *instance, struct plug_vitals *ret);

/* Is this the token given to this instance for the client half?  Good for the life of its process.
 */
bool instance_has_client_token(const struct instance *instance, const uint8_t *token, size_t size);

#endif
