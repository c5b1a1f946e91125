/*
 * The session with plugd: HELLO and WELCOME on every connection, and what plugd says.
 */
#ifndef PLUG_SDK_SESSION_H
#define PLUG_SDK_SESSION_H

#include <nng/nng.h>
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
	nng_aio *receive_aio; /* of the thread that receives */
	uint8_t token[PLUG_TOKEN_BYTES];
	Plug__Method *methods; /* for HELLO */
	Plug__Method **method_list;
	uint64_t taken; /* the last seq taken; of the thread that receives */

	pthread_mutex_t lock; /* WELCOME is taken on one thread, HELLO said on another */
	bool resumable;
	uint8_t nonce[PLUG_NONCE_BYTES];

	_Atomic int handshake; /* enum handshake */
	_Atomic int hello_err; /* plug_err: HELLO was not said */
	uint64_t call_bytes, window_bytes;
	unsigned calls; /* that may be in flight here */
};

/* Connect in the background.  PLUG_ENOMEM, or
 * PLUG_ESYS after a message to stderr. */
plug_err plugp_session_open(struct plug_plugin *plugin, const char *address);

void plugp_session_fini(struct plug_plugin *plugin);

/* Say HELLO on connection `pipe`.  What goes wrong is noticed by plugp_link_maintain(). */
void plugp_session_hello(struct plug_plugin *plugin, uint32_t pipe);

/*
 * Receive one message and deal with it.  Returns a call that is to be run, or NULL.  Blocks until a
 * message came, plugp_session_interrupt() or a second passed during the handshake.  Only one thread
 * at a time.
 */
struct plug_call *plugp_session_receive(struct plug_plugin *plugin);

/* Wake the thread in plugp_session_receive(), if there is one just now. */
void plugp_session_interrupt(struct plug_plugin *plugin);

#endif
