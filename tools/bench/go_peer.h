/* The peer that is measured beside us: hashicorp/go-plugin, by a program of `peers`/goplugin. */
#ifndef BENCH_GO_PEER_H
#define BENCH_GO_PEER_H

#include "process.h"

struct go_peer {
	const struct bench *bench;
	char program[PATH_MAX];
};

/* Build it.  false, with the reason in `why`: there is none, or Go or its packages are missing. */
bool go_peer_build(const struct bench *bench, struct go_peer *ret, char *why, size_t why_size);

/* Medians in microseconds, of `count`: kill the plugin and have it ready again; a call with `size`
 * bytes each way.  On both processors: its two processes cannot be parted. */
double go_peer_restart(const struct go_peer *peer, size_t count);
double go_peer_call(const struct go_peer *peer, size_t size, size_t count);

#endif
