/* In which order plugins start: what is required first, then by priority, then by name.  Pure. */
#ifndef PLUGD_ORDER_H
#define PLUGD_ORDER_H

#include <stdbool.h>
#include <stddef.h>

struct order_node {
	const char *name;
	unsigned priority;      /* higher first */
	const size_t *requires; /* indices of nodes */
	size_t require_count;

	/* results */
	bool placed;
	bool in_cycle; /* on a cycle, or behind one: not placed */
};

/*
 * Fill `sequence` with the indices of the nodes that can start, each after all that it requires.
 * Returns how many; the others are in_cycle.  `nodes` need not be sorted.
 */
size_t order_nodes(struct order_node *nodes, size_t count, size_t *sequence);

/* A cycle through `start`, as "a -> b -> a", for people.  Returns `text`; "" when there is none. */
const char *order_cycle_text(const struct order_node *nodes, size_t start, char *text, size_t size);

#endif
