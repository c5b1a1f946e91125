/* The graph as trees: what nobody requires stands at the left, what it requires below it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph.h"
#include "out.h"

#define DEPTH_MAX 64

struct tree {
	const json_t *nodes;
	json_t *seen;                 /* names that were shown with all that is below */
	const char *above[DEPTH_MAX]; /* from the root to here */
	bool last[DEPTH_MAX];         /* the branch at this depth has nothing below it */
	size_t depth;
};

static const char *
text_of(const json_t *node, const char *key)
{
	return json_string_value(json_object_get(node, key));
}

static void
put(const char *text)
{
	out_text(text, strlen(text));
}

static void
indent(const struct tree *tree, bool last)
{
	for (size_t i = 1; i < tree->depth; i++)
		put(tree->last[i] ? "   " : "│  ");
	if (tree->depth)
		put(last ? "└─ " : "├─ ");
}

static void
put_name(const json_t *node)
{
	bool registered = json_is_true(json_object_get(node, "registered"));
	const char *state = registered ? text_of(node, "state") : "not registered";

	out_start(OUT_BOLD);
	put(text_of(node, "name"));
	out_end(OUT_BOLD);
	printf(" %s (", text_of(node, "version"));
	out_start(registered ? out_state_color(state) : OUT_RED);
	put(state);
	out_end(registered ? out_state_color(state) : OUT_RED);
	put(")");
}

static void
put_problem(const json_t *requirement)
{
	const char *problem = text_of(requirement, "problem");

	if (!*problem)
		return;
	put(" ");
	out_start(OUT_RED);
	printf("[%s]", problem);
	out_end(OUT_RED);
}

static bool
is_seen(const struct tree *tree, const char *name)
{
	return json_object_get(tree->seen, name) != NULL;
}

/* "a circle: a -> b -> a" when `name` is above. */
static bool
put_circle(const struct tree *tree, const char *name)
{
	size_t at = 0;

	while (at < tree->depth && strcmp(tree->above[at], name) != 0)
		at++;
	if (at == tree->depth)
		return false;
	out_start(OUT_RED);
	put(" [a circle: ");
	for (; at < tree->depth; at++)
		printf("%s -> ", tree->above[at]);
	printf("%s]", name);
	out_end(OUT_RED);
	return true;
}

static void show_below(struct tree *tree, const json_t *node);

/* Behind "requires …": the plugin that it means, and below it what that one requires. */
static void
show_other(struct tree *tree, const char *name, const json_t *requirement, bool last)
{
	/* a manifest whose name could not be read has none, either */
	const json_t *node = *name ? graph_find(tree->nodes, name) : NULL;
	bool circle, again;

	if (!node) {
		put_problem(requirement);
		put("\n");
		return;
	}
	put(": ");
	put_name(node);
	put_problem(requirement);
	circle = put_circle(tree, name);
	again = !circle && is_seen(tree, name);
	put(again ? " (see above)\n" : "\n");
	if (circle || again || tree->depth + 1 >= DEPTH_MAX)
		return;
	tree->last[tree->depth] = last;
	show_below(tree, node);
}

static size_t
lines_below(const json_t *node)
{
	const json_t *provides = json_object_get(node, "provides");

	return json_array_size(json_object_get(node, "requires")) +
	       json_array_size(json_object_get(node, "capabilities")) +
	       (json_array_size(json_object_get(provides, "shared")) > 0) +
	       (json_array_size(json_object_get(provides, "exclusive")) > 0) +
	       (json_array_size(json_object_get(node, "conflicts")) > 0);
}

static void
put_list(const struct tree *tree, const char *what, const json_t *names, size_t *left)
{
	json_t *name;
	size_t i;

	if (!json_array_size(names))
		return;
	indent(tree, --*left == 0);
	put(what);
	json_array_foreach(names, i, name)
	{
		put(i ? ", " : " ");
		put(json_string_value(name));
	}
	put("\n");
}

static void
show_requirements(struct tree *tree, const json_t *node, size_t *left)
{
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(node, "requires"), i, item)
	{
		const char *range = text_of(item, "range");
		bool last = --*left == 0;

		indent(tree, last);
		printf("requires %s%s%s", text_of(item, "plugin"), *range ? " " : "", range);
		show_other(tree, text_of(item, "plugin"), item, last);
	}
	json_array_foreach(json_object_get(node, "capabilities"), i, item)
	{
		const json_t *first = json_array_get(json_object_get(item, "providers"), 0);
		bool last = --*left == 0;

		indent(tree, last);
		printf("requires the capability %s", text_of(item, "capability"));
		show_other(tree, first ? json_string_value(first) : "", item, last);
	}
}

static void
show_below(struct tree *tree, const json_t *node)
{
	const json_t *provides = json_object_get(node, "provides");
	size_t left = lines_below(node);

	json_object_set_new(tree->seen, text_of(node, "name"), json_true());
	tree->above[tree->depth++] = text_of(node, "name");
	show_requirements(tree, node, &left);
	put_list(tree, "provides", json_object_get(provides, "shared"), &left);
	put_list(tree, "provides alone", json_object_get(provides, "exclusive"), &left);
	put_list(tree, "conflicts with", json_object_get(node, "conflicts"), &left);
	tree->depth--;
}

static void
show_root(struct tree *tree, const json_t *node)
{
	const json_t *users = json_object_get(node, "required_by");
	json_t *name;
	size_t i;

	put_name(node);
	json_array_foreach(users, i, name)
		printf("%s%s", i ? ", " : ", required by ", json_string_value(name));
	put("\n");
	show_below(tree, node);
}

static void
show_problems(const json_t *nodes)
{
	json_t *node, *problem;
	size_t i, k, shown = 0;

	json_array_foreach(nodes, i, node)
	{
		const char *name = text_of(node, "name");

		json_array_foreach(json_object_get(node, "problems"), k, problem)
		{
			put(shown++ ? "  " : "\nproblems:\n  ");
			if (*name)
				printf("%s: ", name);
			put(json_string_value(problem));
			put("\n");
		}
	}
}

/* First what nobody requires, then what is left: circles. */
static void
show_all(struct tree *tree)
{
	json_t *node;
	size_t i;

	json_array_foreach(tree->nodes, i, node)
	{
		if (*text_of(node, "name") &&
		    !json_array_size(json_object_get(node, "required_by")))
			show_root(tree, node);
	}
	json_array_foreach(tree->nodes, i, node)
	{
		if (*text_of(node, "name") && !is_seen(tree, text_of(node, "name")))
			show_root(tree, node);
	}
}

void
graph_print_text(const json_t *nodes, const char *name)
{
	struct tree tree = {.nodes = nodes, .seen = json_object()};

	if (name)
		show_root(&tree, graph_find(nodes, name));
	else
		show_all(&tree);
	if (!json_array_size(nodes))
		puts("no plugins; `plugctl status` shows where plugd looks for them");
	show_problems(nodes);
	json_decref(tree.seen);
}
