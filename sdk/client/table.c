#include <stdlib.h>

#include "internal.h"

#define FIRST_BUCKETS 16 /* a power of two */

/* Ids are given out in order, so their low bits spread them evenly. */
static struct plugc_bucket *
bucket_of(struct plugc_table *table, uint64_t id)
{
	return &table->buckets[id & (table->bucket_count - 1)];
}

plug_err
plugc_table_init(struct plugc_table *table)
{
	table->buckets = calloc(FIRST_BUCKETS, sizeof(*table->buckets));
	if (!table->buckets)
		return PLUG_ENOMEM;
	table->bucket_count = FIRST_BUCKETS;
	return PLUG_OK;
}

void
plugc_table_fini(struct plugc_table *table)
{
	free(table->buckets);
	table->buckets = NULL;
}

struct plugc_entry *
plugc_table_find(struct plugc_table *table, uint64_t id)
{
	struct plugc_entry *entry;

	LIST_FOREACH (entry, bucket_of(table, id), bucket)
		if (entry->id == id)
			return entry;
	return NULL;
}

/* Longer chains are slower, not wrong: without memory the table stays as it is. */
static void
grow(struct plugc_table *table)
{
	size_t old_count = table->bucket_count;
	struct plugc_bucket *old = table->buckets;
	struct plugc_bucket *wider = calloc(2 * old_count, sizeof(*wider));
	struct plugc_entry *entry;

	if (!wider)
		return;
	table->buckets = wider;
	table->bucket_count = 2 * old_count;
	for (size_t i = 0; i < old_count; i++) {
		while ((entry = LIST_FIRST(&old[i]))) {
			LIST_REMOVE(entry, bucket);
			LIST_INSERT_HEAD(bucket_of(table, entry->id), entry, bucket);
		}
	}
	free(old);
}

void
plugc_table_add(struct plugc_table *table, struct plugc_entry *entry)
{
	if (table->count >= 2 * table->bucket_count)
		grow(table);
	LIST_INSERT_HEAD(bucket_of(table, entry->id), entry, bucket);
	table->count++;
}

void
plugc_table_remove(struct plugc_table *table, struct plugc_entry *entry)
{
	LIST_REMOVE(entry, bucket);
	table->count--;
}

void
plugc_table_each(struct plugc_table *table, void (*fn)(struct plugc_entry *, void *), void *arg)
{
	struct plugc_entry *entry, *next;

	for (size_t i = 0; i < table->bucket_count; i++) {
		for (entry = LIST_FIRST(&table->buckets[i]); entry; entry = next) {
			next = LIST_NEXT(entry, bucket);
			fn(entry, arg);
		}
	}
}
