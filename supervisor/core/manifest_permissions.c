#include "core/manifest_permissions.h"

#include <stdio.h>
#include <string.h>

#include "core/manifest.h"
#include "core/suggest.h"

static const char call_key[] = "call:";

struct decoding {
	struct field_ctx *ctx;
	struct manifest_permissions permissions;
	const char **calls;
};

static size_t
count_calls(const struct yaml_node *list)
{
	size_t count = 0;

	for (const struct yaml_node *item = list->first; item; item = item->next) {
		if (item->kind == YAML_SCALAR)
			count++;
		for (const struct yaml_node *pair = item->first; pair; pair = pair->next)
			count += pair->kind == YAML_LIST ? pair->count : 1;
	}
	return count;
}

static void
refuse(struct field_ctx *ctx, const struct yaml_node *node)
{
	char found[YAML_FOUND_BYTES];
	struct suggest suggest;

	suggest_start(&suggest, node->kind == YAML_SCALAR ? node->text : "");
	suggest_offer(&suggest, "admin");
	suggest_offer(&suggest, "observe");
	yaml_found(node, found);
	field_error(ctx, node, "expected observe, admin, or \"call: NAME\"; found %s%s%s%s", found,
		    suggest.best ? "; did you mean \"" : "", suggest.best ? suggest.best : "",
		    suggest.best ? "\"?" : "");
}

static void
take_name(struct decoding *d, const struct yaml_node *node)
{
	const struct field name = {
		.key = "call", .type = &field_name, .names = &field_plugin_names};
	size_t *count = &d->permissions.call.count;
	const char **taken = &d->calls[*count];

	field_name.decode(d->ctx, &name, node, taken);
	if (!*taken)
		return;
	for (size_t i = 0; i < *count; i++)
		if (!strcmp(d->calls[i], *taken))
			field_error(d->ctx, node, "\"%s\" is listed twice; expected it once",
				    *taken);
	++*count;
}

static void
take_calls(struct decoding *d, const struct yaml_node *node)
{
	d->permissions.restricts_calls = true;
	if (node->kind != YAML_LIST) {
		take_name(d, node);
		return;
	}
	for (const struct yaml_node *item = node->first; item; item = item->next)
		take_name(d, item);
}

static void
take_scalar(struct decoding *d, const struct yaml_node *node)
{
	struct yaml_node name = *node;

	if (!strcmp(node->text, "admin")) {
		d->permissions.admin = true;
	} else if (!strcmp(node->text, "observe")) {
		d->permissions.observe = true;
	} else if (!strncmp(node->text, call_key, strlen(call_key))) { /* in quotes it is text */
		name.text += strlen(call_key);
		name.text += strspn(name.text, " ");
		take_calls(d, &name);
	} else {
		refuse(d->ctx, node);
	}
}

static void
permissions_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
		   void *dest)
{
	struct decoding d = {.ctx = ctx};
	size_t errors = ctx->diags->errors;

	if (!field_want_list(ctx, field, node))
		return;
	d.calls = field_alloc(ctx, node, count_calls(node), sizeof(*d.calls));
	if (!d.calls)
		return;
	for (const struct yaml_node *item = node->first; item; item = item->next) {
		if (item->kind == YAML_SCALAR)
			take_scalar(&d, item);
		else if (item->kind == YAML_MAP && item->count == 1 && yaml_get(item, "call"))
			take_calls(&d, item->first);
		else
			refuse(ctx, item);
	}
	d.permissions.call.items = d.calls;
	if (d.permissions.admin && d.permissions.restricts_calls)
		field_error(ctx, node,
			    "found admin, which may call every plugin, and call; expected one of "
			    "them");
	if (ctx->diags->errors == errors)
		*(struct manifest_permissions *)dest = d.permissions;
}

static void
permissions_expect(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	(void)field;
	snprintf(buffer, FIELD_TEXT_BYTES, "a list of observe, admin, \"call: NAME\"");
}

const struct field_type field_permissions = {.name = "list of permissions",
					     .size = sizeof(struct manifest_permissions),
					     .decode = permissions_decode,
					     .expect = permissions_expect};
