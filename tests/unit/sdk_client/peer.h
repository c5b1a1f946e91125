/*
 * The other end of a client connection, inside the test's process: a real listening socket and a
 * thread that follows the script of one test.  It says exactly what the script says, right or
 * wrong, which a daemon never would.  A peer that waits longer than PEER_WAIT_MS fails the test.
 */
#ifndef PEER_H
#define PEER_H

#include <plug/client.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "codec.h"
#include "wire.h"

#define PEER_WAIT_MS 20000

struct peer;

typedef void (*peer_script)(struct peer *peer);

struct peer {
	char dir[64], path[96];
	int listener, fd;
	pthread_t thread;
	peer_script script;
	void *arg;
	uint64_t call_bytes; /* limit to welcome with; 0: none said */
};

/* cmocka's asserts are for the main thread; a script that fails ends the program. */
#define MUST(condition)                                                                       \
	do {                                                                                  \
		if (!(condition)) {                                                           \
			fprintf(stderr, "%s:%d: peer: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                              \
		}                                                                             \
	} while (0)

/* A listener in a fresh directory, and a thread that runs the script. */
void peer_start(struct peer *peer, peer_script script, void *arg);

/* The same; the peer welcomes with this limits.call_bytes. */
void peer_start_limited(struct peer *peer, peer_script script, void *arg, uint64_t call_bytes);

/* Joins the thread and removes the directory. */
void peer_stop(struct peer *peer);

/* plug_client_open() on the peer's directory; must succeed. */
struct plug_client *peer_client(struct peer *peer);

/* The same; its size, directory and name are set here. */
struct plug_client *peer_client_with(struct peer *peer, struct plug_client_config config);

/* ---- for scripts ---- */

void peer_accept(struct peer *peer);  /* and nothing more */
void peer_welcome(struct peer *peer); /* accept, take the hello, welcome */
void peer_close(struct peer *peer);

/* The next message, freed by the caller; NULL when the client closed.  Requests for channels are
 * refused on the way. */
Plug__Envelope *peer_receive(struct peer *peer);

/* Would that return at once?  Requests for channels do not count: they are refused. */
bool peer_has_more(struct peer *peer);

/* The next message, which must be of this kind. */
Plug__Envelope *peer_expect(struct peer *peer, Plug__Envelope__BodyCase kind);

/* A whole call, chunks joined; its id.  *ret_data is the caller's. */
uint64_t peer_take_call(struct peer *peer, uint8_t **ret_data, size_t *ret_size);

void peer_send(struct peer *peer, const Plug__Envelope *env);
void peer_send_bytes(struct peer *peer, const void *data, size_t size);

struct peer_reply {
	uint64_t id;
	plug_err outcome;
	const char *type, *text, *message;
	bool more, partial;
};

void peer_reply(struct peer *peer, struct peer_reply reply);
void peer_chunk(struct peer *peer, uint64_t id, const void *data, size_t size, bool last);

/* Payload of `size` bytes in messages of `piece` bytes. */
void peer_reply_long(struct peer *peer, uint64_t id, const void *data, size_t size, size_t piece,
		     bool partial);

/* ---- for tests ---- */

static inline struct plug_request
request_of(const char *method, const void *data, size_t size)
{
	return (struct plug_request){.size = sizeof(struct plug_request),
				     .plugin = "echo",
				     .method = method,
				     .payload = {.data = data, .size = size}};
}

/* size bytes that differ from those of other seeds; freed by the caller. */
void *pattern(size_t size, unsigned seed);

uint64_t now_ms(void);

#endif
