/*
 * The bytes below a session: nng's wire, without nng.
 *
 * A listening Unix socket that speaks what an nng 1.5 pair1 socket over ipc:// speaks to exactly
 * one peer at a time, in the loop's own thread.  Eight bytes of greeting each way, then frames: a
 * byte 1, the length as a 64-bit big-endian number, a 32-bit hop count, the body (nng's nng_ipc(7)
 * and nng_pair(7); SP over IPC).  A second peer is turned away while the first is
 * there.
 *
 * Loop's thread only.  Callbacks may call any function here except link_close().
 */
#ifndef PLUGD_LINK_H
#define PLUGD_LINK_H

#include <ev.h>
#include <plug/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct link;

struct link_ops {
	/* A body, each once and in order; valid during the callback.  False: there is no memory for
	 * it; the connection is given up, so that the peer comes back and sends it again. */
	bool (*on_frame)(void *user, const uint8_t *body, size_t size);
	/* The connection has ended; all that it brought has been handed on. */
	void (*on_lost)(void *user);
	/* What was refused by link_send() may be tried again. */
	void (*on_writable)(void *user);
	/* Not a frame, or one above max_bytes.  The connection has been closed; on_lost follows. */
	void (*on_garbage)(void *user, const char *what);
};

struct link_config {
	struct ev_loop *loop;
	const char *path; /* of the socket; must not exist */
	size_t max_bytes; /* of a body */
	const struct link_ops *ops;
	void *user;
};

/* Listen.  On success *ret is the caller's, released with link_close().  PLUG_ETOOLARGE (the path),
 * PLUG_ENOMEM, PLUG_ESYS */
plug_err link_open(const struct link_config *config, struct link **ret);

/* Close at once and remove the socket; nothing is called any more.  NULL is allowed. */
void link_close(struct link *link);

/*
 * Send a body; never blocks.  PLUG_OK: taken, whole, also when only a part has left yet.
 *
 * PLUG_EAGAIN  the peer does not read fast enough: on_writable will come
 * PLUG_EGONE   there is no connection
 * PLUG_ENOMEM
 */
plug_err link_send(struct link *link, const void *body, size_t size);

/* Receive nothing more: the connection's bytes stay where they are. */
void link_mute(struct link *link);

/* Stands for the present connection; 0 while there is none.  Never used twice. */
uint64_t link_connection(const struct link *link);

#endif
