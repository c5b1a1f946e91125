/* The peers that are measured beside us, by programs of --peers DIR.  Main thread only. */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include "process.h"

#define PEER_WHY_BYTES 512

/* Run a peer's program, which prints one line with p50= and p99= in microseconds.  parted: when it
 * has started its other side, that and the program get a processor each.  Ends the process on
 * failure. */
struct percentiles peer_run(const struct bench *bench, char *const *argv, bool parted);

/* Where a program is in PATH; false: nowhere. */
bool peer_find(const char *name, char *path, size_t size);

/* ---- hashicorp/go-plugin: goplugin/main.go ---- */

struct go_peer {
	const struct bench *bench;
	char program[PATH_MAX];
};

/* Build it.  false, with the reason in `why`: there is none, or Go or its packages are missing. */
bool go_peer_build(const struct bench *bench, struct go_peer *ret, char why[PEER_WHY_BYTES]);

/* Of `count`: kill the plugin and have it ready again; a call with `size` bytes each way.  On both
 * processors: Go's threads cannot be told apart. */
struct percentiles go_peer_restart(const struct go_peer *peer, size_t count);
struct percentiles go_peer_call(const struct go_peer *peer, size_t size, size_t count);

/* ---- iceoryx: iceoryx_rtt.c ---- */

struct iox_peer {
	const struct bench *bench;
	char program[PATH_MAX];
	pid_t roudi; /* its daemon; it runs from open to close */
};

/* Build it and start its daemon; false, with the reason: as above. */
bool iox_peer_open(const struct bench *bench, struct iox_peer *ret, char why[PEER_WHY_BYTES]);
void iox_peer_close(struct iox_peer *peer); /* nothing when it was not opened */

/* Of `count`: a request and its response with `size` bytes each way that nobody touches, both
 * sides polling all the time. */
struct percentiles iox_peer_call(const struct iox_peer *peer, size_t size, size_t count);

#endif
