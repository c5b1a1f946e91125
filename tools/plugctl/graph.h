/*
 * Who requires, provides and excludes what: plugd's answer as a document, and the document as text
 * and as a picture.
 *
 * A node is an object: "name" ("" where the manifest could not be read), "version", "type",
 * "state", "registered", "priority", "path", "requires": [{"plugin", "range", "found", "problem"}],
 * "capabilities": [{"capability", "providers", "problem"}], "provides": {"shared", "exclusive"},
 * "conflicts", "required_by", "problems".
 */
#ifndef PLUGCTL_GRAPH_H
#define PLUGCTL_GRAPH_H

#include <stdio.h>

#include "ctl.h"

/* One node as plugd sent it. */
json_t *graph_node_json(const Plug__GraphNode *node);

/* Find out what each requirement means: fills "found", "providers", "required_by" and what is wrong
 * with single requirements. */
void graph_resolve(json_t *nodes);

/* The nodes that have to do with `name`: what it requires, whatever the distance, what requires it,
 * what it must not run beside.  A new list of the same nodes; NULL: there is none of that name. */
json_t *graph_around(json_t *nodes, const char *name);

/* The name that was probably meant, or NULL. */
const char *graph_near(const json_t *nodes, const char *name);

/* The node of this name, or NULL. */
json_t *graph_find(const json_t *nodes, const char *name);

/* As trees, on stdout; `name` is the one root, or NULL. */
void graph_print_text(const json_t *nodes, const char *name);

/* In Graphviz' language.  The caller frees it. */
char *graph_dot(const json_t *nodes);

#endif
