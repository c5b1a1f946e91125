#include "core/metrics_setting.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the value ---- */

static bool
is_port(const char *text)
{
	size_t length = strlen(text);

	return length && length <= 5 && strspn(text, "0123456789") == length && atoi(text) <= 65535;
}

/* In numbers, as the plugin wants it: no name server is asked where to listen. */
static bool
is_address(const char *text)
{
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN + 2], bytes[sizeof(struct in6_addr)];
	size_t length = colon ? (size_t)(colon - text) : 0;

	if (!length || length >= sizeof(host) || !is_port(colon + 1))
		return false;
	memcpy(host, text, length);
	host[length] = '\0';
	if (*host != '[')
		return inet_pton(AF_INET, host, bytes) == 1;
	if (host[length - 1] != ']')
		return false;
	host[length - 1] = '\0';
	return inet_pton(AF_INET6, host + 1, bytes) == 1;
}

static void
metrics_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
	       void *dest)
{
	struct settings_metrics value = {.on = true};

	if (!field_want_scalar(ctx, field, node))
		return;
	if (is_address(node->text)) {
		value.listen = field_keep(ctx, node, node->text);
	} else if (!node->quoted && !strcmp(node->text, "false")) {
		value.on = false;
	} else if (node->quoted || strcmp(node->text, "true") != 0) {
		field_refuse(ctx, field, node, NULL);
		return;
	}
	*(struct settings_metrics *)dest = value;
}

static void
metrics_expect(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	(void)field;
	snprintf(buffer, FIELD_TEXT_BYTES,
		 "true, false, or ADDRESS:PORT in numbers, such as 127.0.0.1:9464 or "
		 "\"[::1]:9464\"");
}

const struct field_type field_metrics = {.name = "bool or address",
					 .size = sizeof(struct settings_metrics),
					 .decode = metrics_decode,
					 .expect = metrics_expect};

/* ---- laid over the manifest ---- */

/* A mapping of `key` with copies of the children of `from` (may be NULL), but not of the child
 * `without`. */
static struct yaml_node *
copy_map(struct field_ctx *ctx, const struct yaml_node *from, const struct yaml_node *at,
	 const char *key, const char *without)
{
	struct yaml_node *map = field_alloc(ctx, at, 1, sizeof(*map)), *copy;
	const struct yaml_node **tail;

	if (!map)
		return NULL;
	*map = from ? *from : *at;
	map->kind = YAML_MAP;
	map->key = key;
	map->text = NULL;
	map->first = map->next = NULL;
	map->count = 0;
	tail = &map->first;
	for (const struct yaml_node *child = from ? from->first : NULL; child;
	     child = child->next) {
		if (!strcmp(child->key, without))
			continue;
		copy = field_alloc(ctx, at, 1, sizeof(*copy));
		if (!copy)
			return NULL;
		*copy = *child;
		copy->next = NULL;
		*tail = copy;
		tail = &copy->next;
		map->count++;
	}
	return map;
}

static void
put_first(struct yaml_node *map, struct yaml_node *child)
{
	child->next = map->first;
	map->first = child;
	map->count++;
}

/* map.section.key = text, at the place of `at`.  NULL: out of memory. */
static struct yaml_node *
with_value(struct field_ctx *ctx, const struct yaml_node *map, const struct yaml_node *at,
	   const char *section, const char *key, const char *text)
{
	const struct yaml_node *old = map ? yaml_get(map, section) : NULL;
	struct yaml_node *whole = copy_map(ctx, map, at, METRICS_PLUGIN, section);
	struct yaml_node *part = copy_map(ctx, old, at, section, key);
	struct yaml_node *leaf = field_alloc(ctx, at, 1, sizeof(*leaf));

	if (!whole || !part || !leaf)
		return NULL;
	*leaf = (struct yaml_node){.kind = YAML_SCALAR,
				   .line = at->line,
				   .column = at->column,
				   .text = text,
				   .key = key,
				   .key_line = at->key_line,
				   .key_column = at->key_column};
	put_first(part, leaf);
	put_first(whole, part);
	return whole;
}

static const struct yaml_node *
said(const struct yaml_node *map, const char *section, const char *key)
{
	const struct yaml_node *part = map ? yaml_get(map, section) : NULL;

	return part ? yaml_get(part, key) : NULL;
}

static bool
contradicts(struct field_ctx *ctx, const struct settings_metrics *metrics,
	    const struct yaml_node *map, const struct yaml_node *at)
{
	const struct yaml_node *autostart = said(map, "run", "autostart");

	if (metrics->listen && said(map, "config", "listen"))
		field_error(ctx, at,
			    "metrics: plugins.metrics.config.listen says where to listen, too; "
			    "expected one of the two, such as metrics: true");
	else if (autostart && !strcmp(autostart->text, "false"))
		field_error(ctx, at,
			    "metrics: plugins.metrics.run.autostart is false; expected that it is "
			    "left out, or metrics: false");
	else
		return false;
	return true;
}

const struct yaml_node *
metrics_setting_lay_over(struct field_ctx *ctx, const struct yaml_node *at,
			 const struct settings_metrics *metrics, const struct yaml_node *more)
{
	struct yaml_node *map;

	if (contradicts(ctx, metrics, more, at))
		return NULL;
	map = with_value(ctx, more, at, "run", "autostart", "true");
	if (map && metrics->listen)
		map = with_value(ctx, map, at, "config", "listen", metrics->listen);
	return map;
}
