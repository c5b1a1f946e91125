/*
 * Specs by name and by what they provide, so that a check of all of them does not look at all of
 * them for each.  One that is rejected meanwhile (its place is NULL) is not found any more.
 */
#ifndef PLUGD_CATALOG_H
#define PLUGD_CATALOG_H

#include <stddef.h>
#include <stdint.h>

#include "plugin/spec.h"

struct catalog_entry {
	uint64_t hash;
	size_t at;
};

struct catalog {
	struct spec *const *specs; /* the caller's; they keep their places */
	size_t count;
	/* By hash; NULL: memory is short, and all specs are looked at instead. */
	struct catalog_entry *names, *capabilities;
	size_t capability_count;
};

/* None of `specs` may be NULL here. */
void catalog_init(struct catalog *catalog, struct spec *const *specs, size_t count);
void catalog_fini(struct catalog *catalog);

/* The place of that name; `count`: there is none. */
size_t catalog_find(const struct catalog *catalog, const char *name);

/* The place of the one, other than `at`, that provides it and starts first; `count`: none does. */
size_t catalog_provider(const struct catalog *catalog, size_t at, const char *capability);

#endif
