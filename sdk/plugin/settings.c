/*
 * Invariants
 *
 * - A table does not change; `now` and `offered` change under the lock, held for writing.
 * - What is handed out is in the tree of texts, never a table's own: tables come and go.
 */
#include "settings.h"

#include <locale.h>
#include <plug/plugin.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "state.h"

struct setting {
	const char *key,
		*type;     /* of the tree, as are value and items: equal texts are the same one */
	const char *value; /* NULL: it is no text */
	long long integer;
	unsigned long long natural;
	bool truth;
	double number; /* read with a decimal point, whatever the program's locale */
	const char **items;
	size_t item_count;
};

struct settings_table {
	struct setting *entries;
	size_t count;
};

/* ---- texts ---- */

static int
compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* The one that stays, equal to `text`; NULL: no memory. */
static const char *
keep(struct settings *settings, const char *text)
{
	char *copy = NULL, **node;

	pthread_mutex_lock(&settings->texts_lock);
	node = tfind(text, &settings->texts, compare);
	if (!node && (copy = strdup(text)))
		node = tsearch(copy, &settings->texts, compare);
	pthread_mutex_unlock(&settings->texts_lock);
	if (!node)
		free(copy);
	return node ? *node : NULL;
}

/* ---- tables ---- */

static bool
is_text(const char *type)
{
	return strcmp(type, "string") == 0 || strcmp(type, "enum") == 0 ||
	       strcmp(type, "path") == 0;
}

static bool
load_items(struct settings *settings, struct setting *to, const Plug__ConfigEntry *from)
{
	to->items = calloc(from->n_items + 1, sizeof(*to->items));
	for (size_t i = 0; to->items && i < from->n_items; i++) {
		to->items[i] = keep(settings, plug_str(from->items[i]));
		if (!to->items[i])
			return false;
		to->item_count++;
	}
	return to->items != NULL;
}

static double
read_number(const char *text)
{
	locale_t c = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
	double number = c ? strtod_l(text, NULL, c) : strtod(text, NULL);

	if (c)
		freelocale(c);
	return number;
}

static bool
load_entry(struct settings *settings, struct setting *to, const Plug__ConfigEntry *from)
{
	const char *value = plug_str(from->value);

	to->key = keep(settings, plug_str(from->key));
	to->type = keep(settings, plug_str(from->type));
	if (!to->key || !to->type || !load_items(settings, to, from))
		return false;
	if (is_text(to->type))
		to->value = keep(settings, value);
	to->integer = strtoll(value, NULL, 10);
	to->natural = strtoull(value, NULL, 10);
	to->truth = strcmp(value, "true") == 0;
	to->number = read_number(value);
	return to->value || !is_text(to->type);
}

struct settings_table *
plugp_settings_table(struct settings *settings, Plug__ConfigEntry *const *entries, size_t count)
{
	struct settings_table *table = calloc(1, sizeof(*table));
	bool whole = table && (table->entries = calloc(count + 1, sizeof(*table->entries)));

	for (size_t i = 0; whole && i < count; i++) {
		table->count++;
		whole = load_entry(settings, &table->entries[i], entries[i]);
	}
	if (whole)
		return table;
	plugp_settings_drop(table);
	return NULL;
}

void
plugp_settings_drop(struct settings_table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->count; i++)
		free(table->entries[i].items);
	free(table->entries);
	free(table);
}

/* ---- what is in force ---- */

void
plugp_settings_init(struct settings *settings)
{
	pthread_rwlock_init(&settings->lock, NULL);
	pthread_mutex_init(&settings->texts_lock, NULL);
}

void
plugp_settings_fini(struct settings *settings)
{
	plugp_settings_drop(settings->now);
	plugp_settings_drop(settings->offered);
	settings->now = settings->offered = NULL;
	tdestroy(settings->texts, free);
	settings->texts = NULL;
}

plug_err
plugp_settings_load(struct settings *settings, Plug__ConfigEntry *const *entries, size_t count)
{
	struct settings_table *table = plugp_settings_table(settings, entries, count);

	if (!table)
		return PLUG_ENOMEM;
	pthread_rwlock_wrlock(&settings->lock);
	settings->now = table;
	pthread_rwlock_unlock(&settings->lock);
	return PLUG_OK;
}

void
plugp_settings_offer(struct settings *settings, struct settings_table *table)
{
	pthread_rwlock_wrlock(&settings->lock);
	settings->offered = table;
	settings->hands = pthread_self();
	pthread_rwlock_unlock(&settings->lock);
}

void
plugp_settings_decide(struct settings *settings, bool take)
{
	struct settings_table *done;

	pthread_rwlock_wrlock(&settings->lock);
	done = take ? settings->now : settings->offered;
	if (take)
		settings->now = settings->offered;
	settings->offered = NULL;
	pthread_rwlock_unlock(&settings->lock);
	plugp_settings_drop(done);
}

/* ---- reading ---- */

static const struct setting *
find_in(const struct settings_table *table, const char *key)
{
	for (size_t i = 0; table && i < table->count; i++)
		if (strcmp(table->entries[i].key, key) == 0)
			return &table->entries[i];
	return NULL;
}

/* With the lock held. */
static const struct setting *
find(const struct settings *settings, const char *key)
{
	bool offered = settings->offered && pthread_equal(settings->hands, pthread_self());

	return find_in(offered ? settings->offered : settings->now, key);
}

/* A copy whose texts stay; false: the key has no value, or another type. */
static bool
look_up(const struct plug_plugin *plugin, const char *key, const char *type, struct setting *ret)
{
	struct settings *settings = (struct settings *)(uintptr_t)&plugin->settings;
	const struct setting *one;
	bool found;

	pthread_rwlock_rdlock(&settings->lock);
	one = find(settings, key);
	found = one && (!type || strcmp(one->type, type) == 0);
	if (found)
		*ret = *one;
	pthread_rwlock_unlock(&settings->lock);
	return found;
}

const char *
plug_config_string(const struct plug_plugin *plugin, const char *key, const char *fallback)
{
	struct setting one;

	return look_up(plugin, key, NULL, &one) && one.value ? one.value : fallback;
}

int64_t
plug_config_int(const struct plug_plugin *plugin, const char *key, int64_t fallback)
{
	struct setting one;

	return look_up(plugin, key, "int", &one) ? one.integer : fallback;
}

double
plug_config_float(const struct plug_plugin *plugin, const char *key, double fallback)
{
	struct setting one;

	return look_up(plugin, key, "float", &one) || look_up(plugin, key, "int", &one) ? one.number
											: fallback;
}

bool
plug_config_bool(const struct plug_plugin *plugin, const char *key, bool fallback)
{
	struct setting one;

	return look_up(plugin, key, "bool", &one) ? one.truth : fallback;
}

uint64_t
plug_config_duration_ns(const struct plug_plugin *plugin, const char *key, uint64_t fallback)
{
	struct setting one;

	return look_up(plugin, key, "duration", &one) ? one.natural : fallback;
}

uint64_t
plug_config_bytes(const struct plug_plugin *plugin, const char *key, uint64_t fallback)
{
	struct setting one;

	return look_up(plugin, key, "bytes", &one) ? one.natural : fallback;
}

size_t
plug_config_list_size(const struct plug_plugin *plugin, const char *key)
{
	struct setting one;

	return look_up(plugin, key, "list", &one) ? one.item_count : 0;
}

const char *
plug_config_list_item(const struct plug_plugin *plugin, const char *key, size_t index)
{
	struct settings *settings = (struct settings *)(uintptr_t)&plugin->settings;
	const struct setting *one;
	const char *item = NULL;

	pthread_rwlock_rdlock(&settings->lock);
	one = find(settings, key);
	if (one && strcmp(one->type, "list") == 0 && index < one->item_count)
		item = one->items[index];
	pthread_rwlock_unlock(&settings->lock);
	return item;
}

bool
plug_config_has(const struct plug_plugin *plugin, const char *key)
{
	struct setting one;

	return look_up(plugin, key, NULL, &one);
}

static bool
same(const struct setting *a, const struct setting *b)
{
	if (!a || !b || a->type != b->type || a->item_count != b->item_count)
		return a == b;
	for (size_t i = 0; i < a->item_count; i++)
		if (a->items[i] != b->items[i])
			return false;
	return a->value == b->value && a->integer == b->integer && a->natural == b->natural &&
	       a->truth == b->truth && !memcmp(&a->number, &b->number, sizeof(a->number));
}

bool
plug_config_changed(const struct plug_plugin *plugin, const char *key)
{
	struct settings *settings = (struct settings *)(uintptr_t)&plugin->settings;
	bool changed;

	pthread_rwlock_rdlock(&settings->lock);
	changed = settings->offered && pthread_equal(settings->hands, pthread_self()) &&
		  !same(find_in(settings->now, key), find_in(settings->offered, key));
	pthread_rwlock_unlock(&settings->lock);
	return changed;
}
