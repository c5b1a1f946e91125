#include "core/manifest_packages.h"

#include <stdio.h>
#include <string.h>

#include "core/distribution.h"
#include "core/manifest.h"

static void
item_error(struct field_ctx *ctx, const struct yaml_node *node, const char *why)
{
	char found[YAML_FOUND_BYTES];

	yaml_found(node, found);
	field_error(ctx, node,
		    "expected a Python package and a version range, such as \"numpy >=1.26,<3\"; "
		    "found %s%s%s%s",
		    found, why ? " (" : "", why ? why : "", why ? ")" : "");
}

static void
decode_item(struct field_ctx *ctx, const struct yaml_node *node, struct manifest_package *package)
{
	const char *text = node->text, *end = text, *range;
	char why[PEP440_ERR_BYTES] = "", *name;

	if (node->kind != YAML_SCALAR) {
		item_error(ctx, node, NULL);
		return;
	}
	while (*end && !strchr(" \t<>=!^~*,;[(@", *end))
		end++;
	range = end + strspn(end, " \t");
	name = arena_strndup(ctx->arena, text, (size_t)(end - text));
	package->name = name;
	package->text = field_keep(ctx, node, text);
	package->pos = field_pos(ctx, node);
	package->pos.file = field_keep(ctx, node, ctx->file);
	if (!name)
		field_error(ctx, node, "out of memory");
	else if (*range == '[')
		item_error(ctx, node, "extras are not looked at: name what they bring as well");
	else if (!distribution_name_ok(name) ||
		 (*range && !pep440_range_parse(range, &package->range, why)))
		item_error(ctx, node, *why ? why : NULL);
}

static bool
is_same(const struct manifest_package *left, const struct manifest_package *right)
{
	return left->name && right->name &&
	       distribution_same(left->name, strlen(left->name), right->name, strlen(right->name));
}

static void
packages_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
		void *dest)
{
	struct manifest_package *items;
	size_t count = 0, errors = ctx->diags->errors;

	if (!field_want_list(ctx, field, node))
		return;
	items = field_alloc(ctx, node, node->count, sizeof(*items));
	if (!items)
		return;
	for (const struct yaml_node *child = node->first; child; child = child->next) {
		decode_item(ctx, child, &items[count]);
		for (size_t i = 0; i < count; i++)
			if (is_same(&items[i], &items[count]))
				field_error(ctx, child, "\"%s\" is listed twice; expected it once",
					    items[i].name);
		count++;
	}
	if (ctx->diags->errors == errors)
		*(struct manifest_packages *)dest =
			(struct manifest_packages){.items = items, .count = count};
}

static void
packages_expect(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	(void)field;
	snprintf(buffer, FIELD_TEXT_BYTES, "a list such as [\"numpy >=1.26,<3\", pyyaml]");
}

const struct field_type field_packages = {.name = "list of Python packages",
					  .size = sizeof(struct manifest_packages),
					  .decode = packages_decode,
					  .expect = packages_expect};
