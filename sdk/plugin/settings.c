#include "settings.h"

#include <locale.h>
#include <plug/plugin.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "state.h"

struct setting {
	char *key, *type, *value;
	double number; /* value read with a decimal point, whatever the program's locale */
	char **items;
	size_t item_count;
};

static plug_err
load_items(struct setting *to, const Plug__ConfigEntry *from)
{
	to->items = calloc(from->n_items + 1, sizeof(*to->items));
	if (!to->items)
		return PLUG_ENOMEM;
	for (size_t i = 0; i < from->n_items; i++) {
		to->items[i] = strdup(plug_str(from->items[i]));
		if (!to->items[i])
			return PLUG_ENOMEM;
		to->item_count++;
	}
	return PLUG_OK;
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

plug_err
plugp_settings_load(struct settings *settings, Plug__ConfigEntry *const *entries, size_t count)
{
	settings->entries = calloc(count + 1, sizeof(*settings->entries));
	if (!settings->entries)
		return PLUG_ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct setting *to = &settings->entries[i];

		settings->count++;
		to->key = strdup(plug_str(entries[i]->key));
		to->type = strdup(plug_str(entries[i]->type));
		to->value = strdup(plug_str(entries[i]->value));
		if (!to->key || !to->type || !to->value || load_items(to, entries[i]) != PLUG_OK)
			return PLUG_ENOMEM;
		to->number = read_number(to->value);
	}
	return PLUG_OK;
}

void
plugp_settings_fini(struct settings *settings)
{
	for (size_t i = 0; i < settings->count; i++) {
		struct setting *one = &settings->entries[i];

		for (size_t j = 0; j < one->item_count; j++)
			free(one->items[j]);
		free(one->items);
		free(one->key);
		free(one->type);
		free(one->value);
	}
	free(settings->entries);
	settings->entries = NULL;
	settings->count = 0;
}

static const struct setting *
find(const struct plug_plugin *plugin, const char *key)
{
	const struct settings *settings = &plugin->settings;

	for (size_t i = 0; i < settings->count; i++) {
		if (strcmp(settings->entries[i].key, key) == 0)
			return &settings->entries[i];
	}
	return NULL;
}

static const struct setting *
find_typed(const struct plug_plugin *plugin, const char *key, const char *type)
{
	const struct setting *one = find(plugin, key);

	return one && strcmp(one->type, type) == 0 ? one : NULL;
}

const char *
plug_config_string(const struct plug_plugin *plugin, const char *key, const char *fallback)
{
	const struct setting *one = find(plugin, key);

	if (!one)
		return fallback;
	if (strcmp(one->type, "string") != 0 && strcmp(one->type, "enum") != 0 &&
	    strcmp(one->type, "path") != 0)
		return fallback;
	return one->value;
}

int64_t
plug_config_int(const struct plug_plugin *plugin, const char *key, int64_t fallback)
{
	const struct setting *one = find_typed(plugin, key, "int");

	return one ? strtoll(one->value, NULL, 10) : fallback;
}

double
plug_config_float(const struct plug_plugin *plugin, const char *key, double fallback)
{
	const struct setting *one = find_typed(plugin, key, "float");

	if (!one)
		one = find_typed(plugin, key, "int");
	return one ? one->number : fallback;
}

bool
plug_config_bool(const struct plug_plugin *plugin, const char *key, bool fallback)
{
	const struct setting *one = find_typed(plugin, key, "bool");

	return one ? strcmp(one->value, "true") == 0 : fallback;
}

static uint64_t
unsigned_of_type(const struct plug_plugin *plugin, const char *key, const char *type,
		 uint64_t fallback)
{
	const struct setting *one = find_typed(plugin, key, type);

	return one ? strtoull(one->value, NULL, 10) : fallback;
}

uint64_t
plug_config_duration_ns(const struct plug_plugin *plugin, const char *key, uint64_t fallback)
{
	return unsigned_of_type(plugin, key, "duration", fallback);
}

uint64_t
plug_config_bytes(const struct plug_plugin *plugin, const char *key, uint64_t fallback)
{
	return unsigned_of_type(plugin, key, "bytes", fallback);
}

size_t
plug_config_list_size(const struct plug_plugin *plugin, const char *key)
{
	const struct setting *one = find_typed(plugin, key, "list");

	return one ? one->item_count : 0;
}

const char *
plug_config_list_item(const struct plug_plugin *plugin, const char *key, size_t index)
{
	const struct setting *one = find_typed(plugin, key, "list");

	return one && index < one->item_count ? one->items[index] : NULL;
}

bool
plug_config_has(const struct plug_plugin *plugin, const char *key)
{
	return find(plugin, key) != NULL;
}
