/*
 * The session with plugd: HELLO and WELCOME on every connection, and what plugd says.
 */
#ifndef PLUG_SDK_SESSION_H
#define PLUG_SDK_SESSION_H

#include <plug/error.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "plug.pb-c.h"
#include "wire.h"

struct plug_plugin;
struct plug_call;

#define SESSION_CALLS 256 /* in flight, when plugd names no limit */

enum handshake { HANDSHAKE_WAITS, HANDSHAKE_DONE, HANDSHAKE_REFUSED };

struct session {
	uint8_t token[PLUG_TOKEN_BYTES];
	Plug__Method *methods; /* for HELLO */
	Plug__Method **method_list;
	uint64_t taken; /* the last seq taken; of the thread that receives */

	bool resumable;
	uint8_t nonce[PLUG_NONCE_BYTES];

	_Atomic int handshake; /* enum handshake */
	uint64_t call_bytes, window_bytes;
	unsigned calls; /* that may be in flight here */
};

/* Prepare; the first receive connects.  PLUG_ENOMEM, or PLUG_ESYS after a message to stderr. */
plug_err plugp_session_open(struct plug_plugin *plugin, const char *address);

void plugp_session_fini(struct plug_plugin *plugin);

/* Say HELLO on a new connection; a fault when it cannot be said.  By the thread that receives. */
void plugp_session_hello(struct plug_plugin *plugin);

/*
 * Keep the connection, receive a message and deal with it.  Returns a call that is to be run, or
 * NULL.  Blocks until something happened, plugp_link_wake() was called, or, during the handshake,
 * a tenth of a second passed.  Only one thread at a time.
 */
struct plug_call *plugp_session_receive(struct plug_plugin *plugin);

#endif
