#include <string.h>

#include "core/manifest.h"
#include "core/schema.h"
#include "core/settings.h"
#include "reference.h"

static const struct reference_part parts[] = {
	{"manifest", &manifest_table, true},
	{"config", &schema_key_table, false},
	{"settings", &settings_table, false},
};

const struct reference_part *
reference_find(const char *name)
{
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!strcmp(parts[i].name, name))
			return &parts[i];
	return NULL;
}

static void
walk(const struct reference_part *part, const struct reference_format *format, FILE *out,
     const struct field_table *table, const char *prefix, bool overridable)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct field *field = &table->fields[i];
		struct reference_key key = {.field = field};
		char path[REFERENCE_PATH_BYTES], below[REFERENCE_PATH_BYTES + 8];
		const char *step = field->type == &field_entries || field->type == &field_models
					   ? ".NAME."
				   : field->type == &field_sections ? "[]."
								    : ".";

		snprintf(path, sizeof(path), "%s%s", prefix, field->key);
		key.path = path;
		key.overridable =
			overridable || (part->is_manifest && field->flags & FIELD_OVERRIDE);
		field->type->expect(field, key.expected);
		format->key(out, &key);
		if (!field->table)
			continue;
		snprintf(below, sizeof(below), "%s%s", path, step);
		walk(part, format, out, field->table, below, key.overridable);
	}
}

void
reference_keys(const struct reference_part *part, const struct reference_format *format, FILE *out)
{
	format->begin(out);
	walk(part, format, out, part->table, "", false);
	format->end(out);
}
