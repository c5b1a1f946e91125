/* The graph in Graphviz' language: plugins are boxes, capabilities ellipses, what is wrong is red.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph.h"
#include "out.h"

#define RED "#c62828"

static const char *
text_of(const json_t *node, const char *key)
{
	return json_string_value(json_object_get(node, key));
}

/* Within quotes.  Control characters become spaces: they are no part of a name or sentence. */
static void
quote(FILE *to, const char *text)
{
	for (; *text; text++)
		if (*text == '"' || *text == '\\')
			fprintf(to, "\\%c", *text);
		else
			fputc((unsigned char)*text < 0x20 || *text == 0x7f ? ' ' : *text, to);
}

static void
put_id(FILE *to, const char *prefix, const char *name)
{
	fprintf(to, "\"%s", prefix);
	quote(to, name);
	fputc('"', to);
}

static const char *
fill_of(const json_t *node)
{
	const char *state = text_of(node, "state");

	if (!json_is_true(json_object_get(node, "registered")))
		return "#ffebee";
	switch (out_state_color(state)) {
	case OUT_GREEN:
		return "#e8f5e9";
	case OUT_YELLOW:
		return "#fff8e1";
	case OUT_RED:
		return "#ffebee";
	default:
		return "#f5f5f5";
	}
}

static void
put_node(FILE *to, const json_t *node)
{
	bool registered = json_is_true(json_object_get(node, "registered"));
	bool wrong = json_array_size(json_object_get(node, "problems")) > 0;

	fputs("  ", to);
	put_id(to, "", text_of(node, "name"));
	fputs(" [label=\"", to);
	quote(to, text_of(node, "name"));
	fputs("\\n", to);
	quote(to, text_of(node, "version"));
	fprintf(to, "\\n%s\" fillcolor=\"%s\"%s%s]\n",
		registered ? text_of(node, "state") : "not registered", fill_of(node),
		wrong ? " color=\"" RED "\"" : "", registered ? "" : " style=\"filled,dashed\"");
}

static void
put_edge(FILE *to, const char *from, const char *prefix, const char *target, const char *label,
	 bool wrong)
{
	fputs("  ", to);
	put_id(to, "", from);
	fputs(" -> ", to);
	put_id(to, prefix, target);
	fputs(" [label=\"", to);
	quote(to, label);
	fprintf(to, "\"%s]\n", wrong ? " color=\"" RED "\" fontcolor=\"" RED "\"" : "");
}

/* Those that somebody requires or holds alone: the others say nothing about who depends on whom. */
static json_t *
capabilities_that_count(const json_t *nodes)
{
	json_t *counted = json_object(), *node, *item;
	size_t i, k;

	json_array_foreach(nodes, i, node)
	{
		const json_t *both = json_object_get(node, "provides");

		json_array_foreach(json_object_get(node, "capabilities"), k, item)
			json_object_set_new(counted, text_of(item, "capability"), json_true());
		json_array_foreach(json_object_get(both, "exclusive"), k, item)
			json_object_set_new(counted, json_string_value(item), json_true());
	}
	return counted;
}

static void
put_capabilities(FILE *to, json_t *counted)
{
	const char *capability;
	json_t *unused;

	json_object_foreach(counted, capability, unused)
	{
		fputs("  ", to);
		put_id(to, "capability ", capability);
		fputs(" [shape=ellipse fillcolor=\"#e3f2fd\" label=\"", to);
		quote(to, capability);
		fputs("\"]\n", to);
	}
}

static void
put_provided(FILE *to, const json_t *counted, const json_t *node, const char *how,
	     const char *style)
{
	const json_t *provided = json_object_get(json_object_get(node, "provides"), how);
	json_t *item;
	size_t i;

	json_array_foreach(provided, i, item)
	{
		if (!json_object_get(counted, json_string_value(item)))
			continue;
		fputs("  ", to);
		put_id(to, "capability ", json_string_value(item));
		fputs(" -> ", to);
		put_id(to, "", text_of(node, "name"));
		fprintf(to, " [%s]\n", style);
	}
}

static void
put_requirements(FILE *to, const json_t *nodes, const json_t *node)
{
	const char *name = text_of(node, "name");
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(node, "requires"), i, item)
	{
		const char *other = text_of(item, "plugin");

		put_edge(to, name, "", other, text_of(item, "range"), *text_of(item, "problem"));
		if (graph_find(nodes, other))
			continue;
		fputs("  ", to);
		put_id(to, "", other);
		fputs(" [style=dashed color=\"" RED "\" fontcolor=\"" RED "\"]\n", to);
	}
	json_array_foreach(json_object_get(node, "capabilities"), i, item)
		put_edge(to, name, "capability ", text_of(item, "capability"), "",
			 *text_of(item, "problem"));
}

static void
put_conflicts(FILE *to, const json_t *nodes, const json_t *node)
{
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(node, "conflicts"), i, item)
	{
		if (!graph_find(nodes, json_string_value(item)))
			continue; /* not installed: it excludes nobody */
		fputs("  ", to);
		put_id(to, "", text_of(node, "name"));
		fputs(" -> ", to);
		put_id(to, "", json_string_value(item));
		fputs(" [dir=none style=dashed color=\"" RED "\" label=conflict "
		      "constraint=false]\n",
		      to);
	}
}

/* Every failure as a sentence, below the picture. */
static void
put_problems(FILE *to, const json_t *nodes)
{
	json_t *node, *problem;
	size_t i, k;

	fputs("  label=\"", to);
	json_array_foreach(nodes, i, node)
		json_array_foreach(json_object_get(node, "problems"), k, problem)
	{
		const char *name = text_of(node, "name");

		quote(to, name);
		fputs(*name ? ": " : "", to);
		quote(to, json_string_value(problem));
		fputs("\\l", to);
	}
	fputs("\"\n", to);
}

char *
graph_dot(const json_t *nodes)
{
	json_t *counted = capabilities_that_count(nodes), *node;
	char *text = NULL;
	size_t size, i;
	FILE *to = out_must(open_memstream(&text, &size));

	fputs("digraph plugins {\n"
	      "  rankdir=LR labeljust=l fontname=\"sans-serif\" fontsize=11\n"
	      "  node [shape=box style=filled fontname=\"sans-serif\" fontsize=11]\n"
	      "  edge [fontname=\"sans-serif\" fontsize=10]\n",
	      to);
	put_capabilities(to, counted);
	json_array_foreach(nodes, i, node)
	{
		if (!*text_of(node, "name"))
			continue;
		put_node(to, node);
		put_requirements(to, nodes, node);
		put_provided(to, counted, node, "shared", "style=dotted");
		put_provided(to, counted, node, "exclusive", "style=bold label=alone");
		put_conflicts(to, nodes, node);
	}
	put_problems(to, nodes);
	fputs("}\n", to);
	fclose(to);
	json_decref(counted);
	return out_must(text);
}
