#include "core/fields.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/suggest.h"

/* ---- places and messages ---- */

struct diag_pos
field_pos(const struct field_ctx *ctx, const struct yaml_node *node)
{
	return (struct diag_pos){.file = ctx->file, .line = node->line, .column = node->column};
}

struct diag_pos
field_key_pos(const struct field_ctx *ctx, const struct yaml_node *node)
{
	return (struct diag_pos){
		.file = ctx->file, .line = node->key_line, .column = node->key_column};
}

size_t
field_enter(struct field_ctx *ctx, const char *key)
{
	size_t mark = ctx->path_length;
	int added =
		snprintf(ctx->path + mark, sizeof(ctx->path) - mark, "%s%s", mark ? "." : "", key);

	ctx->path_length += added > 0 ? (size_t)added : 0;
	if (ctx->path_length >= sizeof(ctx->path))
		ctx->path_length = sizeof(ctx->path) - 1;
	return mark;
}

void
field_leave(struct field_ctx *ctx, size_t mark)
{
	ctx->path_length = mark;
	ctx->path[mark] = '\0';
}

void
field_error(struct field_ctx *ctx, const struct yaml_node *node, const char *format, ...)
{
	struct diag_pos pos = field_pos(ctx, node);
	char message[DIAG_LINE_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	diag_error(ctx->diags, &pos, "%s%s%s", ctx->path, *ctx->path ? ": " : "", message);
}

void
field_refuse(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
	     const char *detail)
{
	char expected[FIELD_TEXT_BYTES], found[YAML_FOUND_BYTES];
	const char *near = NULL;

	field->type->expect(field, expected);
	yaml_found(node, found);
	if (field->flags & FIELD_SECRET && node->kind == YAML_SCALAR)
		snprintf(found, sizeof(found), "*** (it is secret)");
	else if (field->words && node->kind == YAML_SCALAR)
		near = suggest_from(node->text, field->words);
	field_error(ctx, node, "expected %s; found %s%s%s%s%s%s%s", expected, found,
		    detail ? " (" : "", detail ? detail : "", detail ? ")" : "",
		    near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	if (field->flags & FIELD_SECRET)
		diag_hide(ctx->diags);
}

bool
field_want_scalar(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node)
{
	if (node->kind == YAML_SCALAR)
		return true;
	field_refuse(ctx, field, node, NULL);
	return false;
}

bool
field_want_list(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node)
{
	char detail[64];

	if (node->kind != YAML_LIST && !(node->kind == YAML_NULL && field->min <= 0)) {
		field_refuse(ctx, field, node,
			     node->kind == YAML_SCALAR ? "a list is written [a, b]" : NULL);
		return false;
	}
	if ((int64_t)node->count >= field->min && (int64_t)node->count <= field->max)
		return true;
	snprintf(detail, sizeof(detail), "with %zu entries", node->count);
	field_refuse(ctx, field, node, detail);
	return false;
}

void *
field_alloc(struct field_ctx *ctx, const struct yaml_node *node, size_t count, size_t bytes)
{
	void *memory = arena_array(ctx->arena, count, bytes);

	if (!memory)
		field_error(ctx, node, "out of memory");
	return memory;
}

const char *
field_keep(struct field_ctx *ctx, const struct yaml_node *node, const char *text)
{
	const char *copy = arena_strdup(ctx->arena, text);

	if (!copy)
		field_error(ctx, node, "out of memory");
	return copy;
}

/* ---- defaults ---- */

static void
init_field(struct field_ctx *ctx, const struct field *field, void *dest)
{
	struct yaml_node node = {.kind = YAML_SCALAR, .text = field->fallback};

	if (field->type->init)
		field->type->init(ctx, field, dest);
	else if (field->fallback)
		field->type->decode(ctx, field, &node, dest);
}

void
fields_init(struct field_ctx *ctx, const struct field_table *table, void *dest)
{
	memset(dest, 0, table->size);
	for (size_t i = 0; i < table->count; i++) {
		const struct field *field = &table->fields[i];
		size_t mark = field_enter(ctx, field->key);

		init_field(ctx, field, (char *)dest + field->offset);
		field_leave(ctx, mark);
	}
}

/* ---- decoding ---- */

static const struct field *
find_key(const struct field_table *table, const char *key, size_t length)
{
	for (size_t i = 0; i < table->count; i++)
		if (strlen(table->fields[i].key) == length &&
		    !strncmp(table->fields[i].key, key, length))
			return &table->fields[i];
	return NULL;
}

static bool
may_set(const struct field_ctx *ctx, const struct field *field)
{
	return !ctx->overriding || ctx->path_length > ctx->root_length ||
	       field->flags & FIELD_OVERRIDE;
}

/* "a, b, c" of the keys that may be there, cut where there are many. */
static void
list_keys(struct field_ctx *ctx, const struct field_table *table, char *text, size_t size)
{
	size_t used = 0;

	*text = '\0';
	for (size_t i = 0; i < table->count; i++) {
		const char *key = table->fields[i].key;

		if (!may_set(ctx, &table->fields[i]))
			continue;
		if (used + strlen(key) + 8 > size) {
			snprintf(text + used, size - used, ", …");
			return;
		}
		used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "", key);
	}
}

static void
unknown_key(struct field_ctx *ctx, const struct field_table *table, const struct yaml_node *node)
{
	struct diag_pos pos = field_key_pos(ctx, node);
	char expected[256];
	struct suggest suggest;

	list_keys(ctx, table, expected, sizeof(expected));
	suggest_start(&suggest, node->key);
	for (size_t i = 0; i < table->count; i++)
		if (may_set(ctx, &table->fields[i]))
			suggest_offer(&suggest, table->fields[i].key);
	diag_error(ctx->diags, &pos, "unknown key \"%.64s\"%s%s%s%s%s", node->key,
		   *ctx->path ? " in " : "", ctx->path,
		   suggest.best ? "; did you mean \"" : "; expected one of ",
		   suggest.best ? suggest.best : expected, suggest.best ? "\"?" : "");
}

static void
note_origin(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node)
{
	struct field_origin *origin;

	if (!ctx->origins || field->type == &field_section)
		return;
	origin = field_alloc(ctx, node, 1, sizeof(*origin));
	if (!origin)
		return;
	origin->path = field_keep(
		ctx, node, ctx->path + ctx->root_length + (ctx->path[ctx->root_length] == '.'));
	origin->pos = field_pos(ctx, node);
	origin->pos.file = *ctx->origins && !strcmp((*ctx->origins)->pos.file, ctx->file)
				   ? (*ctx->origins)->pos.file
				   : field_keep(ctx, node, ctx->file);
	origin->next = *ctx->origins;
	if (origin->path && origin->pos.file)
		*ctx->origins = origin;
}

void
field_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
	     void *dest)
{
	size_t errors = ctx->diags->errors;

	field->type->decode(ctx, field, node, dest);
	if (ctx->diags->errors == errors)
		note_origin(ctx, field, node);
}

static void
decode_key(struct field_ctx *ctx, const struct field_table *table, const struct yaml_node *node,
	   void *dest)
{
	const struct field *field = find_key(table, node->key, strlen(node->key));
	size_t mark;

	if (field && !may_set(ctx, field)) {
		struct diag_pos pos = field_key_pos(ctx, node);

		diag_error(ctx->diags, &pos,
			   "%s: \"%s\" belongs to the plugin's manifest and "
			   "cannot be overridden; expected a key that plugd.yaml may set",
			   ctx->path, node->key);
		return;
	}
	if (!field) {
		unknown_key(ctx, table, node);
		return;
	}
	mark = field_enter(ctx, field->key);
	field_decode(ctx, field, node, (char *)dest + field->offset);
	field_leave(ctx, mark);
}

static void
check_required(struct field_ctx *ctx, const struct field_table *table, const struct yaml_node *node)
{
	char expected[FIELD_TEXT_BYTES];

	for (size_t i = 0; i < table->count && !ctx->overriding; i++) {
		const struct field *field = &table->fields[i];

		if (!(field->flags & FIELD_REQUIRED) || yaml_get(node, field->key) ||
		    (ctx->implied && !strcmp(ctx->implied, field->key)))
			continue;
		field->type->expect(field, expected);
		field_error(ctx, node, "missing key \"%s\": expected %s", field->key, expected);
	}
}

void
fields_decode(struct field_ctx *ctx, const struct field_table *table, const struct yaml_node *node,
	      void *dest)
{
	char found[YAML_FOUND_BYTES];
	size_t others = ctx->diags->errors;

	if (node->kind != YAML_MAP && node->kind != YAML_NULL) {
		yaml_found(node, found);
		field_error(ctx, node, "expected a mapping (key: value); found %s", found);
		return;
	}
	for (const struct yaml_node *child = node->first; child; child = child->next)
		decode_key(ctx, table, child, dest);
	check_required(ctx, table, node);
	if (table->check && ctx->diags->errors == others)
		table->check(ctx, node, dest);
}

const struct field *
fields_find(const struct field_table *table, const char *path)
{
	size_t length = strcspn(path, ".");
	const struct field *field = find_key(table, path, length);

	if (!field || !path[length])
		return field;
	return field->type == &field_section ? fields_find(field->table, path + length + 1) : NULL;
}

const struct diag_pos *
fields_origin(const struct field_origin *origins, const char *path)
{
	for (; origins; origins = origins->next)
		if (!strcmp(origins->path, path))
			return &origins->pos;
	return NULL;
}
