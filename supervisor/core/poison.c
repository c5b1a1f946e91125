#include "core/poison.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
poison_init(struct poison *poison)
{
	*poison = (struct poison){0};
	list_init(&poison->entries);
}

static void
drop(struct poison *poison, struct poison_entry *entry)
{
	poison->count--;
	poison->live -= entry->state != POISON_CLEARED;
	list_remove(&entry->node);
	free(entry);
}

void
poison_fini(struct poison *poison)
{
	LIST_FOREACH_SAFE (entry, &poison->entries, struct poison_entry, node)
		drop(poison, entry);
}

const char *
poison_state_name(enum poison_state state)
{
	static const char *const names[] = {"suspected", "confirmed", "refused", "cleared"};

	return names[state];
}

static void
clear(struct poison *poison, struct poison_entry *entry, const char *why)
{
	if (entry->state == POISON_CLEARED)
		return;
	entry->state = POISON_CLEARED;
	snprintf(entry->cleared, sizeof(entry->cleared), "%s", why);
	entry->until_ms = 0;
	poison->live--;
}

void
poison_expire(struct poison *poison, uint64_t now_ms)
{
	if (!poison->live)
		return;
	LIST_FOREACH (entry, &poison->entries, struct poison_entry, node)
		if (entry->state != POISON_CLEARED && entry->until_ms <= now_ms)
			clear(poison, entry,
			      entry->state == POISON_SUSPECTED
				      ? "it was not sent again for ten minutes"
				      : "the ten minutes are over");
}

bool
poison_may_know(const struct poison *poison, const char *plugin, const char *method, uint32_t uid,
		uint64_t bytes)
{
	if (!poison->live)
		return false;
	LIST_FOREACH (entry, &poison->entries, struct poison_entry, node)
		if (entry->state != POISON_CLEARED && entry->key.bytes == bytes &&
		    entry->key.uid == uid && !strcmp(entry->key.method, method) &&
		    !strcmp(entry->key.plugin, plugin))
			return true;
	return false;
}

static struct poison_entry *
find(const struct poison *poison, const struct poison_key *key)
{
	LIST_FOREACH (entry, &poison->entries, struct poison_entry, node)
		if (entry->key.uid == key->uid && entry->key.bytes == key->bytes &&
		    !memcmp(entry->key.digest, key->digest, sizeof(key->digest)) &&
		    !strcmp(entry->key.plugin, key->plugin) &&
		    !strcmp(entry->key.method, key->method))
			return entry;
	return NULL;
}

enum poison_verdict
poison_judge(struct poison *poison, const struct poison_key *key, uint64_t now_ms,
	     const struct poison_entry **ret_entry)
{
	struct poison_entry *entry;

	poison_expire(poison, now_ms);
	entry = find(poison, key);
	if (!entry || entry->state == POISON_CLEARED)
		return POISON_FREE;
	*ret_entry = entry;
	if (entry->state == POISON_SUSPECTED)
		return POISON_ALONE;
	entry->state = POISON_REFUSED;
	entry->refusals++;
	return POISON_NO;
}

/* The oldest of those that matter least. */
static struct poison_entry *
least(const struct poison *poison)
{
	static const enum poison_state order[] = {POISON_CLEARED, POISON_SUSPECTED,
						  POISON_CONFIRMED, POISON_REFUSED};

	for (size_t i = 0; i < sizeof(order) / sizeof(*order); i++)
		LIST_FOREACH (entry, &poison->entries, struct poison_entry, node)
			if (entry->state == order[i])
				return entry;
	return NULL;
}

static struct poison_entry *
add(struct poison *poison, const struct poison_key *key)
{
	struct poison_entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return NULL;
	if (poison->count == POISON_ENTRIES)
		drop(poison, least(poison));
	entry->key = *key;
	entry->state = POISON_CLEARED;
	poison->count++;
	list_append(&poison->entries, &entry->node);
	return entry;
}

static void
begin(struct poison *poison, struct poison_entry *entry, uint64_t now_ms)
{
	entry->id = ++poison->last_id;
	entry->state = POISON_SUSPECTED;
	entry->deaths = 0;
	entry->refusals = 0;
	entry->first_ms = now_ms;
	entry->cleared[0] = '\0';
	poison->live++;
}

const struct poison_entry *
poison_accuse(struct poison *poison, const struct poison_key *key, uint32_t death, uint64_t now_ms,
	      bool *ret_confirmed)
{
	struct poison_entry *entry;

	*ret_confirmed = false;
	poison_expire(poison, now_ms);
	entry = find(poison, key);
	if (!entry)
		entry = add(poison, key);
	if (!entry)
		return NULL;
	if (entry->state == POISON_CLEARED)
		begin(poison, entry, now_ms);
	else if (entry->last_death == death)
		return entry; /* the same request, twice at a time */
	entry->last_death = death;
	entry->deaths++;
	entry->last_ms = now_ms;
	entry->until_ms = now_ms + POISON_MS;
	*ret_confirmed = entry->deaths > 1 && entry->state == POISON_SUSPECTED;
	if (*ret_confirmed)
		entry->state = POISON_CONFIRMED;
	return entry;
}

void
poison_acquit(struct poison *poison, const struct poison_key *key, uint64_t now_ms)
{
	struct poison_entry *entry;

	poison_expire(poison, now_ms);
	entry = find(poison, key);
	if (entry && entry->state == POISON_SUSPECTED)
		clear(poison, entry, "it was answered");
}

size_t
poison_clear(struct poison *poison, const char *plugin, uint64_t id)
{
	size_t before = poison->live;

	LIST_FOREACH (entry, &poison->entries, struct poison_entry, node)
		if ((!plugin || !strcmp(entry->key.plugin, plugin)) && (!id || entry->id == id))
			clear(poison, entry, "an operator cleared it");
	return before - poison->live;
}

bool
poison_take(struct poison *poison, const struct poison_entry *entry)
{
	struct poison_entry *copy = poison->count < POISON_ENTRIES ? malloc(sizeof(*copy)) : NULL;

	if (!copy)
		return false;
	*copy = *entry;
	list_append(&poison->entries, &copy->node);
	poison->count++;
	poison->live += copy->state != POISON_CLEARED;
	return true;
}
