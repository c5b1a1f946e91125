/* One caller of the chaos suite: what its calls are, and what it writes of them. */
#ifndef CHAOS_CALLER_H
#define CHAOS_CALLER_H

#include <plug/client.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "record.h"

#define CALLER_PLUGINS 16

struct caller {
	struct plug_client *client;
	const char *name, *plane;
	const char *plugins[CALLER_PLUGINS];
	unsigned plugin_count, calls_a_second, threads;
	uint64_t seed;
	int record_fd;
	atomic_bool over; /* no new calls */
};

/* A call as it was drawn, and what is seen of it. */
struct drawn {
	char key[RECORD_KEY];
	const char *plugin, *method;
	char *request; /* its own, drawn_fini() frees it */
	size_t size;
	uint32_t timeout_ms, count;
	uint32_t cancel_ms;    /* after so long; 0: not */
	uint32_t cancel_piece; /* at this piece, from 1; 0: not */
	uint32_t flags;        /* of the request */
	uint32_t pieces;       /* seen so far */
	bool cancelled, wrong; /* asked to end; a piece was not its own */
	uint64_t began_ns;
};

/* The next call of a thread; the same seed draws the same calls. */
void drawn_next(const struct caller *caller, uint64_t *random, unsigned thread, uint64_t number,
		struct drawn *ret);
void drawn_fini(struct drawn *drawn);
struct plug_request drawn_request(const struct drawn *drawn);

/* For plug_client_call() and plug_client_send(); `user` is the struct drawn. */
bool drawn_on_piece(const struct plug_payload *piece, void *user);

/* The two lines of every call.  `reply` NULL: it was refused before it was sent. */
void drawn_write_begin(const struct caller *caller, struct drawn *drawn);
void drawn_write_end(const struct caller *caller, const struct drawn *drawn, plug_err outcome,
		     const struct plug_reply *reply);

#endif
