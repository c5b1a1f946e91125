/* In which order plugins start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/order.h"

#define REQUIRES(...)                              \
	.requires = (const size_t[]){__VA_ARGS__}, \
	.require_count = sizeof((const size_t[]){__VA_ARGS__}) / sizeof(size_t)

#define NODES_MAX 5

static const struct {
	const char *name, *sequence; /* names, a space after each */
	const char *cycle;           /* through the last node */
	struct order_node nodes[NODES_MAX];
} cases[] = {
	{"nothing", "", "", {{0}}},
	{"one", "a ", "", {{.name = "a"}}},
	{"by name", "a b c ", "", {{.name = "c"}, {.name = "a"}, {.name = "b"}}},
	{"by priority, then by name",
	 "z b c a ",
	 "",
	 {{.name = "a"},
	  {.name = "c", .priority = 5},
	  {.name = "z", .priority = 9},
	  {.name = "b", .priority = 5}}},
	{"what is required goes first, whatever its priority",
	 "c b a ",
	 "",
	 {{.name = "a", .priority = 9, REQUIRES(1)},
	  {.name = "b", .priority = 5, REQUIRES(2)},
	  {.name = "c"}}},
	{"a diamond",
	 "d c b a ",
	 "",
	 {{.name = "a", REQUIRES(1, 2)},
	  {.name = "b", REQUIRES(3)},
	  {.name = "c", .priority = 1, REQUIRES(3)},
	  {.name = "d"}}},
	{"required twice", "b a ", "", {{.name = "a", REQUIRES(1, 1)}, {.name = "b"}}},
	{"itself", "b ", "a -> a", {{.name = "b"}, {.name = "a", REQUIRES(1)}}},
	{"two in a circle",
	 "c ",
	 "a -> b -> a",
	 {{.name = "c"}, {.name = "b", REQUIRES(2)}, {.name = "a", REQUIRES(1)}}},
	{"behind a circle",
	 "",
	 "a -> b -> a",
	 {{.name = "a", REQUIRES(1)}, {.name = "b", REQUIRES(0)}, {.name = "c", REQUIRES(0)}}},
	{"a circle and a free one among what is required",
	 "f ",
	 "a -> b -> c -> a",
	 {{.name = "f"},
	  {.name = "c", REQUIRES(0, 3)},
	  {.name = "b", REQUIRES(1)},
	  {.name = "a", REQUIRES(0, 2)}}},
};

static bool
is_rotation(const char *text, const char *cycle)
{
	char twice[256];
	const char *last = strrchr(cycle, ' ');

	/* "a -> b -> a" without its end, twice: every rotation is a part of it */
	snprintf(twice, sizeof(twice), "%.*s %s", (int)(last - cycle), cycle, cycle);
	return strlen(text) == strlen(cycle) && strstr(twice, text);
}

static void
test_named_graphs(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct order_node nodes[NODES_MAX];
		size_t sequence[NODES_MAX], count = 0, placed;
		char names[64] = "", text[128] = "unset";

		memcpy(nodes, cases[i].nodes, sizeof(nodes));
		while (count < NODES_MAX && nodes[count].name)
			count++;
		placed = order_nodes(nodes, count, sequence);
		for (size_t at = 0; at < placed; at++) {
			strcat(names, nodes[sequence[at]].name);
			strcat(names, " ");
		}
		if (strcmp(names, cases[i].sequence) != 0)
			fail_msg("%s: \"%s\", expected \"%s\"", cases[i].name, names,
				 cases[i].sequence);
		if (!count)
			continue;
		order_cycle_text(nodes, count - 1, text, sizeof(text));
		if (*cases[i].cycle ? !is_rotation(text, cases[i].cycle) : *text != '\0')
			fail_msg("%s: circle \"%s\", expected \"%s\"", cases[i].name, text,
				 cases[i].cycle);
	}
}

/* The text of a circle is cut where the caller's buffer ends, at every size. */
static void
test_circle_text_keeps_the_buffer(void **state)
{
	struct order_node nodes[] = {{.name = "first", REQUIRES(1)},
				     {.name = "second", REQUIRES(0)}};
	size_t sequence[2];
	char whole[64];

	(void)state;
	assert_int_equal(order_nodes(nodes, 2, sequence), 0);
	order_cycle_text(nodes, 0, whole, sizeof(whole));
	for (size_t size = 1; size <= strlen(whole) + 1; size++) {
		char *text = malloc(size);

		assert_ptr_equal(order_cycle_text(nodes, 0, text, size), text);
		assert_true(strlen(text) < size);
		assert_memory_equal(text, whole, strlen(text));
		free(text);
	}
}

#define GRAPH_MAX 24

struct graph {
	struct order_node nodes[GRAPH_MAX];
	size_t edges[GRAPH_MAX][GRAPH_MAX], sequence[GRAPH_MAX], count, placed;
	char names[GRAPH_MAX][24];
};

static uint32_t
next_random(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static void
make_graph(struct graph *graph, uint32_t *seed)
{
	memset(graph, 0, sizeof(*graph));
	graph->count = 1 + next_random(seed) % GRAPH_MAX;
	for (size_t i = 0; i < graph->count; i++) {
		struct order_node *node = &graph->nodes[i];

		snprintf(graph->names[i], sizeof(graph->names[i]), "n%02zu", i);
		node->name = graph->names[i];
		node->priority = next_random(seed) % 4;
		node->requires = graph->edges[i];
		node->require_count = next_random(seed) % 3;
		for (size_t e = 0; e < node->require_count; e++)
			graph->edges[i][e] = next_random(seed) % graph->count;
	}
}

/* By another way than order_nodes(): who can be reached, transitively. */
static bool
leads_to_a_circle(const struct graph *graph, size_t start)
{
	static bool reach[GRAPH_MAX][GRAPH_MAX];

	memset(reach, 0, sizeof(reach));
	for (size_t i = 0; i < graph->count; i++)
		for (size_t e = 0; e < graph->nodes[i].require_count; e++)
			reach[i][graph->edges[i][e]] = true;
	for (size_t k = 0; k < graph->count; k++)
		for (size_t i = 0; i < graph->count; i++)
			for (size_t j = 0; j < graph->count; j++)
				reach[i][j] |= reach[i][k] && reach[k][j];
	for (size_t i = 0; i < graph->count; i++)
		if (reach[i][i] && (i == start || reach[start][i]))
			return true;
	return false;
}

static void
check_graph(struct graph *graph)
{
	size_t place[GRAPH_MAX];

	for (size_t i = 0; i < graph->count; i++)
		place[i] = GRAPH_MAX;
	for (size_t at = 0; at < graph->placed; at++) {
		assert_true(place[graph->sequence[at]] == GRAPH_MAX);
		place[graph->sequence[at]] = at;
	}
	for (size_t i = 0; i < graph->count; i++) {
		const struct order_node *node = &graph->nodes[i];
		char text[512];

		assert_int_equal(node->placed, place[i] != GRAPH_MAX);
		assert_int_equal(node->in_cycle, !node->placed);
		assert_int_equal(node->in_cycle, leads_to_a_circle(graph, i));
		assert_int_equal(*order_cycle_text(graph->nodes, i, text, sizeof(text)) != '\0',
				 node->in_cycle);
		if (node->placed)
			for (size_t e = 0; e < node->require_count; e++)
				assert_true(place[node->requires[e]] < place[i]);
	}
}

static void
test_random_graphs(void **state)
{
	static struct graph graph;
	uint32_t seed = 20240229;
	unsigned with_circle = 0;

	(void)state;
	for (int i = 0; i < 500; i++) {
		make_graph(&graph, &seed);
		graph.placed = order_nodes(graph.nodes, graph.count, graph.sequence);
		check_graph(&graph);
		with_circle += graph.placed < graph.count;
	}
	assert_in_range(with_circle, 50, 450); /* both kinds were met */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_named_graphs),
		cmocka_unit_test(test_circle_text_keeps_the_buffer),
		cmocka_unit_test(test_random_graphs),
	};

	return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
