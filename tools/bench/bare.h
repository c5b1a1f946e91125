/*
 * The floors: bare nng pair1 between this process and another, nothing in between.
 *
 * The other side is this program executed again (nng does not survive a fork).  Main thread only.
 */
#ifndef BENCH_BARE_H
#define BENCH_BARE_H

#include <nng/nng.h>

#include "bench.h"
#include "process.h"

/* A listener of ours and a process that sends every message back. */
struct bare {
	const struct bench *bench;
	nng_socket socket;
	char url[128];
	pid_t pid;
};

/* Return when the other side's first message has come.  End the process on failure. */
void bare_open(const struct bench *bench, struct bare *ret);
void bare_close(struct bare *bare);

/* Replace the other side, as a supervisor would: a new listener, a new process. */
void bare_respawn(struct bare *bare);

/* There and back, one message of `size` bytes. */
void bare_round_trip(struct bare *bare, size_t size);

/* `total` messages of BENCH_MESSAGE bytes there and back with `window` of them under way;
 * microseconds that took. */
double bare_stream(struct bare *bare, size_t window, size_t total);

/* A process with `count` listeners, and `count` processes that connected and said a word: what a
 * supervisor's sockets cost without a supervisor. */
struct bare_hub {
	pid_t pid;
	pid_t *others;
	size_t count;
	double ready_us; /* from nothing to the last one's word */
};

void bare_hub_open(const struct bench *bench, size_t count, struct bare_hub *ret);
void bare_hub_close(struct bare_hub *hub);

/* What the other side's process does: argv after "--other". */
int bare_other_main(int argc, char **argv);

#endif
