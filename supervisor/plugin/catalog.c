#include "plugin/catalog.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

static int
by_hash(const void *left, const void *right)
{
	const struct catalog_entry *a = left, *b = right;

	return a->hash < b->hash ? -1 : a->hash > b->hash;
}

static void
add_all(struct catalog *catalog, size_t at, const struct field_strings *capabilities)
{
	for (size_t i = 0; i < capabilities->count; i++)
		catalog->capabilities[catalog->capability_count++] =
			(struct catalog_entry){hash_text(HASH_START, capabilities->items[i]), at};
}

static void
fill(struct catalog *catalog)
{
	for (size_t i = 0; i < catalog->count; i++) {
		const struct spec *spec = catalog->specs[i];

		catalog->names[i] = (struct catalog_entry){hash_text(HASH_START, spec->name), i};
		add_all(catalog, i, &spec->manifest->provides.shared);
		add_all(catalog, i, &spec->manifest->provides.exclusive);
	}
	qsort(catalog->names, catalog->count, sizeof(*catalog->names), by_hash);
	qsort(catalog->capabilities, catalog->capability_count, sizeof(*catalog->capabilities),
	      by_hash);
}

void
catalog_init(struct catalog *catalog, struct spec *const *specs, size_t count)
{
	size_t capabilities = 0;

	*catalog = (struct catalog){.specs = specs, .count = count};
	for (size_t i = 0; i < count; i++)
		capabilities += specs[i]->manifest->provides.shared.count +
				specs[i]->manifest->provides.exclusive.count;
	catalog->names = calloc(count + 1, sizeof(*catalog->names));
	catalog->capabilities = calloc(capabilities + 1, sizeof(*catalog->capabilities));
	if (catalog->names && catalog->capabilities)
		fill(catalog);
	else
		catalog_fini(catalog);
}

void
catalog_fini(struct catalog *catalog)
{
	free(catalog->names);
	free(catalog->capabilities);
	catalog->names = catalog->capabilities = NULL;
}

/* The first entry of this hash, or where it would be. */
static size_t
first_of(const struct catalog_entry *entries, size_t count, uint64_t hash)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (entries[middle].hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* One after the other that may be meant: those of one hash, or all.  `count`: no more. */
struct search {
	const struct catalog *catalog;
	const struct catalog_entry *entries;
	size_t count, next;
	uint64_t hash;
};

static struct search
begin(const struct catalog *catalog, const struct catalog_entry *entries, size_t count,
      const char *text)
{
	struct search search = {catalog, entries, count, 0, hash_text(HASH_START, text)};

	if (entries)
		search.next = first_of(entries, count, search.hash);
	else
		search.count = catalog->count;
	return search;
}

static size_t
next(struct search *search)
{
	while (search->next < search->count) {
		size_t i = search->next++;
		size_t at = search->entries ? search->entries[i].at : i;

		if (search->entries && search->entries[i].hash != search->hash)
			break;
		if (search->catalog->specs[at])
			return at;
	}
	return search->catalog->count;
}

size_t
catalog_find(const struct catalog *catalog, const char *name)
{
	struct search search = begin(catalog, catalog->names, catalog->count, name);
	size_t at;

	while ((at = next(&search)) < catalog->count)
		if (!strcmp(catalog->specs[at]->name, name))
			break;
	return at;
}

static bool
starts_before(const struct spec *left, const struct spec *right)
{
	if (left->priority != right->priority)
		return left->priority > right->priority;
	return strcmp(left->name, right->name) < 0;
}

size_t
catalog_provider(const struct catalog *catalog, size_t at, const char *capability)
{
	struct search search =
		begin(catalog, catalog->capabilities, catalog->capability_count, capability);
	struct spec *const *specs = catalog->specs;
	size_t best = catalog->count, i;

	while ((i = next(&search)) < catalog->count)
		if (i != at && manifest_provides(specs[i]->manifest, capability) &&
		    (best == catalog->count || starts_before(specs[i], specs[best])))
			best = i;
	return best;
}
