#include "base/idmap.h"

#include <stdlib.h>

#define MIN_CAPACITY 8

void
idmap_fini(struct idmap *map)
{
	free(map->cells);
	*map = (struct idmap){0};
}

static size_t
home(const struct idmap *map, uint64_t id)
{
	return (size_t)(id * 0x9e3779b97f4a7c15ull >> 32) & (map->capacity - 1);
}

static struct idmap_cell *
probe(const struct idmap *map, uint64_t id)
{
	size_t at = home(map, id);

	while (map->cells[at].id && map->cells[at].id != id)
		at = (at + 1) & (map->capacity - 1);
	return &map->cells[at];
}

void *
idmap_get(const struct idmap *map, uint64_t id)
{
	if (!map->count || !id)
		return NULL;
	return probe(map, id)->value;
}

static bool
resize(struct idmap *map, size_t capacity)
{
	struct idmap grown = {calloc(capacity, sizeof(*grown.cells)), capacity, map->count};

	if (!grown.cells)
		return false;
	for (size_t i = 0; i < map->capacity; i++)
		if (map->cells[i].id)
			*probe(&grown, map->cells[i].id) = map->cells[i];
	free(map->cells);
	*map = grown;
	return true;
}

bool
idmap_put(struct idmap *map, uint64_t id, void *value)
{
	if ((map->count + 1) * 4 > map->capacity * 3 &&
	    !resize(map, map->capacity ? map->capacity * 2 : MIN_CAPACITY))
		return false;
	*probe(map, id) = (struct idmap_cell){id, value};
	map->count++;
	return true;
}

/* Close the hole by moving back the cells that probing would no longer reach. */
static void
close_hole(struct idmap *map, size_t hole)
{
	size_t mask = map->capacity - 1;

	for (size_t at = (hole + 1) & mask; map->cells[at].id; at = (at + 1) & mask) {
		size_t want = home(map, map->cells[at].id);

		if (((at - want) & mask) < ((at - hole) & mask))
			continue;
		map->cells[hole] = map->cells[at];
		hole = at;
	}
	map->cells[hole] = (struct idmap_cell){0};
}

void *
idmap_take(struct idmap *map, uint64_t id)
{
	struct idmap_cell *cell;
	void *value;

	if (!map->count || !id)
		return NULL;
	cell = probe(map, id);
	if (!cell->id)
		return NULL;
	value = cell->value;
	close_hole(map, (size_t)(cell - map->cells));
	map->count--;
	if (map->capacity > MIN_CAPACITY * 8 && map->count * 8 < map->capacity)
		resize(map, map->capacity / 2); /* failing to shrink changes nothing */
	return value;
}
