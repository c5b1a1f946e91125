/*
 * What this process has to say to plugd, in order, until plugd has it.
 *
 * Every message that is not of one connection only gets a position (seq) and is kept until plugd
 * acknowledges it; after a lost connection everything not acknowledged is sent again.  No function
 * here waits for plugd except plugp_outbox_flush(), so the thread that receives can never be held
 * up by one that sends.  All are safe in any thread.
 */
#ifndef PLUG_SDK_OUTBOX_H
#define PLUG_SDK_OUTBOX_H

#include <plug/error.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plug.pb-c.h"

/* Log bytes that may wait for an acknowledgement before logs go to stderr instead. */
#define OUTBOX_LOG_BYTES (256u * 1024)

struct entry;

enum outbox_state {
	OUTBOX_LOST,    /* no connection: messages wait */
	OUTBOX_OPEN,    /* connected: only HELLO may be sent */
	OUTBOX_WELCOMED /* everything may */
};

struct outbox {
	pthread_mutex_t lock;
	pthread_cond_t idle; /* everything was handed to the kernel, or the connection was lost */
	void (*on_wait)(
		void *user); /* plugp_outbox_waits() became true; called with the lock held */
	void *user;
	int fd; /* the connection; -1: none */
	/* the rest of a frame that found no room, sent by plugp_outbox_room(); NULL: none */
	uint8_t *rest;
	size_t rest_at, rest_size;
	atomic_bool waits; /* there is a rest */

	enum outbox_state state;
	uint32_t generation;
	uint64_t lost_ns; /* since when there is no welcomed connection; 0: there is one */
	uint64_t last_seq;
	struct entry *kept, **kept_tail; /* not acknowledged, by seq */
	struct entry *unsent;            /* the first of them not sent on this connection */
	struct entry *now, **now_tail;   /* of this connection only, sent first */

	atomic_size_t log_bytes;   /* of log messages kept */
	_Atomic uint64_t received; /* the last seq taken from plugd */
	_Atomic uint64_t received_bytes;
	_Atomic uint64_t told; /* `received` when we last sent something */
	_Atomic uint64_t told_bytes;
};

void plugp_outbox_init(struct outbox *out, uint32_t generation, void (*on_wait)(void *user),
		       void *user);

/* In a child that the process forked: nothing of it goes to plugd, and it does not hold the
 * connection. */
void plugp_outbox_forked(struct outbox *out);

/* Queue a message with a position and send what can be sent.  `env` is read during the call only;
 * its generation, seq and ack are set here.
 *
 * PLUG_ETOOLARGE  more than PLUG_MESSAGE_BYTES packed
 * PLUG_ENOMEM */
plug_err plugp_outbox_push(struct outbox *out, Plug__Envelope *env);

/* The same for a Log.  PLUG_EOVERLOADED when OUTBOX_LOG_BYTES of them wait already. */
plug_err plugp_outbox_push_log(struct outbox *out, Plug__Envelope *env);

/* Send a message of this connection only (Pong, Ack).  Dropped while there is none. */
void plugp_outbox_now(struct outbox *out, Plug__Envelope *env);

/* There is a connection, and only HELLO may be said.  It must stay open until
 * plugp_outbox_lost(). */
void plugp_outbox_connected(struct outbox *out, int fd);

/* Say HELLO on it.  PLUG_ENOMEM, PLUG_ETOOLARGE: nothing was said, and nothing will be. */
plug_err plugp_outbox_hello(struct outbox *out, Plug__Envelope *env);

/* The connection ended. */
void plugp_outbox_lost(struct outbox *out);

/* Something waits for room in the connection; there is some. */
bool plugp_outbox_waits(const struct outbox *out);
void plugp_outbox_room(struct outbox *out);

/* WELCOME came: plugd has everything up to `received`; send the rest again.  False when plugd
 * claims more than was ever sent. */
bool plugp_outbox_welcomed(struct outbox *out, uint64_t received);

enum outbox_origin {
	OUTBOX_FROM_OLD,        /* a connection that is given up: ignore it */
	OUTBOX_FROM_UNWELCOMED, /* only WELCOME and REFUSED count */
	OUTBOX_FROM_WELCOMED,
	OUTBOX_FROM_LIAR /* acknowledges more than was ever sent */
};

/* A message came and says that plugd has everything up to `ack`. */
enum outbox_origin plugp_outbox_heard(struct outbox *out, uint64_t ack);

/* A message with position `seq` and this size was taken; acknowledges when one is due. */
void plugp_outbox_took(struct outbox *out, uint64_t seq, size_t size);

/* From the tick: acknowledge what was not yet, and send on what waits for room although nobody
 * receives. */
void plugp_outbox_tick(struct outbox *out);

/* Since when there has been no welcomed connection, CLOCK_MONOTONIC; 0: there is one. */
uint64_t plugp_outbox_lost_since(struct outbox *out);

/* Wait until all was handed to the kernel, at most `timeout_ms`, not at all without a connection.
 */
void plugp_outbox_flush(struct outbox *out, unsigned timeout_ms);

#endif
