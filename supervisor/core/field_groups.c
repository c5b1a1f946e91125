/* The types of fields that hold several values: lists, mappings, sections. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/fields.h"
#include "core/suggest.h"

/* ---- lists ---- */

/* "exec[0]" rather than "exec.0" */
static size_t
enter_item(struct field_ctx *ctx, size_t index)
{
	size_t mark = ctx->path_length, room = sizeof(ctx->path) - mark;
	int added = snprintf(ctx->path + mark, room, "[%zu]", index);

	ctx->path_length += added < (int)room ? (size_t)added : room - 1;
	return mark;
}

bool
field_strings_have(const struct field_strings *strings, const char *text)
{
	for (size_t i = 0; i < strings->count; i++)
		if (!strcmp(strings->items[i], text))
			return true;
	return false;
}

static void
list_decode(struct field_ctx *ctx, const struct field *field, const struct field *item,
	    const struct yaml_node *node, void *dest)
{
	const char **items;
	size_t index = 0, errors = ctx->diags->errors;

	if (!field_want_list(ctx, field, node))
		return;
	items = field_alloc(ctx, node, node->count, sizeof(*items));
	if (!items)
		return;
	for (const struct yaml_node *child = node->first; child; child = child->next, index++) {
		size_t mark = enter_item(ctx, index);

		item->type->decode(ctx, item, child, &items[index]);
		for (size_t i = 0; item->names && items[index] && i < index; i++)
			if (items[i] && !strcmp(items[i], items[index]))
				field_error(ctx, child, "\"%s\" is listed twice; expected it once",
					    items[index]);
		field_leave(ctx, mark);
	}
	if (ctx->diags->errors == errors)
		*(struct field_strings *)dest =
			(struct field_strings){.items = items, .count = node->count};
}

static void
strings_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
	       void *dest)
{
	const struct field item = {.key = field->key,
				   .type = field->names ? &field_name : &field_string,
				   .names = field->names,
				   .min = 0,
				   .max = INT64_MAX,
				   .flags = field->flags};

	list_decode(ctx, field, &item, node, dest);
}

static void
paths_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
	     void *dest)
{
	const struct field item = {.key = field->key, .type = &field_path, .flags = field->flags};

	list_decode(ctx, field, &item, node, dest);
}

static void
expect_list(const struct field *field, const char *of, char buffer[FIELD_TEXT_BYTES])
{
	char counts[64] = "";

	if (field->max != INT64_MAX)
		snprintf(counts, sizeof(counts), ", %" PRId64 " to %" PRId64 " entries",
			 field->min > 0 ? field->min : 0, field->max);
	else if (field->min > 0)
		snprintf(counts, sizeof(counts), ", at least %" PRId64 " entries", field->min);
	snprintf(buffer, FIELD_TEXT_BYTES, "a list of %s%s", of, counts);
}

static void
strings_expect(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	expect_list(field, field->names ? "names" : "text", buffer);
}

static void
paths_expect(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	expect_list(field, "paths", buffer);
}

const struct field_type field_strings = {.name = "list",
					 .size = sizeof(struct field_strings),
					 .decode = strings_decode,
					 .expect = strings_expect};
const struct field_type field_paths = {.name = "list of paths",
				       .size = sizeof(struct field_strings),
				       .decode = paths_decode,
				       .expect = paths_expect};

/* ---- mappings of text ---- */

static bool
want_map(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node)
{
	char detail[64];

	if (node->kind != YAML_MAP && node->kind != YAML_NULL) {
		field_refuse(ctx, field, node, NULL);
		return false;
	}
	if ((int64_t)node->count <= field->max)
		return true;
	snprintf(detail, sizeof(detail), "with %zu entries", node->count);
	field_refuse(ctx, field, node, detail);
	return false;
}

static bool
want_key(struct field_ctx *ctx, const struct field *field, const struct yaml_node *child)
{
	struct diag_pos pos = field_key_pos(ctx, child);

	if (field->names->ok(child->key))
		return true;
	diag_error(ctx->diags, &pos, "%s: expected %s; found \"%.64s\"", ctx->path,
		   field->names->expected, child->key);
	return false;
}

static void
decode_pair(struct field_ctx *ctx, const struct field *field, const struct yaml_node *child,
	    struct field_pair *pair)
{
	static const struct field value = {
		.key = "value", .type = &field_string, .min = 0, .max = INT64_MAX};
	size_t mark;

	if (!want_key(ctx, field, child))
		return;
	mark = field_enter(ctx, child->key);
	pair->name = field_keep(ctx, child, child->key);
	if (child->kind == YAML_NULL)
		pair->value = field_keep(ctx, child, "");
	else
		field_string.decode(ctx, &value, child, &pair->value);
	field_leave(ctx, mark);
}

/* An override replaces the pair of the same name and keeps the others. */
static void
merge_pairs(struct field_pairs *into, struct field_pair *items, const struct field_pair *more,
	    size_t count)
{
	size_t used = into->count;

	if (used)
		memcpy(items, into->items, used * sizeof(*items));
	for (size_t i = 0; i < count; i++) {
		size_t at = 0;

		while (at < used && strcmp(items[at].name, more[i].name))
			at++;
		items[at] = more[i];
		used += at == used;
	}
	*into = (struct field_pairs){.items = items, .count = used};
}

static void
pairs_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
	     void *dest)
{
	struct field_pairs *into = dest;
	struct field_pair *found, *merged;
	size_t index = 0, errors = ctx->diags->errors;

	if (!want_map(ctx, field, node))
		return;
	found = field_alloc(ctx, node, node->count, sizeof(*found));
	merged = field_alloc(ctx, node, into->count + node->count, sizeof(*merged));
	if (!found || !merged)
		return;
	for (const struct yaml_node *child = node->first; child; child = child->next)
		decode_pair(ctx, field, child, &found[index++]);
	if (ctx->diags->errors == errors)
		merge_pairs(into, merged, found, index);
}

static void
expect_map(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	if (field->type == &field_section || field->max == INT64_MAX)
		snprintf(buffer, FIELD_TEXT_BYTES, "a mapping (key: value)");
	else
		snprintf(buffer, FIELD_TEXT_BYTES,
			 "a mapping (key: value) of at most %" PRId64 " keys", field->max);
}

const struct field_type field_pairs = {.name = "mapping of text",
				       .size = sizeof(struct field_pairs),
				       .decode = pairs_decode,
				       .expect = expect_map};

/* ---- sections ---- */

static void
section_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
	       void *dest)
{
	fields_decode(ctx, field->table, node, dest);
}

static void
section_init(struct field_ctx *ctx, const struct field *field, void *dest)
{
	fields_init(ctx, field->table, dest);
}

const struct field_type field_section = {.name = "mapping",
					 .size = 0,
					 .decode = section_decode,
					 .expect = expect_map,
					 .init = section_init};

/* ---- mappings of structs ---- */

static void *
find_entry(const struct field_entries *entries, size_t size, const char *name)
{
	for (size_t i = 0; i < entries->count; i++) {
		char *entry = (char *)entries->items + i * size;

		if (!strcmp(*(const char **)(void *)entry, name))
			return entry;
	}
	return NULL;
}

static void
unknown_entry(struct field_ctx *ctx, const struct field *field, const struct field_entries *entries,
	      const struct yaml_node *child)
{
	struct diag_pos pos = field_key_pos(ctx, child);
	struct suggest suggest;

	suggest_start(&suggest, child->key);
	for (size_t i = 0; i < entries->count; i++) {
		char *entry = (char *)entries->items + i * field->table->size;

		suggest_offer(&suggest, *(const char **)(void *)entry);
	}
	diag_error(ctx->diags, &pos,
		   "%s: the manifest has no \"%.64s\"; expected one that it has%s%s%s", ctx->path,
		   child->key, suggest.best ? "; did you mean \"" : "",
		   suggest.best ? suggest.best : "", suggest.best ? "\"?" : "");
}

static void
override_entries(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
		 const struct field_entries *entries)
{
	for (const struct yaml_node *child = node->first; child; child = child->next) {
		void *entry = find_entry(entries, field->table->size, child->key);
		size_t mark;

		if (!entry) {
			unknown_entry(ctx, field, entries, child);
			continue;
		}
		mark = field_enter(ctx, child->key);
		fields_decode(ctx, field->table, child, entry);
		field_leave(ctx, mark);
	}
}

static void
decode_entry(struct field_ctx *ctx, const struct field *field, const struct yaml_node *child,
	     void *entry)
{
	size_t mark;

	if (!want_key(ctx, field, child))
		return;
	mark = field_enter(ctx, child->key);
	fields_init(ctx, field->table, entry);
	*(const char **)entry = field_keep(ctx, child, child->key);
	fields_decode(ctx, field->table, child, entry);
	field_leave(ctx, mark);
}

static void
entries_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
	       void *dest)
{
	struct field_entries *entries = dest;
	size_t errors = ctx->diags->errors;
	char *items, *at;

	if (!want_map(ctx, field, node))
		return;
	if (ctx->overriding && !ctx->shape_only) {
		override_entries(ctx, field, node, entries);
		return;
	}
	at = items = field_alloc(ctx, node, node->count, field->table->size);
	if (!items)
		return;
	for (const struct yaml_node *child = node->first; child; child = child->next) {
		decode_entry(ctx, field, child, at);
		at += field->table->size;
	}
	if (ctx->diags->errors == errors)
		*entries = (struct field_entries){.items = items, .count = node->count};
}

const struct field_type field_entries = {.name = "mapping by name",
					 .size = sizeof(struct field_entries),
					 .decode = entries_decode,
					 .expect = expect_map};

/* ---- lists of structs ---- */

static void
sections_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
		void *dest)
{
	size_t index = 0, errors = ctx->diags->errors;
	char *items;

	if (!field_want_list(ctx, field, node))
		return;
	items = field_alloc(ctx, node, node->count, field->table->size);
	if (!items)
		return;
	for (const struct yaml_node *child = node->first; child; child = child->next, index++) {
		size_t mark = enter_item(ctx, index);

		fields_init(ctx, field->table, items + index * field->table->size);
		if (child->kind == YAML_NULL)
			field_error(ctx, child, "expected a mapping (key: value); found nothing");
		fields_decode(ctx, field->table, child, items + index * field->table->size);
		field_leave(ctx, mark);
	}
	if (ctx->diags->errors == errors)
		*(struct field_sections *)dest =
			(struct field_sections){.items = items, .count = node->count};
}

static void
sections_expect(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	expect_list(field, "mappings", buffer);
}

const struct field_type field_sections = {.name = "list of mappings",
					  .size = sizeof(struct field_sections),
					  .decode = sections_decode,
					  .expect = sections_expect};
