/*
 * plugd's side of a plugin session, in the test's own process: a real pair1 listener, a real child,
 * the protocol of docs/protocol.md.  One thread; every wait has a limit; what goes wrong ends the
 * test with a message.
 */
#ifndef PEER_H
#define PEER_H

#include <nng/nng.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "plug.pb-c.h"
#include "vitals.h"
#include "wire.h"

#define PEER_WAIT_MS 5000

struct peer_message {
	struct peer_message *next;
	Plug__Envelope *env;
	size_t size;
};

struct peer_sent {
	struct peer_sent *next;
	uint64_t seq;
	size_t size;
	uint8_t bytes[];
};

struct peer {
	char dir[64], url[96];
	nng_socket socket;
	nng_listener listener;
	nng_pipe pipe; /* of the last HELLO */
	int cut_id;    /* of the connection cut last */
	bool welcomed;
	pid_t pid;
	int vitals_fd, stderr_fd;
	int broker_fd;                   /* our end of the socket on which channels are offered */
	uint64_t channels;               /* offered */
	Plug__Envelope *broker_kept[16]; /* came before somebody asked */
	uint32_t generation;
	uint8_t token[PLUG_TOKEN_BYTES], nonce[PLUG_NONCE_BYTES];
	uint64_t seq, received;                /* last sent, last taken */
	struct peer_sent *sent, **sent_tail;   /* not acknowledged */
	struct peer_message *inbox, **in_tail; /* taken and not yet asked for */

	/* what WELCOME says; set before peer_start() to change it */
	Plug__Limits limits;
	Plug__ConfigEntry **config;
	size_t n_config;

	/* seen since the start */
	unsigned resumes, acks, duplicates;
	bool no_ack;           /* do not acknowledge: for the tests of retransmission */
	bool no_credit;        /* do not open the window again */
	bool no_broker;        /* set before peer_start(): offer no channels */
	Plug__Envelope *hello; /* the first one */
};

/* Listen and start argv[0] with the session's environment and, unless NULL, `extra` ("K=V"). */
void peer_start(struct peer *peer, char *const argv[], const char *extra);

/* HELLO, WELCOME, READY. */
void peer_handshake(struct peer *peer);

/* End the child by SIGKILL if it is still there, and everything else.  Fails when a sanitizer
 * complained in the child. */
void peer_end(struct peer *peer);

/* Send with a position, kept until acknowledged.  Nothing in `env` but id and body is used. */
void peer_send(struct peer *peer, Plug__Envelope *env);

/* Send without a position. */
void peer_send_now(struct peer *peer, Plug__Envelope *env);

/* A message of this body (and of this id, unless 0), waited for at most `timeout_ms`; NULL when
 * none came.  The caller frees it with plug_envelope_free(). */
Plug__Envelope *peer_poll(struct peer *peer, int body, uint64_t id, int timeout_ms);

/* The same, required within PEER_WAIT_MS. */
Plug__Envelope *peer_expect(struct peer *peer, int body, uint64_t id);

/* Start a call; a long payload goes in chunks.  timeout_ms 0: none. */
void peer_call(struct peer *peer, uint64_t id, const char *method, const void *data, size_t size,
	       uint64_t timeout_ms);
void peer_cancel(struct peer *peer, uint64_t id);
void peer_stop(struct peer *peer);

/* A whole answer: the final Reply or, with `pieces`, each partial one too.  Chunks joined, credit
 * given. */
struct peer_answer {
	uint32_t outcome;
	bool partial;
	char message[1100];
	char content_type[64];
	uint8_t *data; /* a NUL follows; freed by peer_answer_free() */
	size_t size;
};

struct peer_answer peer_answer(struct peer *peer, uint64_t id);
bool peer_answered(struct peer *peer, uint64_t id, int timeout_ms, struct peer_answer *ret);
void peer_answer_free(struct peer_answer *answer);

/* What the child wrote to stderr so far; valid until the next call of this function. */
const char *peer_stderr(struct peer *peer);

/* Cut the connection as a failing link would. */
void peer_cut(struct peer *peer);

/* The exit status as wait(2) gives it; the child must end within `timeout_ms`. */
int peer_wait(struct peer *peer, int timeout_ms);

struct plug_vitals peer_vitals(const struct peer *peer);

/* A WELCOME or REFUSED that the test words itself. */
void peer_say_welcome(struct peer *peer, Plug__Welcome *msg);

/* Bytes as they are. */
void peer_send_raw(struct peer *peer, const void *bytes, size_t size);

uint64_t peer_now_ms(void);

#endif
