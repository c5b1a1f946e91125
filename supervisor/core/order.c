#include "core/order.h"

#include <stdio.h>
#include <string.h>

static bool
is_free(const struct order_node *nodes, const struct order_node *node)
{
	for (size_t i = 0; i < node->require_count; i++)
		if (!nodes[node->requires[i]].placed)
			return false;
	return !node->placed;
}

static bool
goes_before(const struct order_node *left, const struct order_node *right)
{
	if (left->priority != right->priority)
		return left->priority > right->priority;
	return strcmp(left->name, right->name) < 0;
}

size_t
order_nodes(struct order_node *nodes, size_t count, size_t *sequence)
{
	size_t placed = 0;

	for (size_t i = 0; i < count; i++)
		nodes[i].placed = nodes[i].in_cycle = false;
	for (;;) {
		struct order_node *best = NULL;

		for (size_t i = 0; i < count; i++)
			if (is_free(nodes, &nodes[i]) && (!best || goes_before(&nodes[i], best)))
				best = &nodes[i];
		if (!best)
			break;
		best->placed = true;
		sequence[placed++] = (size_t)(best - nodes);
	}
	for (size_t i = 0; i < count; i++)
		nodes[i].in_cycle = !nodes[i].placed;
	return placed;
}

/* Every node of a cycle, or behind one, requires at least one that is not placed: following those
 * must come round. */
static size_t
next_unplaced(const struct order_node *nodes, size_t at)
{
	for (size_t i = 0; i < nodes[at].require_count; i++)
		if (!nodes[nodes[at].requires[i]].placed)
	return nodes[at].requires[i];
	return at;
}

const char *
order_cycle_text(const struct order_node *nodes, size_t start, char *text, size_t size)
{
	size_t slow = start, fast = start, used = 0;

	*text = '\0';
	if (nodes[start].placed)
		return text;
	do {
		slow = next_unplaced(nodes, slow);
		fast = next_unplaced(nodes, next_unplaced(nodes, fast));
	} while (slow != fast);
	do {
		used += (size_t)snprintf(text + used, used < size ? size - used : 0, "%s -> ",
					 nodes[slow].name);
		slow = next_unplaced(nodes, slow);
	} while (slow != fast && used < size);
	if (used < size)
		snprintf(text + used, size - used, "%s", nodes[slow].name);
	return text;
}
