/* Shared by suspects.c and suspects_state.c. */
#ifndef PLUGD_SUSPECTS_PRIVATE_H
#define PLUGD_SUSPECTS_PRIVATE_H

#include "serve/suspects.h"

/* Those that were moved on the process's own word: accused when it proves true. */
struct accused {
	size_t count, size;
	struct poison_key keys[];
};

/* One more of this process.  When memory is short it gets away. */
void suspects_remember(struct instance *in, const struct poison_key *key);

#endif
