/*
 * What this process has to say to plugd, in order, until plugd has it.
 *
 * Every message that is not of one connection only gets a position (seq) and is kept until plugd
 * acknowledges it; after a lost connection everything not acknowledged is sent again.  No function
 * here waits for plugd except plugp_outbox_flush(), so the thread that receives can never be held
 * up by one that sends.  All are safe in any thread, nng's callbacks included.
 */
#ifndef PLUG_SDK_OUTBOX_H
#define PLUG_SDK_OUTBOX_H

#include <nng/nng.h>
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
	nng_socket socket;   /* of the current connection */
	nng_aio *try_aio;    /* no timeout, no callback: sends now or not at all */
	nng_aio *wait_aio;   /* the one message that waits for room; its callback sends on */
	bool waiting;        /* wait_aio is in use */

	enum outbox_state state;
	uint32_t pipe; /* nng's id of the current connection; 0: none */
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

/* PLUG_ENOMEM. */
plug_err plugp_outbox_init(struct outbox *out, uint32_t generation);

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

/* A new connection: nothing more goes to the old one, and nothing to this one before HELLO. */
void plugp_outbox_replace(struct outbox *out, nng_socket socket, uint32_t pipe);

/* Say HELLO on it.  PLUG_ENOMEM, PLUG_ETOOLARGE: nothing was said, and nothing will be. */
plug_err plugp_outbox_hello(struct outbox *out, uint32_t pipe, Plug__Envelope *env);

/* The connection ended. */
void plugp_outbox_lost(struct outbox *out, uint32_t pipe);

/* WELCOME came on `pipe`: plugd has everything up to `received`; send the rest again.  False when
 * plugd claims more than was ever sent. */
bool plugp_outbox_welcomed(struct outbox *out, uint32_t pipe, uint64_t received);

enum outbox_origin {
	OUTBOX_FROM_OLD,        /* not the current connection: ignore it */
	OUTBOX_FROM_UNWELCOMED, /* only WELCOME and REFUSED count */
	OUTBOX_FROM_WELCOMED,
	OUTBOX_FROM_LIAR /* acknowledges more than was ever sent */
};

/* A message came on `pipe` and says that plugd has everything up to `ack`. */
enum outbox_origin plugp_outbox_heard(struct outbox *out, uint32_t pipe, uint64_t ack);

/* A message with position `seq` and this size was taken; acknowledges when one is due. */
void plugp_outbox_took(struct outbox *out, uint64_t seq, size_t size);

/* From the tick: acknowledge what was not yet, and retry what lack of memory held up. */
void plugp_outbox_tick(struct outbox *out);

/* Since when there has been no welcomed connection, CLOCK_MONOTONIC; 0: there is one. */
uint64_t plugp_outbox_lost_since(struct outbox *out);

/* Wait until all was handed to the kernel, at most `timeout_ms`, not at all without a connection.
 */
void plugp_outbox_flush(struct outbox *out, unsigned timeout_ms);

#endif
