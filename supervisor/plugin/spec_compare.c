/* What differs between two specs of a plugin. */
#include <string.h>

#include "plugin/spec.h"

static const struct spec_config *
config_of(const struct spec *spec, const char *key)
{
	for (size_t i = 0; i < spec->config_count; i++)
		if (!strcmp(spec->config[i].key, key))
			return &spec->config[i];
	return NULL;
}

static bool
same_value(const struct spec_config *a, const struct spec_config *b)
{
	if (!a->value || !b->value || a->item_count != b->item_count)
		return a->value == b->value;
	for (size_t i = 0; i < a->item_count; i++)
		if (strcmp(a->items[i], b->items[i]))
			return false;
	return !strcmp(a->value, b->value);
}

bool
spec_key_changed(const struct spec *from, const struct spec_config *to)
{
	const struct spec_config *before = config_of(from, to->key);

	return !before || !same_value(before, to);
}

size_t
spec_changed_keys(const struct spec *from, const struct spec *to, bool *ret_all_live)
{
	size_t count = 0;

	*ret_all_live = true;
	for (size_t i = 0; i < to->config_count; i++) {
		if (!spec_key_changed(from, &to->config[i]))
			continue;
		count++;
		*ret_all_live = *ret_all_live && to->config[i].live;
	}
	return count;
}
