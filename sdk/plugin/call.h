/*
 * Calls from their first message to their answer, whichever way they came: on the session with
 * plugd or on a channel straight from a caller.
 */
#ifndef PLUG_SDK_CALL_H
#define PLUG_SDK_CALL_H

#include <plug/plugin.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message.h"

#define CALL_TYPE_BYTES 1024 /* of a content type, at most */

struct call_tensors;
struct channel;
struct work;
struct worker;

enum call_stage { CALL_ASSEMBLING, CALL_QUEUED, CALL_RUNNING };

struct plug_call {
	struct plug_plugin *plugin;
	struct channel *channel; /* NULL: it came on the session */
	const struct plug_method *method;
	uint64_t id;          /* unique on its channel or on the session */
	uint64_t deadline_ns; /* CLOCK_MONOTONIC; UINT64_MAX: none */
	uint64_t began_ns;    /* taken; to a few milliseconds only unless `timed` */
	bool timed;
	bool near_deadline; /* so near that a few milliseconds matter */
	const char *content_type;
	size_t content_type_size;
	uint8_t *payload; /* a NUL follows */
	size_t size, capacity;
	size_t held_bytes;  /* counted in the channel's */
	bool payload_own;   /* payload is an allocation of its own */
	_Atomic int cancel; /* PLUG_OK, or why nobody waits any more */

	/* of the handler's thread */
	struct call_tensors *tensors; /* NULL: none */
	struct worker *worker;
	uint64_t led; /* the beat under which the plane's holder runs it; 0: an ordinary worker */
	int slot;     /* its place among the running, and in the vitals */
	bool answered;
	plug_err unanswerable; /* why it cannot be answered with a payload any more */
	uint32_t outcome;      /* … with; not yet counted when `led` */
	_Atomic uint64_t sent; /* payload bytes; others may read it */
	char *message;         /* of the failure */

	/* under work.lock */
	enum call_stage stage;
	bool listed; /* others can find it by its id */
	struct plug_call *bucket_next, *queue_next;
	uint64_t credit; /* payload bytes that the caller has taken */
	pthread_cond_t wake;

	/* of a channel's calls, which are used again and again */
	struct plug_call *spare_next;
	uint8_t *record; /* the message as it came; method, content type and payload lie in it */
	size_t record_bytes;
};

/* What plug_call_id() says: plugd's number, or that of the channel and the caller's. */
uint64_t plugp_call_number(const struct channel *channel, uint64_t id);

/* ---- the table of those that others must find; each is called with work.lock held ---- */

struct plug_call *plugp_calls_find(struct work *work, const struct channel *channel, uint64_t id);
void plugp_calls_list(struct work *work, struct plug_call *call);
void plugp_calls_remove(struct work *work, struct plug_call *call);

/* ---- messages, for the thread that takes them; `channel` NULL: the session ---- */

/* A Call on the session.  The call when it is whole and can be run, else NULL; what it refuses it
 * answers.  False in *ret_ok: there is one of that id already. */
struct plug_call *plugp_calls_take(struct plug_plugin *plugin, const struct plugs_message *msg,
				   bool *ret_ok);

/* Refuse a Call for what it says or asks; answers and counts it.  False: it is to be taken, with
 * the method in *ret_method. */
bool plugp_calls_refused(struct plug_plugin *plugin, struct channel *channel,
			 const struct plugs_message *msg, const struct plug_method **ret_method);

/* The call when it is now whole and can be run, else NULL. */
struct plug_call *plugp_calls_chunk(struct plug_plugin *plugin, struct channel *channel,
				    const struct plugs_message *msg);
void plugp_calls_cancel(struct plug_plugin *plugin, struct channel *channel, uint64_t id,
			uint32_t reason);

/* False: it came on a channel and is more than was ever sent. */
bool plugp_calls_credit(struct plug_plugin *plugin, struct channel *channel, uint64_t id,
			uint64_t bytes);

/* Answer queued calls whose deadline has passed. */
void plugp_calls_expire(struct plug_plugin *plugin);

/* The channel is gone: nobody waits for its calls.  Those that run are told, the others dropped. */
void plugp_calls_orphan(struct plug_plugin *plugin, struct channel *channel);

/* Any thread, with or without work.lock.  NULL is allowed. */
void plugp_calls_free(struct plug_call *call);

/* ---- answers (reply.c) ---- */

/* The final reply of a call that has no handler; counts it. */
void plugp_reply_refuse(struct plug_plugin *plugin, struct channel *channel, uint64_t id,
			plug_err code, const char *format, ...) PLUG_PRINTF(5, 6);

/* The handler returned `err`: answer unless it did. */
void plugp_reply_finish(struct plug_call *call, plug_err err);

/* Count the answer of a call that was led. */
void plugp_reply_count(struct plug_plugin *plugin, const struct channel *channel, uint32_t outcome);

#endif
