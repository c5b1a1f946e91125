#include "plugin/registry_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/order.h"
#include "core/suggest.h"
#include "plugin/registry.h"

static void reject(struct spec **spec, struct list *bad, const struct diag_pos *pos,
		   const char *format, ...) __attribute__((format(printf, 4, 5)));

static void
reject(struct spec **spec, struct list *bad, const struct diag_pos *pos, const char *format, ...)
{
	struct diag_pos start = {.file = (*spec)->path, .line = 1, .column = 1};
	struct bad_plugin *one;
	struct diags diags;
	char text[768];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	diags_init(&diags);
	diag_error(&diags, pos ? pos : &start, "%s", text);
	one = bad_plugin_new((*spec)->path, &diags);
	if (one)
		list_append(bad, &one->node);
	diags_fini(&diags);
	spec_free(*spec);
	*spec = NULL;
}

static size_t
compact(struct spec **specs, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (specs[i])
			specs[kept++] = specs[i];
	return kept;
}

/* The first one found has the name: directories come in the order in which they were given. */
static size_t
reject_doubles(struct spec **specs, size_t count, struct list *bad)
{
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < i; j++) {
			if (!specs[j] || strcmp(specs[i]->name, specs[j]->name))
				continue;
			reject(&specs[i], bad, manifest_origin(specs[i]->manifest, "plugin"),
			       "plugin: the name \"%s\" is taken by %s, which stays in force; "
			       "expected a name that no "
			       "other plugin has",
			       specs[i]->name, specs[j]->path);
			break;
		}
	return compact(specs, count);
}

static const char *
nearest(struct spec *const *specs, size_t count, const char *name)
{
	struct suggest suggest;

	suggest_start(&suggest, name);
	for (size_t i = 0; i < count; i++)
		if (specs[i])
			suggest_offer(&suggest, specs[i]->name);
	return suggest.best;
}

static size_t
index_of(struct spec *const *specs, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (specs[i] && !strcmp(specs[i]->name, name))
			return i;
	return count;
}

/* Rejects it if one of its requirements is not met. */
static bool
requirements_met(struct spec **specs, size_t count, size_t at, struct list *bad)
{
	const struct manifest_requirements *requires = &specs[at]->manifest->requires.plugins;

	for (size_t i = 0; i < requires->count; i++) {
		const struct manifest_requirement *wanted = &requires->items[i];
		size_t found = index_of(specs, count, wanted->name);

		if (found == count) {
			const char *near = nearest(specs, count, wanted->name);

			reject(&specs[at], bad, &wanted->pos,
			       "requires.plugins: there is no plugin \"%s\", or it cannot run "
			       "itself%s%s%s; it is not started",
			       wanted->name, near ? "; did you mean \"" : "", near ? near : "",
			       near ? "\"?" : "");
			return false;
		}
		if (!semver_range_matches(&wanted->range,
					  &specs[found]->manifest->version.number)) {
			reject(&specs[at], bad, &wanted->pos,
			       "requires.plugins: found %s %s, expected \"%s\"; it is not started",
			       wanted->name, specs[found]->version, wanted->text);
			return false;
		}
	}
	return true;
}

static size_t
reject_unmet(struct spec **specs, size_t count, struct list *bad)
{
	bool again;

	do { /* what was rejected may be what another one requires */
		again = false;
		for (size_t i = 0; i < count; i++)
			again = (specs[i] && !requirements_met(specs, count, i, bad)) || again;
	} while (again);
	return compact(specs, count);
}

static void
fill_node(struct order_node *node, struct spec *const *specs, size_t count, size_t at,
	  size_t *edges)
{
	const struct manifest_requirements *requires = &specs[at]->manifest->requires.plugins;

	node->name = specs[at]->name;
	node->priority = specs[at]->priority;
	node->requires = edges;
	for (size_t i = 0; i < requires->count; i++)
		edges[node->require_count++] = index_of(specs, count, requires->items[i].name);
}

static size_t
edge_count(struct spec *const *specs, size_t count)
{
	size_t edges = 0;

	for (size_t i = 0; i < count; i++)
	edges += specs[i]->manifest->requires.plugins.count;
	return edges;
}

/* The texts first: a node's name goes with its spec. */
static void
reject_cycles(struct spec **specs, const struct order_node *nodes, size_t count, struct list *bad)
{
	char(*texts)[512] = calloc(count + 1, sizeof(*texts));

	for (size_t i = 0; texts && i < count; i++)
		if (nodes[i].in_cycle)
			order_cycle_text(nodes, i, texts[i], sizeof(texts[i]));
	for (size_t i = 0; i < count; i++)
		if (nodes[i].in_cycle)
			reject(&specs[i], bad,
			       manifest_origin(specs[i]->manifest, "requires.plugins"),
			       "requires.plugins: these require each other: %s; none of them is "
			       "started",
			       texts ? texts[i] : "(out of memory)");
	free(texts);
}

static size_t
sort_and_reject_cycles(struct spec **specs, size_t count, struct list *bad)
{
	struct order_node *nodes = calloc(count + 1, sizeof(*nodes));
	size_t *edges = calloc(edge_count(specs, count) + 1, sizeof(*edges));
	size_t *sequence = calloc(count + 1, sizeof(*sequence));
	struct spec **sorted = calloc(count + 1, sizeof(struct spec *));
	size_t used = 0, placed = count;

	if (!nodes || !edges || !sequence || !sorted)
		goto out; /* in the order found, cycles and all: they wait for each other, and say
			     so */
	for (size_t i = 0; i < count; i++) {
		fill_node(&nodes[i], specs, count, i, edges + used);
		used += nodes[i].require_count;
	}
	placed = order_nodes(nodes, count, sequence);
	for (size_t i = 0; i < placed; i++)
		sorted[i] = specs[sequence[i]];
	reject_cycles(specs, nodes, count, bad);
	memcpy(specs, sorted, placed * sizeof(*specs));
out:
	free(nodes);
	free(edges);
	free(sequence);
	free(sorted);
	return placed;
}

static size_t
reject_excess(struct spec **specs, size_t count, size_t limit, struct list *bad)
{
	for (size_t i = limit; i < count; i++)
		reject(&specs[i], bad, NULL,
		       "is one plugin more than limits.plugins (%zu) allows; it is left out: raise "
		       "the limit or "
		       "remove a plugin",
		       limit);
	return compact(specs, count);
}

size_t
registry_check(struct spec **specs, size_t count, size_t limit, struct list *bad)
{
	count = reject_doubles(specs, count, bad);
	count = reject_excess(specs, count, limit, bad);
	count = reject_unmet(specs, count, bad);
	return sort_and_reject_cycles(specs, count, bad);
}
