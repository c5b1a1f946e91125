/* graph: what plugins require, provide and exclude, as their manifests say. */
#include <string.h>

#include "serve/control_private.h"

#define PROBLEMS_MAX 16

static void
fill_requirements(Plug__GraphNode *node, const struct manifest *m, struct arena *arena)
{
	const struct manifest_requirements *requires = &m->requires.plugins;
	MAKE_LIST(arena, Plug__GraphRequirement, requires->count, items, pointers);

	if (!items || !pointers)
		return;
	for (size_t i = 0; i < requires->count; i++) {
		const struct manifest_requirement *wanted = &requires->items[i];
		const char *range = wanted->text + strlen(wanted->name);

		plug__graph_requirement__init(&items[i]);
		items[i].plugin = (char *)wanted->name;
		items[i].range = (char *)range + strspn(range, " \t");
		pointers[i] = &items[i];
	}
	node->requires = pointers;
	node->n_requires = requires->count;
}

static void
fill_node(Plug__GraphNode *node, const struct spec *spec, struct arena *arena)
{
	const struct manifest *m = spec->manifest;

	plug__graph_node__init(node);
	node->name = (char *)spec->name;
	node->version = (char *)spec->version;
	node->type = (char *)spec->type;
	node->priority = spec->priority;
	node->path = (char *)spec->path;
	fill_requirements(node, m, arena);
	node->capabilities = (char **)m->requires.capabilities.items;
	node->n_capabilities = m->requires.capabilities.count;
	node->shared = (char **)m->provides.shared.items;
	node->n_shared = m->provides.shared.count;
	node->exclusive = (char **)m->provides.exclusive.items;
	node->n_exclusive = m->provides.exclusive.count;
	node->conflicts = (char **)m->conflicts.items;
	node->n_conflicts = m->conflicts.count;
}

/* One at a time: it may fill most of a message. */
static void
send_node(const struct control_ctx *ctx, Plug__GraphNode *node, bool more)
{
	Plug__Response response = PLUG__RESPONSE__INIT;
	Plug__Graph graph = PLUG__GRAPH__INIT;

	graph.nodes = &node;
	graph.n_nodes = node ? 1 : 0;
	response.more = more;
	response.body_case = PLUG__RESPONSE__BODY_GRAPH;
	response.graph = &graph;
	control_answer(ctx->client, ctx->id, &response);
}

static void
send_plugin(const struct control_ctx *ctx, const struct plugin *plugin)
{
	char *why = (char *)plugin_why(plugin);
	Plug__GraphNode node;
	struct arena arena;

	arena_init(&arena, CONTROL_ARENA_BYTES);
	fill_node(&node, plugin->spec, &arena);
	node.state = (char *)plugin_word(plugin);
	node.problems = &why;
	node.n_problems = *why && !plugin_takes_calls(plugin) ? 1 : 0;
	send_node(ctx, &node, true);
	arena_fini(&arena);
}

static void
send_bad(const struct control_ctx *ctx, const struct bad_plugin *bad)
{
	Plug__GraphNode node;
	struct arena arena;

	arena_init(&arena, CONTROL_ARENA_BYTES);
	if (bad->spec)
		fill_node(&node, bad->spec, &arena);
	else
		plug__graph_node__init(&node);
	node.path = bad->path ? bad->path : (char *)"";
	node.problems = bad->errors;
	node.n_problems = bad->error_count < PROBLEMS_MAX ? bad->error_count : PROBLEMS_MAX;
	send_node(ctx, &node, true);
	arena_fini(&arena);
}

void
control_graph(const struct control_ctx *ctx)
{
	const struct registry *registry = ctx->control->registry;

	LIST_FOREACH (plugin, &registry->plugins, struct plugin, node)
		send_plugin(ctx, plugin);
	LIST_FOREACH (bad, &registry->bad, struct bad_plugin, node)
		send_bad(ctx, bad);
	send_node(ctx, NULL, false);
}
