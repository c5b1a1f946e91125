/*
 * Both sides of a channel in one process, with real regions and a real wake socket.
 */
#ifndef PAIR_H
#define PAIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ring.h"

/* What one side has. */
struct side {
	struct plugs_region own, peer;
	struct plugs_poster poster;
	struct plugs_taker taker;
	int wake_fd;
};

struct pair {
	struct side caller, plugin;
};

/* `shared_mapping`: both sides look at the same addresses, so that a thread sanitizer sees what
 * they do to each other; otherwise each maps the other's region read-only, as two processes do. */
void pair_init(struct pair *pair, uint64_t region_bytes, bool shared_mapping);
void pair_fini(struct pair *pair);

#endif
