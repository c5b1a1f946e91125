/*
 * Calls and the threads that run them.
 *
 * One thread at a time receives.  It runs the call it finds itself: when the method has been quick
 * so far it stays the receiver meanwhile, under the eyes of a second thread that takes the role
 * over if the handler is not as quick as expected; otherwise it first hands the role to another
 * thread. So there is always a thread that hears plugd, and no hand-off on the short path.
 */
#ifndef PLUG_SDK_WORK_H
#define PLUG_SDK_WORK_H

#include <plug/plugin.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plug.pb-c.h"

#define WORK_LIMIT    64 /* handlers at once, at most */
#define WORK_DEFAULT  8
#define WORK_BUCKETS  64 /* of calls by id; a power of two */

#define WORK_QUICK_NS 50000u           /* a handler this short is run by the receiver */
#define WORK_LOOK_NS  (1 * NS_PER_MS)  /* how often the watcher looks */
#define WORK_HOT_NS   (10 * NS_PER_MS) /* traffic so recent keeps the watcher looking */

enum call_stage { CALL_ASSEMBLING, CALL_QUEUED, CALL_RUNNING };

struct plug_call {
	struct plug_plugin *plugin;
	const struct plug_method *method;
	uint64_t id;
	uint64_t deadline_ns; /* CLOCK_MONOTONIC; UINT64_MAX: none */
	char *content_type;
	uint8_t *payload; /* a NUL follows */
	size_t size, capacity;
	bool payload_own;   /* payload is an allocation of its own */
	_Atomic int cancel; /* PLUG_OK, or why nobody waits any more */

	/* of the handler's thread */
	struct worker *worker;
	bool answered;
	uint64_t sent; /* payload bytes */
	char *message; /* of the failure */

	/* under work.lock */
	enum call_stage stage;
	struct plug_call *bucket_next, *queue_next;
	uint64_t credit; /* payload bytes that the caller has taken */
	pthread_cond_t wake;
};

struct worker {
	struct plug_plugin *plugin;
	pthread_t thread;
	pthread_cond_t wake;
	struct worker *parked_next;
};

struct work {
	pthread_mutex_t lock;
	pthread_cond_t settled; /* a handler or a thread ended */
	struct plug_call *buckets[WORK_BUCKETS];
	struct plug_call *queue, **queue_tail; /* whole, waiting for a worker */
	atomic_bool open;                      /* READY was said: calls are taken */
	bool drained;                          /* no handler is started any more */
	bool closing;                          /* threads end */

	unsigned limit, running, threads, ended;
	uint64_t slots; /* vitals slots in use */
	uint64_t last_call_ns;
	struct worker *receiver;
	bool handling;    /* the receiver is in a handler … */
	uint64_t handled; /* … this one */
	struct worker *parked, *watcher;
	struct worker workers[WORK_LIMIT + 1];
	_Atomic uint32_t *average_ns; /* of each method's handler; 0: not known */
};

plug_err plugp_work_init(struct plug_plugin *plugin);
void plugp_work_fini(struct plug_plugin *plugin);

/* Start the thread that receives from now on.  PLUG_ESYS. */
plug_err plugp_work_start(struct plug_plugin *plugin);

/* Calls are taken from now on. */
void plugp_work_open(struct plug_plugin *plugin);

/* plugin->stopping was set: tell every handler, answer what waits for one. */
void plugp_work_cancel_all(struct plug_plugin *plugin);

/* Wait until no handler runs; from then on none is started. */
void plugp_work_drain(struct plug_plugin *plugin);

/* End the threads; no handler runs. */
void plugp_work_stop(struct plug_plugin *plugin);

unsigned plugp_work_running(struct plug_plugin *plugin);

/* Before a handler waits in a function of ours: let somebody else receive. */
void plugp_work_will_block(struct plug_call *call);

/* ---- calls (calls.c), for the receiver ---- */

/* Each returns the call when it is whole and can be run, else NULL; what it refuses it answers.
 * False in *ret_ok: a protocol violation, described in `why`. */
struct plug_call *plugp_calls_take(struct plug_plugin *plugin, uint64_t id, const Plug__Call *msg,
				   bool *ret_ok);
struct plug_call *plugp_calls_chunk(struct plug_plugin *plugin, uint64_t id,
				    const Plug__Chunk *msg);
void plugp_calls_cancel(struct plug_plugin *plugin, uint64_t id, uint32_t reason);
void plugp_calls_credit(struct plug_plugin *plugin, uint64_t id, uint64_t bytes);

/* Answer queued calls whose deadline has passed. */
void plugp_calls_expire(struct plug_plugin *plugin);

/* Take a call out of the table.  Called with the lock held. */
void plugp_calls_remove(struct work *work, struct plug_call *call);
void plugp_calls_free(struct plug_call *call);

/* ---- answers (reply.c) ---- */

/* The final reply of a call that has no handler; counts it. */
void plugp_reply_refuse(struct plug_plugin *plugin, uint64_t id, plug_err code, const char *format,
			...) PLUG_PRINTF(4, 5);

/* The handler returned `err`: answer unless it did. */
void plugp_reply_finish(struct plug_call *call, plug_err err);

#endif
