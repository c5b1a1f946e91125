/* A map from non-zero 64-bit ids to pointers: open addressing, grows and shrinks with its content.
 */
#ifndef PLUGD_IDMAP_H
#define PLUGD_IDMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct idmap_cell {
	uint64_t id; /* 0: empty */
	void *value;
};

/* All zero is an empty map. */
struct idmap {
	struct idmap_cell *cells;
	size_t capacity, count;
};

void idmap_fini(struct idmap *map);

void *idmap_get(const struct idmap *map, uint64_t id);

/* False when memory is short; the map is then unchanged.  `id` must not be 0 or in the map. */
bool idmap_put(struct idmap *map, uint64_t id, void *value);

/* The removed value, or NULL. */
void *idmap_take(struct idmap *map, uint64_t id);

#endif
