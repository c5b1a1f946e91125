#include <string.h>

#include "core/semver.h"
#include "core/suggest.h"
#include "graph.h"
#include "out.h"
#include "plugin_json.h"

/* ---- from plugd ---- */

static json_t *
requirements_json(const Plug__GraphNode *node)
{
	json_t *array = json_array();

	for (size_t i = 0; i < node->n_requires; i++)
		json_array_append_new(
			array,
			json_pack("{s:o, s:o, s:s, s:s}", "plugin",
				  out_json_text(plug_str(node->requires[i] -> plugin)), "range",
				  out_json_text(plug_str(node->requires[i] -> range)), "found", "",
				  "problem", ""));
	return array;
}

static json_t *
capabilities_json(const Plug__GraphNode *node)
{
	json_t *array = json_array();

	for (size_t i = 0; i < node->n_capabilities; i++)
		json_array_append_new(array,
				      json_pack("{s:o, s:[], s:s}", "capability",
						out_json_text(plug_str(node->capabilities[i])),
						"providers", "problem", ""));
	return array;
}

json_t *
graph_node_json(const Plug__GraphNode *node)
{
	json_t *json = json_object();

	json_object_set_new(json, "name", out_json_text(plug_str(node->name)));
	json_object_set_new(json, "version", out_json_text(plug_str(node->version)));
	json_object_set_new(json, "type", out_json_text(plug_str(node->type)));
	json_object_set_new(json, "state", out_json_text(plug_str(node->state)));
	json_object_set_new(json, "registered", json_boolean(*plug_str(node->state)));
	json_object_set_new(json, "priority", json_integer(node->priority));
	json_object_set_new(json, "path", out_json_text(plug_str(node->path)));
	json_object_set_new(json, "requires", requirements_json(node));
	json_object_set_new(json, "capabilities", capabilities_json(node));
	json_object_set_new(json, "provides",
			    json_pack("{s:o, s:o}", "shared",
				      strings_json(node->shared, node->n_shared), "exclusive",
				      strings_json(node->exclusive, node->n_exclusive)));
	json_object_set_new(json, "conflicts", strings_json(node->conflicts, node->n_conflicts));
	json_object_set_new(json, "required_by", json_array());
	json_object_set_new(json, "problems", strings_json(node->problems, node->n_problems));
	return json;
}

/* ---- what it means ---- */

static const char *
text_of(const json_t *node, const char *key)
{
	return json_string_value(json_object_get(node, key));
}

/* One that is registered goes before one of the same name that is not. */
json_t *
graph_find(const json_t *nodes, const char *name)
{
	json_t *node, *found = NULL;
	size_t i;

	json_array_foreach(nodes, i, node)
	{
		if (strcmp(text_of(node, "name"), name) != 0)
			continue;
		if (json_is_true(json_object_get(node, "registered")))
			return node;
		found = found ? found : node;
	}
	return found;
}

const char *
graph_near(const json_t *nodes, const char *name)
{
	struct suggest suggest;
	json_t *node;
	size_t i;

	suggest_start(&suggest, name);
	json_array_foreach(nodes, i, node) suggest_offer(&suggest, text_of(node, "name"));
	return suggest.best;
}

static bool
lists(const json_t *array, const char *text)
{
	json_t *item;
	size_t i;

	json_array_foreach(array, i,
			   item) if (strcmp(json_string_value(item), text) == 0) return true;
	return false;
}

static void
add_once(json_t *array, const char *text)
{
	if (!lists(array, text))
		json_array_append_new(array, out_json_text(text));
}

static void
set_problem(json_t *requirement, json_t *text)
{
	json_object_set_new(requirement, "problem", text);
}

static bool
fits(const char *range, const char *version)
{
	char why[SEMVER_ERR_BYTES];
	struct semver_range parsed;
	struct semver found;

	return !*range ||
	       (semver_range_parse(range, &parsed, why) && semver_parse(version, &found, why) &&
		semver_range_matches(&parsed, &found));
}

static void
resolve_requirement(const json_t *nodes, const json_t *node, json_t *requirement)
{
	const char *name = text_of(requirement, "plugin"), *range = text_of(requirement, "range");
	json_t *other = graph_find(nodes, name);
	const char *near, *version;

	if (!other) {
		near = graph_near(nodes, name);
		set_problem(requirement, json_sprintf("there is no plugin \"%s\"%s%s%s", name,
						      near ? "; did you mean \"" : "",
						      near ? near : "", near ? "\"?" : ""));
		return;
	}
	version = text_of(other, "version");
	json_object_set_new(requirement, "found", json_string(version));
	add_once(json_object_get(other, "required_by"), text_of(node, "name"));
	if (!fits(range, version))
		set_problem(requirement,
			    json_sprintf("found %s %s, expected \"%s\"", name, version, range));
	else if (!json_is_true(json_object_get(other, "registered")))
		set_problem(requirement, json_sprintf("%s is not registered itself", name));
}

static bool
provides(const json_t *node, const char *capability)
{
	const json_t *both = json_object_get(node, "provides");

	return lists(json_object_get(both, "shared"), capability) ||
	       lists(json_object_get(both, "exclusive"), capability);
}

static void
resolve_capability(const json_t *nodes, const json_t *node, json_t *wanted)
{
	const char *capability = text_of(wanted, "capability");
	json_t *other, *providers = json_object_get(wanted, "providers");
	size_t i;

	json_array_foreach(nodes, i, other)
	{
		if (other == node || !provides(other, capability) ||
		    !json_is_true(json_object_get(other, "registered")))
			continue;
		add_once(providers, text_of(other, "name"));
		add_once(json_object_get(other, "required_by"), text_of(node, "name"));
	}
	if (!json_array_size(providers))
		set_problem(wanted, json_sprintf("no other plugin provides \"%s\"", capability));
}

void
graph_resolve(json_t *nodes)
{
	json_t *node, *item;
	size_t i, k;

	json_array_foreach(nodes, i, node)
	{
		json_array_foreach(json_object_get(node, "requires"), k, item)
			resolve_requirement(nodes, node, item);
		json_array_foreach(json_object_get(node, "capabilities"), k, item)
			resolve_capability(nodes, node, item);
	}
}

/* ---- a part of it ---- */

static void reach(const json_t *nodes, json_t *part, const char *name);

static void
reach_all(const json_t *nodes, json_t *part, const json_t *names)
{
	json_t *name;
	size_t i;

	json_array_foreach(names, i, name) reach(nodes, part, json_string_value(name));
}

static bool
holds(const json_t *part, const json_t *node)
{
	json_t *one;
	size_t i;

	json_array_foreach(part, i, one) if (one == node) return true;
	return false;
}

/* The node and what it requires.  Each is taken once, so that a circle ends. */
static void
reach(const json_t *nodes, json_t *part, const char *name)
{
	json_t *node = graph_find(nodes, name), *item;
	size_t i;

	if (!node || holds(part, node))
		return;
	json_array_append(part, node);
	json_array_foreach(json_object_get(node, "requires"), i, item)
		reach(nodes, part, text_of(item, "plugin"));
	json_array_foreach(json_object_get(node, "capabilities"), i, item)
		reach_all(nodes, part, json_object_get(item, "providers"));
}

static bool
conflict(const json_t *left, const json_t *right)
{
	return lists(json_object_get(left, "conflicts"), text_of(right, "name")) ||
	       lists(json_object_get(right, "conflicts"), text_of(left, "name"));
}

static bool
contest(const json_t *left, const json_t *right)
{
	const json_t *alone = json_object_get(json_object_get(left, "provides"), "exclusive");
	json_t *item;
	size_t i;

	json_array_foreach(alone, i,
			   item) if (provides(right, json_string_value(item))) return true;
	return false;
}

json_t *
graph_around(json_t *nodes, const char *name)
{
	json_t *root = graph_find(nodes, name), *part = json_array(), *node;
	size_t i;

	if (!root) {
		json_decref(part);
		return NULL;
	}
	reach(nodes, part, name);
	json_array_foreach(nodes, i, node)
	{
		bool near = lists(json_object_get(root, "required_by"), text_of(node, "name")) ||
			    conflict(root, node) || contest(root, node) || contest(node, root);

		if (*text_of(node, "name") && near && !holds(part, node))
			json_array_append(part, node);
	}
	return part;
}
