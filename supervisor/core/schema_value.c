#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/schema.h"

static const char *
join(struct arena *arena, const struct field_strings *list)
{
	size_t bytes = 1;
	char *text, *end;

	for (size_t i = 0; i < list->count; i++)
		bytes += strlen(list->items[i]) + 2;
	end = text = arena_alloc(arena, bytes);
	if (!text)
		return NULL;
	for (size_t i = 0; i < list->count; i++) {
		end = i ? stpcpy(end, ", ") : end;
		end = stpcpy(end, list->items[i]);
	}
	return text;
}

/* 0.1 stays 0.1: the fewest digits that read back as the same number. */
static const char *
format_float(struct arena *arena, double number)
{
	char text[40];

	for (int digits = 6; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, number);
		if (strtod(text, NULL) == number)
			break;
	}
	return arena_strdup(arena, text);
}

static const char *
canonical_text(struct arena *arena, const struct schema_key *key, const struct schema_value *value)
{
	switch (key->type) {
	case SCHEMA_BOOL:
		return value->boolean ? "true" : "false";
	case SCHEMA_INT:
		return arena_printf(arena, "%" PRId64, value->integer);
	case SCHEMA_FLOAT:
		return format_float(arena, value->number);
	case SCHEMA_ENUM:
		return key->rule.words[value->word];
	case SCHEMA_DURATION:
		return arena_printf(arena, "%" PRIu64, value->duration_ns);
	case SCHEMA_BYTES:
		return arena_printf(arena, "%" PRIu64, value->bytes);
	case SCHEMA_LIST:
		return join(arena, &value->list);
	default:
		return value->string;
	}
}

bool
schema_decode(struct field_ctx *ctx, const struct schema_key *key, const struct yaml_node *node,
	      struct schema_value *ret)
{
	struct schema_value value = {.is_set = true};
	size_t errors = ctx->diags->errors;

	key->rule.type->decode(ctx, &key->rule, node, &value.integer);
	if (ctx->diags->errors != errors)
		return false;
	value.text = canonical_text(ctx->arena, key, &value);
	if (!value.text) {
		field_error(ctx, node, "out of memory");
		return false;
	}
	*ret = value;
	return true;
}

/* "a,b" as the nodes of a list; blanks around the commas go, an empty text is an empty list. */
static const struct yaml_node *
split_list(struct field_ctx *ctx, const char *text, struct yaml_node *list)
{
	const struct yaml_node **tail = &list->first;

	list->kind = YAML_LIST;
	if (!text[strspn(text, " ")])
		return list;
	for (;;) {
		size_t length = strcspn(text, ","), end = length;
		struct yaml_node *item = field_alloc(ctx, list, 1, sizeof(*item));

		if (!item)
			return NULL;
		while (end && text[end - 1] == ' ')
			end--;
		while (end && *text == ' ')
			text++, end--, length--;
		item->kind = YAML_SCALAR;
		item->text = arena_strndup(ctx->arena, text, end);
		if (!item->text)
			return NULL;
		*tail = item;
		tail = &item->next;
		list->count++;
		if (!text[length])
			return list;
		text += length + 1;
	}
}

bool
schema_decode_text(struct field_ctx *ctx, const struct schema_key *key, const char *text,
		   struct schema_value *ret)
{
	struct yaml_node own = {.kind = YAML_SCALAR, .text = text};
	const struct yaml_node *node = &own;

	if (key->type == SCHEMA_LIST && *text == '[') {
		struct yaml_source source = {
			.file = ctx->file, .text = text, .length = strlen(text)};

		node = yaml_parse(&source, ctx->arena, ctx->diags);
	} else if (key->type == SCHEMA_LIST) {
		node = split_list(ctx, text, &own);
	}
	return node && schema_decode(ctx, key, node, ret);
}
