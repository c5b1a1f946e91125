#include "plugin/registry_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/idmap.h"
#include "core/excerpt.h"
#include "core/order.h"
#include "core/suggest.h"
#include "plugin/catalog.h"
#include "plugin/registry.h"

struct rejects {
	struct list *list;
	const struct registry *known; /* or NULL */
	const struct spec *also;      /* whose name the next one has, or NULL */
};

static void reject(struct spec **spec, struct rejects *bad, const struct diag_pos *pos,
		   const char *format, ...) __attribute__((format(printf, 4, 5)));

static void
note_the_other(struct diags *diags, const struct spec *spec)
{
	const struct diag_pos *pos = manifest_origin(spec->manifest, "plugin");
	const struct kept_text *kept = spec_manifest_text(spec);

	if (!pos)
		return;
	diag_note(diags, pos, "the one that stays in force is here");
	if (kept)
		excerpt_keep(diags, kept->file, kept->bytes, kept->size, false);
}

static void
reject(struct spec **spec, struct rejects *bad, const struct diag_pos *pos, const char *format, ...)
{
	struct diag_pos start = {.file = (*spec)->path, .line = 1, .column = 1};
	const struct kept_text *kept = spec_manifest_text(*spec);
	struct bad_plugin *one;
	struct diags diags;
	char text[768], in_force[REGISTRY_IN_FORCE_BYTES];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	diags_init(&diags);
	diags.in_force = registry_in_force(bad->known, (*spec)->path, in_force);
	diag_error(&diags, pos ? pos : &start, "%s", text);
	if (bad->also)
		note_the_other(&diags, bad->also);
	if (kept)
		excerpt_keep(&diags, kept->file, kept->bytes, kept->size, false);
	one = bad_plugin_new((*spec)->path, &diags);
	if (one) {
		list_append(bad->list, &one->node);
		one->spec = spec_ref(*spec);
	}
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

static void
reject_double(struct spec **spec, const struct spec *first, struct rejects *bad)
{
	if (!strcmp((*spec)->path, first->path)) { /* found twice */
		spec_free(*spec);
		*spec = NULL;
		return;
	}
	bad->also = first;
	reject(spec, bad, manifest_origin((*spec)->manifest, "plugin"),
	       "plugin: the name \"%s\" is taken by %s, which stays in force; expected a name that "
	       "no other plugin has",
	       (*spec)->name, first->path);
	bad->also = NULL;
}

static struct spec *
first_of_name(struct spec *const *specs, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (specs[i] && !strcmp(specs[i]->name, name))
			return specs[i];
	return NULL;
}

/* The first one found has the name: directories come in the order in which they were given.  Whose
 * hash nobody has is the first of its name; else it is looked at. */
static size_t
reject_doubles(struct spec **specs, size_t count, struct rejects *bad)
{
	struct idmap seen = {0};

	for (size_t i = 0; i < count; i++) {
		uint64_t id = hash_text(HASH_START, specs[i]->name);
		bool unknown = id && !idmap_get(&seen, id) && idmap_put(&seen, id, specs[i]);
		struct spec *first = unknown ? NULL : first_of_name(specs, i, specs[i]->name);

		if (first)
			reject_double(&specs[i], first, bad);
	}
	idmap_fini(&seen);
	return compact(specs, count);
}

/* Registered already, from the same manifest. */
static bool
is_known(const struct rejects *bad, const struct spec *spec)
{
	const struct plugin *plugin = bad->known ? registry_find(bad->known, spec->name) : NULL;

	return plugin && !strcmp(plugin->spec->path, spec->path);
}

/* True after one of the two was rejected: that which is new, else the later one. */
static bool
reject_command_clash(struct spec **first, struct spec **second, struct rejects *bad)
{
	bool is_usurped = is_known(bad, *second) && !is_known(bad, *first);
	struct spec **loser = is_usurped ? first : second;
	const struct spec *winner = is_usurped ? *second : *first;
	const char *word =
		commands_clash(&(*loser)->manifest->commands, &winner->manifest->commands);

	if (!word)
		return false;
	reject(loser, bad, manifest_command_origin((*loser)->manifest, word),
	       "commands: \"%s\" of %s is a command of %s (%s) already, which keeps it; expected "
	       "another name",
	       word, (*loser)->name, winner->name, winner->path);
	return true;
}

/* Two plugins that bring the same command: one keeps it. */
static size_t
reject_command_clashes(struct spec **specs, size_t count, struct rejects *bad)
{
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < i && specs[i]; j++)
			if (specs[j] && specs[i]->manifest->commands.count)
				reject_command_clash(&specs[j], &specs[i], bad);
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

static bool
is_rejected(const struct rejects *bad, const char *name)
{
	LIST_FOREACH (one, bad->list, struct bad_plugin, node)
		if (one->spec && !strcmp(one->spec->name, name))
			return true;
	return false;
}

static void
reject_missing(struct spec **specs, size_t count, size_t at,
	       const struct manifest_requirement *wanted, struct rejects *bad)
{
	const char *near;

	if (is_rejected(bad, wanted->name)) {
		reject(&specs[at], bad, &wanted->pos,
		       "requires.plugins: found \"%s\", which is not registered "
		       "itself: see its own error",
		       wanted->name);
		return;
	}
	near = nearest(specs, count, wanted->name);
	reject(&specs[at], bad, &wanted->pos, "requires.plugins: there is no plugin \"%s\"%s%s%s",
	       wanted->name, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* Rejects it if a plugin that it requires is not there. */
static bool
plugins_met(struct spec **specs, const struct catalog *catalog, size_t at, struct rejects *bad)
{
	size_t count = catalog->count;
	const struct manifest_requirements *requires = &specs[at]->manifest->requires.plugins;

	for (size_t i = 0; i < requires->count; i++) {
		const struct manifest_requirement *wanted = &requires->items[i];
		size_t found = catalog_find(catalog, wanted->name);

		if (found == count) {
			reject_missing(specs, count, at, wanted, bad);
			return false;
		}
		if (!semver_range_matches(&wanted->range,
					  &specs[found]->manifest->version.number)) {
			reject(&specs[at], bad, &wanted->pos,
			       "requires.plugins: found %s %s, expected \"%s\"", wanted->name,
			       specs[found]->version, wanted->text);
			return false;
		}
	}
	return true;
}

static void
offer_all(struct suggest *suggest, const struct field_strings *capabilities)
{
	for (size_t i = 0; i < capabilities->count; i++)
		suggest_offer(suggest, capabilities->items[i]);
}

/* Rejects it if nothing provides a capability that it requires. */
static bool
capabilities_met(struct spec **specs, const struct catalog *catalog, size_t at, struct rejects *bad)
{
	const struct field_strings *wanted = &specs[at]->manifest->requires.capabilities;
	struct suggest suggest;
	size_t count = catalog->count, i = 0;

	while (i < wanted->count && catalog_provider(catalog, at, wanted->items[i]) < count)
		i++;
	if (i == wanted->count)
		return true;
	suggest_start(&suggest, wanted->items[i]);
	for (size_t k = 0; k < count; k++)
		if (specs[k] && k != at) {
			offer_all(&suggest, &specs[k]->manifest->provides.shared);
			offer_all(&suggest, &specs[k]->manifest->provides.exclusive);
		}
	reject(&specs[at], bad, manifest_origin(specs[at]->manifest, "requires.capabilities"),
	       "requires.capabilities: no other plugin that is registered provides \"%s\"%s%s%s",
	       wanted->items[i], suggest.best ? "; did you mean \"" : "",
	       suggest.best ? suggest.best : "", suggest.best ? "\"?" : "");
	return false;
}

static size_t
reject_unmet(struct spec **specs, size_t count, struct rejects *bad)
{
	struct catalog catalog;
	bool again;

	catalog_init(&catalog, specs, count);
	do { /* what was rejected may be what another one requires */
		again = false;
		for (size_t i = 0; i < count; i++)
			again = (specs[i] && (!plugins_met(specs, &catalog, i, bad) ||
					      !capabilities_met(specs, &catalog, i, bad))) ||
				again;
	} while (again);
	catalog_fini(&catalog);
	return compact(specs, count);
}

static void
fill_node(struct order_node *node, const struct catalog *catalog, size_t at, size_t *edges)
{
	struct spec *const *specs = catalog->specs;
	const struct manifest_requirements *requires = &specs[at]->manifest->requires.plugins;
	const struct field_strings *capabilities = &specs[at]->manifest->requires.capabilities;

	node->name = specs[at]->name;
	node->priority = specs[at]->priority;
	node->requires = edges;
	for (size_t i = 0; i < requires->count; i++)
		edges[node->require_count++] = catalog_find(catalog, requires->items[i].name);
	for (size_t i = 0; i < capabilities->count; i++)
		edges[node->require_count++] =
			catalog_provider(catalog, at, capabilities->items[i]);
}

static size_t
edge_count(struct spec *const *specs, size_t count)
{
	size_t edges = 0;

	for (size_t i = 0; i < count; i++)
	edges += specs[i]->manifest->requires.plugins.count +
		 specs[i]->manifest->requires.capabilities.count;
	return edges;
}

static const struct diag_pos *
where_it_requires(const struct spec *spec)
{
	const struct diag_pos *pos = manifest_origin(spec->manifest, "requires.plugins");

	return pos ? pos : manifest_origin(spec->manifest, "requires.capabilities");
}

/* The texts first: a node's name goes with its spec. */
static void
reject_cycles(struct spec **specs, const struct order_node *nodes, size_t count,
	      struct rejects *bad)
{
	char(*texts)[512] = calloc(count + 1, sizeof(*texts));

	for (size_t i = 0; texts && i < count; i++)
		if (nodes[i].in_cycle)
			order_cycle_text(nodes, i, texts[i], sizeof(texts[i]));
	for (size_t i = 0; i < count; i++)
		if (nodes[i].in_cycle)
			reject(&specs[i], bad, where_it_requires(specs[i]),
			       "requires: expected no circle; found %s",
			       texts ? texts[i] : "(out of memory)");
	free(texts);
}

static size_t
sort_and_reject_cycles(struct spec **specs, size_t count, struct rejects *bad)
{
	struct order_node *nodes = calloc(count + 1, sizeof(*nodes));
	size_t *edges = calloc(edge_count(specs, count) + 1, sizeof(*edges));
	size_t *sequence = calloc(count + 1, sizeof(*sequence));
	struct spec **sorted = calloc(count + 1, sizeof(struct spec *));
	struct catalog catalog;
	size_t used = 0, placed = count;

	catalog_init(&catalog, specs, count);

	if (!nodes || !edges || !sequence || !sorted)
		goto out; /* in the order found, cycles and all: they wait for each other, and say
			     so */
	for (size_t i = 0; i < count; i++) {
		fill_node(&nodes[i], &catalog, i, edges + used);
		used += nodes[i].require_count;
	}
	placed = order_nodes(nodes, count, sequence);
	for (size_t i = 0; i < placed; i++)
		sorted[i] = specs[sequence[i]];
	reject_cycles(specs, nodes, count, bad);
	memcpy(specs, sorted, placed * sizeof(*specs));
out:
	catalog_fini(&catalog);
	free(nodes);
	free(edges);
	free(sequence);
	free(sorted);
	return placed;
}

static size_t
reject_excess(struct spec **specs, size_t count, size_t limit, struct rejects *bad)
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
registry_check(struct spec **specs, size_t count, size_t limit, const struct registry *known,
	       struct list *list)
{
	struct rejects rejects = {list, known}, *bad = &rejects;

	count = reject_doubles(specs, count, bad);
	count = reject_excess(specs, count, limit, bad);
	count = reject_command_clashes(specs, count, bad);
	count = reject_unmet(specs, count, bad);
	return sort_and_reject_cycles(specs, count, bad);
}
