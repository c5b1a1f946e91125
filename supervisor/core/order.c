#include "core/order.h"

#include <stdio.h>
#include <stdlib.h>
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

static int
by_rank(const void *left, const void *right, void *nodes)
{
	const struct order_node *all = nodes;

	return goes_before(&all[*(const size_t *)left], &all[*(const size_t *)right]) ? -1 : 1;
}

/* Without memory for it in the order given: then the best of those that are free is looked for. */
static size_t *
sort_nodes(struct order_node *nodes, size_t count)
{
	size_t *sorted = calloc(count + 1, sizeof(*sorted));

	for (size_t i = 0; sorted && i < count; i++)
		sorted[i] = i;
	if (sorted)
		qsort_r(sorted, count, sizeof(*sorted), by_rank, nodes);
	return sorted;
}

static struct order_node *
best_free(struct order_node *nodes, size_t count, const size_t *sorted, size_t first)
{
	struct order_node *best = NULL;

	for (size_t i = first; i < count; i++) {
		struct order_node *node = &nodes[sorted ? sorted[i] : i];

		if (is_free(nodes, node) && (!best || goes_before(node, best)))
			best = node;
		if (best && sorted)
			break;
	}
	return best;
}

size_t
order_nodes(struct order_node *nodes, size_t count, size_t *sequence)
{
	size_t *sorted = sort_nodes(nodes, count), placed = 0, first = 0;
	struct order_node *best;

	for (size_t i = 0; i < count; i++)
		nodes[i].placed = nodes[i].in_cycle = false;
	while ((best = best_free(nodes, count, sorted, first))) {
		best->placed = true;
		sequence[placed++] = (size_t)(best - nodes);
		while (sorted && first < count && nodes[sorted[first]].placed)
			first++;
	}
	for (size_t i = 0; i < count; i++)
		nodes[i].in_cycle = !nodes[i].placed;
	free(sorted);
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
