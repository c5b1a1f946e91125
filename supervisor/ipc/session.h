/*
 * One generation's private session: what an nng pair1 socket can dial, with our own handshake,
 * acknowledged messages and resume.
 *
 * Loop's thread only.  The session knows nothing of plugins: it checks the token, keeps order,
 * acknowledges, keeps what is not acknowledged, sends it again after a resume, and hands on what
 * arrives.  docs/protocol.md is the contract.
 *
 * Callbacks may call any function here except session_close(); whoever wants to close from a
 * callback notes that and closes later.
 */
#ifndef PLUGD_SESSION_H
#define PLUGD_SESSION_H

#include <ev.h>
#include <plug/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec.h"

struct session;

struct session_ops {
	/*
	 * HELLO with a right token and a protocol in common: answer with session_welcome() or
	 * session_refuse().  Comes again only when the connection was lost before the other side
	 * had WELCOME.
	 */
	void (*on_hello)(void *user, const Plug__Hello *hello);

	/* A message after WELCOME, each once and in order; valid during the callback. */
	void (*on_message)(void *user, const Plug__Envelope *env);

	/* Connection lost or back, after the first WELCOME. */
	void (*on_lost)(void *user);
	void (*on_resumed)(void *user);

	/* The other side broke the protocol; `reason` says how.  Nothing is received any more. */
	void (*on_violation)(void *user, plug_err err, const char *reason);
};

struct session_config {
	struct ev_loop *loop;
	const char *path; /* of its socket, in a directory of mode 0700; must not exist */
	uint32_t generation;
	uint8_t token[16];
	size_t unacked_bytes; /* bound of the CALLs and CHUNKs that wait for acknowledgement */
	const struct session_ops *ops;
	void *user;
};

/* Listen.  On success *ret is the caller's, released with session_close(). */
plug_err session_open(const struct session_config *config, struct session **ret);

/* Close at once; nothing is called any more.  NULL is allowed. */
void session_close(struct session *session);

/* Answer to on_hello.  `welcome` gets its protocol, generation, nonce and plugd's version here. */
plug_err session_welcome(struct session *session, Plug__Welcome *welcome);
void session_refuse(struct session *session, plug_err code, const char *message);

/*
 * Send `env`, whose id and body are set; generation, seq and ack are set here.  Kept until
 * acknowledged; while the connection is lost only kept.  Never blocks.
 *
 * PLUG_ESTATE       not welcomed yet
 * PLUG_EOVERLOADED  more than unacked_bytes wait; what is no payload has a reserve beyond them
 * PLUG_ETOOLARGE PLUG_ENOMEM
 */
plug_err session_send(struct session *session, Plug__Envelope *env);

/* PING, without acknowledgement; PONG reaches on_message. */
void session_ping(struct session *session, uint64_t stamp);

/* Acknowledge what has been received, if that is due: called once a second by the owner. */
void session_tick(struct session *session);

bool session_welcomed(const struct session *session); /* at least once */
bool session_connected(const struct session *session);
size_t session_unacked_bytes(const struct session *session);
uint32_t session_protocol(const struct session *session);

#endif
