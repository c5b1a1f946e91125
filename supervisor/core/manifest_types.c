#include "core/manifest_types.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/manifest.h"

/* ---- version ---- */

static void
version_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
	       void *dest)
{
	struct manifest_version version;
	char why[SEMVER_ERR_BYTES];

	if (!field_want_scalar(ctx, field, node))
		return;
	if (!semver_parse(node->text, &version.number, why)) {
		field_refuse(ctx, field, node, why);
		return;
	}
	version.text = field_keep(ctx, node, node->text);
	if (version.text)
		*(struct manifest_version *)dest = version;
}

static void
version_expect(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	(void)field;
	snprintf(buffer, FIELD_TEXT_BYTES, "a semantic version such as 1.2.0");
}

const struct field_type field_version = {.name = "version",
					 .size = sizeof(struct manifest_version),
					 .decode = version_decode,
					 .expect = version_expect};

/* ---- priority ---- */

static const struct {
	const char *word;
	int64_t value;
} priorities[] = {{"low", 250}, {"normal", 500}, {"high", 750}, {"critical", 999}};

static void
priority_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
		void *dest)
{
	char *end;
	long value;

	if (!field_want_scalar(ctx, field, node))
		return;
	for (size_t i = 0; i < sizeof(priorities) / sizeof(priorities[0]); i++) {
		if (!strcmp(node->text, priorities[i].word)) {
			*(int64_t *)dest = priorities[i].value;
			return;
		}
	}
	value = strtol(node->text, &end, 10);
	if (node->quoted || *end || !isdigit((unsigned char)*node->text) || value > 999)
		field_refuse(ctx, field, node, NULL);
	else
		*(int64_t *)dest = value;
}

static void
priority_expect(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	(void)field;
	snprintf(buffer, FIELD_TEXT_BYTES,
		 "low (250), normal (500), high (750), critical (999) or a "
		 "whole number from 0 to 999");
}

const struct field_type field_priority = {.name = "priority",
					  .size = sizeof(int64_t),
					  .decode = priority_decode,
					  .expect = priority_expect};

/* ---- version ranges ---- */

static void
host_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
	    void *dest)
{
	struct manifest_host host;
	char why[SEMVER_ERR_BYTES];

	if (!field_want_scalar(ctx, field, node))
		return;
	if (!semver_range_parse(node->text, &host.range, why)) {
		field_refuse(ctx, field, node, why);
		return;
	}
	host.text = field_keep(ctx, node, node->text);
	if (host.text)
		*(struct manifest_host *)dest = host;
}

static void
host_expect(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	(void)field;
	snprintf(buffer, FIELD_TEXT_BYTES,
		 "a version range such as \">=0.1\" or \"^1.2, !=1.2.7\"");
}

const struct field_type field_host = {.name = "version range",
				      .size = sizeof(struct manifest_host),
				      .decode = host_decode,
				      .expect = host_expect};

/* ---- requirements ---- */

static void
item_error(struct field_ctx *ctx, const struct yaml_node *node, const char *why)
{
	char found[YAML_FOUND_BYTES];

	yaml_found(node, found);
	field_error(ctx, node,
		    "expected a plugin and a version range, such as \"tokenizer >=1.0 <2\";"
		    " found %s%s%s%s",
		    found, why ? " (" : "", why ? why : "", why ? ")" : "");
}

static void
decode_requirement(struct field_ctx *ctx, const struct yaml_node *node,
		   struct manifest_requirement *requirement)
{
	const char *text = node->text, *range;
	char why[SEMVER_ERR_BYTES] = "", *name;

	if (node->kind != YAML_SCALAR) {
		item_error(ctx, node, NULL);
		return;
	}
	range = text + strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");
	name = arena_strndup(ctx->arena, text, (size_t)(range - text));
	requirement->name = name;
	requirement->text = field_keep(ctx, node, text);
	requirement->pos = field_pos(ctx, node);
	requirement->pos.file = field_keep(ctx, node, ctx->file);
	range += strspn(range, " \t");
	if (!name)
		field_error(ctx, node, "out of memory");
	else if (!field_plugin_names.ok(name) ||
		 (*range && !semver_range_parse(range, &requirement->range, why)))
		item_error(ctx, node, *why ? why : NULL);
}

static void
requirements_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
		    void *dest)
{
	struct manifest_requirement *items;
	size_t count = 0, errors = ctx->diags->errors;

	if (!field_want_list(ctx, field, node))
		return;
	items = field_alloc(ctx, node, node->count, sizeof(*items));
	if (!items)
		return;
	for (const struct yaml_node *child = node->first; child; child = child->next) {
		decode_requirement(ctx, child, &items[count]);
		for (size_t i = 0; items[count].name && i < count; i++)
			if (items[i].name && !strcmp(items[i].name, items[count].name))
				field_error(ctx, child, "\"%s\" is listed twice; expected it once",
					    items[i].name);
		count++;
	}
	if (ctx->diags->errors == errors)
		*(struct manifest_requirements *)dest =
			(struct manifest_requirements){.items = items, .count = count};
}

static void
requirements_expect(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	(void)field;
	snprintf(buffer, FIELD_TEXT_BYTES, "a list such as [\"tokenizer >=1.0 <2\"]");
}

const struct field_type field_requirements = {.name = "list of requirements",
					      .size = sizeof(struct manifest_requirements),
					      .decode = requirements_decode,
					      .expect = requirements_expect};

/* ---- provides: a list, or a mapping of two lists ---- */

static const struct field provides_fields[] = {
	FIELD(struct manifest_provides, "shared", shared, strings, .max = 64,
	      .names = &field_identifiers, .help = "Capabilities that other plugins may have too."),
	FIELD(struct manifest_provides, "exclusive", exclusive, strings, .max = 64,
	      .names = &field_identifiers,
	      .help = "Capabilities that one plugin at a time may have."),
};

static const struct field_table provides_table =
	FIELD_TABLE(struct manifest_provides, provides_fields);

static void
provides_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
		void *dest)
{
	struct manifest_provides *provides = dest;

	if (node->kind == YAML_LIST)
		field_strings.decode(ctx, &provides_fields[0], node, &provides->shared);
	else if (node->kind == YAML_SCALAR)
		field_refuse(ctx, field, node, NULL);
	else
		fields_decode(ctx, &provides_table, node, dest);
}

static void
provides_expect(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	(void)field;
	snprintf(buffer, FIELD_TEXT_BYTES,
		 "a list of capabilities, or { shared: [..], exclusive: [..] }");
}

const struct field_type field_provides = {.name = "capabilities",
					  .size = sizeof(struct manifest_provides),
					  .decode = provides_decode,
					  .expect = provides_expect};

/* ---- dates and addresses ---- */

/* "2025-01-31", or the same with a time behind it: "2025-01-31T12:00:00Z". */
static bool
is_date(const char *text)
{
	static const char form[] = "dddd-dd-dd";
	static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int month, day;

	for (size_t i = 0; form[i]; i++)
		if (form[i] == 'd' ? !isdigit((unsigned char)text[i]) : text[i] != form[i])
			return false;
	month = (text[5] - '0') * 10 + text[6] - '0';
	day = (text[8] - '0') * 10 + text[9] - '0';
	if (month < 1 || month > 12 || day < 1 || day > days[month - 1])
		return false;
	text += sizeof(form) - 1;
	return !*text || ((*text == 'T' || *text == ' ') && isdigit((unsigned char)text[1]) &&
			  strlen(text) <= 40 && !text[1 + strspn(text + 1, "0123456789:.+-Z")]);
}

static void
date_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
	    void *dest)
{
	const char *text;

	if (!field_want_scalar(ctx, field, node))
		return;
	if (!is_date(node->text)) {
		field_refuse(ctx, field, node, NULL);
		return;
	}
	text = field_keep(ctx, node, node->text);
	if (text)
		*(const char **)dest = text;
}

static void
date_expect(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	(void)field;
	snprintf(buffer, FIELD_TEXT_BYTES, "a date such as 2025-01-31 or 2025-01-31T12:00:00Z");
}

const struct field_type field_date = {
	.name = "date", .size = sizeof(char *), .decode = date_decode, .expect = date_expect};

static bool
is_url(const char *text)
{
	size_t scheme = !strncmp(text, "https://", 8) ? 8 : !strncmp(text, "http://", 7) ? 7 : 0;

	return scheme && text[scheme] && strlen(text) <= 2048 && !strpbrk(text, " \t\n\"<>");
}

static void
url_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
	   void *dest)
{
	const char *text;

	if (!field_want_scalar(ctx, field, node))
		return;
	if (!is_url(node->text)) {
		field_refuse(ctx, field, node, NULL);
		return;
	}
	text = field_keep(ctx, node, node->text);
	if (text)
		*(const char **)dest = text;
}

static void
url_expect(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	(void)field;
	snprintf(buffer, FIELD_TEXT_BYTES, "an address that begins with https:// or http://");
}

const struct field_type field_url = {
	.name = "URL", .size = sizeof(char *), .decode = url_decode, .expect = url_expect};

/* ---- names ---- */

static bool
is_program(const char *text)
{
	return *text && strlen(text) < 4096 && !strchr(text, '\n');
}

static bool
is_env_name(const char *text)
{
	size_t length = 0;

	while (isalnum((unsigned char)text[length]) || text[length] == '_')
		length++;
	return length && length <= 255 && !text[length] && !isdigit((unsigned char)text[0]);
}

const struct field_names field_programs = {
	.ok = is_program, .expected = "a program: a name to look for in PATH, or a path"};
const struct field_names field_env_names = {
	.ok = is_env_name, .expected = "the name of an environment variable (letters, digits, _)"};
