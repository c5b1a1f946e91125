/*
 * Stop strings in streamed text.  Text that could be the beginning of a stop string is held back
 * until it is clear; the stop string itself is never let out.
 */
#ifndef GPT2_STOPPER_H
#define GPT2_STOPPER_H

#include "text.h"

#include <stdbool.h>
#include <stddef.h>

#define STOP_MAX_STRINGS 16

struct stop_list {
	const char *strings[STOP_MAX_STRINGS]; /* none of them empty */
	size_t count;
};

struct stopper {
	const struct stop_list *list; /* must outlive it */
	struct text held;
};

/*
 * Take `size` bytes in.  What is clear is appended to `out`.  *ret_stopped becomes true when a stop
 * string is complete: then `out` ends before the one that was complete first, and the rest is
 * dropped.  -1 without memory.
 */
int stopper_push(struct stopper *stopper, const char *bytes, size_t size, struct text *out,
		 bool *ret_stopped);

/* No more text comes: what is held was no stop string. */
int stopper_end(struct stopper *stopper, struct text *out);
void stopper_fini(struct stopper *stopper);

#endif
