/*
 * Where a plugin is within a plugin directory, and what that says about it: the store that it is
 * from, and its category.  Pure.
 *
 *   DIR/[builtin/ | optional/ | community/][CATEGORY/…]plugin's folder or file
 *
 * A plugin directory that has the name of a store is that store.
 */
#ifndef PLUGD_PLACE_H
#define PLUGD_PLACE_H

#include <stdbool.h>

/* In the order in which they go first where two plugins have one name. */
enum place_store { PLACE_BUILTIN, PLACE_NONE, PLACE_OPTIONAL, PLACE_COMMUNITY, PLACE_COUNT };

#define PLACE_CATEGORY_BYTES 64

struct place {
	enum place_store store;
	char category[PLACE_CATEGORY_BYTES]; /* "" where there is no folder in between */
};

/* `path`: of the manifest, or of the single file, below `root`; both absolute and resolved.
 * False: it is not below it. */
bool place_of(const char *root, const char *path, struct place *ret);

const char *place_store_name(enum place_store store); /* "" for PLACE_NONE */

#endif
