/* Numbers and names that plugd, plugins and clients must agree on.  Changing one is a protocol
 * change. */
#ifndef PLUG_WIRE_H
#define PLUG_WIRE_H

#include <stdint.h>

#define PLUG_VERSION       "0.1.0"
#define PLUG_PROTOCOL_MIN  1
#define PLUG_PROTOCOL_MAX  1

#define PLUG_MESSAGE_BYTES (64u * 1024) /* one packed Envelope */
#define PLUG_CHUNK_BYTES   (48u * 1024) /* payload in one message; longer ones go in chunks */
#define PLUG_CALL_BYTES    (16u * 1024 * 1024) /* default limit of a payload, chunks joined */
#define PLUG_WINDOW_BYTES  (128u * 1024)       /* default reply window of a call */
#define PLUG_RECV_BYTES    (1024u * 1024)      /* NNG_OPT_RECVMAXSZ, both sides */

#define PLUG_TOKEN_BYTES   16
#define PLUG_NONCE_BYTES   16
#define PLUG_NAME_BYTES    63 /* of a plugin or a method, without the NUL */

/* Both sides acknowledge at the latest after so many messages or payload bytes. */
#define PLUG_ACK_MESSAGES 64
#define PLUG_ACK_BYTES    (256u * 1024)

/* Environment of an instance */
#define PLUG_ENV_ADDRESS      "PLUG_ADDRESS"      /* nng URL of its private session */
#define PLUG_ENV_TOKEN        "PLUG_TOKEN"        /* 32 hex digits */
#define PLUG_ENV_NAME         "PLUG_NAME"         /* plugin name */
#define PLUG_ENV_INSTANCE     "PLUG_INSTANCE"     /* instance name */
#define PLUG_ENV_GENERATION   "PLUG_GENERATION"   /* decimal */
#define PLUG_ENV_VITALS_FD    "PLUG_VITALS_FD"    /* decimal descriptor of the vitals page */
#define PLUG_ENV_SOCKET       "PLUGD_SOCKET"      /* path of plugd.sock, for the client half */
#define PLUG_ENV_CLIENT_TOKEN "PLUG_CLIENT_TOKEN" /* 32 hex digits, for the life of the process */

#define PLUG_SOCKET_NAME      "plugd.sock" /* in the runtime directory */

#endif
