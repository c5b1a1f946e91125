#include "core/fields.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/units.h"

#define NS_PER_MS UINT64_C(1000000)

static const char quoted_text[] = "in quotes it is text";

/* ---- bool ---- */

static void
bool_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
	    void *dest)
{
	if (!field_want_scalar(ctx, field, node))
		return;
	if (!node->quoted && !strcmp(node->text, "true"))
		*(bool *)dest = true;
	else if (!node->quoted && !strcmp(node->text, "false"))
		*(bool *)dest = false;
	else
		field_refuse(ctx, field, node, node->quoted ? quoted_text : NULL);
}

static void
bool_expect(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	(void)field;
	snprintf(buffer, FIELD_TEXT_BYTES, "true or false");
}

const struct field_type field_bool = {
	.name = "bool", .size = sizeof(bool), .decode = bool_decode, .expect = bool_expect};

/* ---- int ---- */

/* Decimal only, and no leading zeros: 010 means eight to some and ten to others. */
static bool
is_decimal(const char *text)
{
	text += *text == '-';
	if (*text == '0')
		return text[1] == '\0';
	return *text && strspn(text, "0123456789") == strlen(text);
}

static void
int_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
	   void *dest)
{
	long long value;

	if (!field_want_scalar(ctx, field, node))
		return;
	if (node->quoted || !is_decimal(node->text)) {
		field_refuse(ctx, field, node, node->quoted ? quoted_text : NULL);
		return;
	}
	errno = 0;
	value = strtoll(node->text, NULL, 10);
	if (errno || value < field->min || value > field->max)
		field_refuse(ctx, field, node, NULL);
	else
		*(int64_t *)dest = value;
}

static void
int_expect(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	if (field->min == INT64_MIN && field->max == INT64_MAX)
		snprintf(buffer, FIELD_TEXT_BYTES, "a whole number");
	else if (field->max == INT64_MAX)
		snprintf(buffer, FIELD_TEXT_BYTES, "a whole number, at least %" PRId64, field->min);
	else if (field->min == INT64_MIN)
		snprintf(buffer, FIELD_TEXT_BYTES, "a whole number, at most %" PRId64, field->max);
	else
		snprintf(buffer, FIELD_TEXT_BYTES, "a whole number from %" PRId64 " to %" PRId64,
			 field->min, field->max);
}

const struct field_type field_int = {
	.name = "int", .size = sizeof(int64_t), .decode = int_decode, .expect = int_expect};

/* ---- float ---- */

static bool
is_float(const char *text)
{
	size_t digits;

	text += *text == '-';
	digits = strspn(text, "0123456789");
	if (!digits)
		return false;
	text += digits;
	if (*text == '.') {
		digits = strspn(++text, "0123456789");
		if (!digits)
			return false;
		text += digits;
	}
	if (*text == 'e' || *text == 'E') {
		text++;
		text += *text == '+' || *text == '-';
		digits = strspn(text, "0123456789");
		return digits && !text[digits];
	}
	return !*text;
}

static void
float_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
	     void *dest)
{
	char *end;
	double value;

	if (!field_want_scalar(ctx, field, node))
		return;
	if (node->quoted || !is_float(node->text)) {
		field_refuse(ctx, field, node, node->quoted ? quoted_text : NULL);
		return;
	}
	value = strtod(node->text, &end);
	if (*end || !isfinite(value) || value < field->min_float || value > field->max_float)
		field_refuse(ctx, field, node, NULL);
	else
		*(double *)dest = value;
}

static void
float_expect(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	bool low = isfinite(field->min_float), high = isfinite(field->max_float);

	if (low && high)
		snprintf(buffer, FIELD_TEXT_BYTES, "a number from %g to %g", field->min_float,
			 field->max_float);
	else if (low)
		snprintf(buffer, FIELD_TEXT_BYTES, "a number, at least %g", field->min_float);
	else if (high)
		snprintf(buffer, FIELD_TEXT_BYTES, "a number, at most %g", field->max_float);
	else
		snprintf(buffer, FIELD_TEXT_BYTES, "a number");
}

const struct field_type field_float = {
	.name = "float", .size = sizeof(double), .decode = float_decode, .expect = float_expect};

/* ---- text ---- */

static bool
length_fits(const struct field *field, const char *text)
{
	size_t length = strlen(text);

	return (int64_t)length >= field->min && (int64_t)length <= field->max;
}

static void
keep_text(struct field_ctx *ctx, const struct yaml_node *node, const char *text, void *dest)
{
	const char *copy = field_keep(ctx, node, text);

	if (copy)
		*(const char **)dest = copy;
}

static void
string_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
	      void *dest)
{
	char detail[64];

	if (!field_want_scalar(ctx, field, node))
		return;
	if (length_fits(field, node->text)) {
		keep_text(ctx, node, node->text, dest);
		return;
	}
	snprintf(detail, sizeof(detail), "%zu bytes", strlen(node->text));
	field_refuse(ctx, field, node, detail);
}

static void
string_expect(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	if (field->min <= 0 && field->max == INT64_MAX)
		snprintf(buffer, FIELD_TEXT_BYTES, "text");
	else if (field->min <= 1)
		snprintf(buffer, FIELD_TEXT_BYTES, "%stext of at most %" PRId64 " bytes",
			 field->min == 1 ? "non-empty " : "", field->max);
	else
		snprintf(buffer, FIELD_TEXT_BYTES, "text of %" PRId64 " to %" PRId64 " bytes",
			 field->min, field->max);
}

const struct field_type field_string = {
	.name = "string", .size = sizeof(char *), .decode = string_decode, .expect = string_expect};

static void
name_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
	    void *dest)
{
	if (!field_want_scalar(ctx, field, node))
		return;
	if (field->names->ok(node->text))
		keep_text(ctx, node, node->text, dest);
	else
		field_refuse(ctx, field, node, NULL);
}

static void
name_expect(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	snprintf(buffer, FIELD_TEXT_BYTES, "%s", field->names->expected);
}

const struct field_type field_name = {
	.name = "name", .size = sizeof(char *), .decode = name_decode, .expect = name_expect};

/* ---- paths ---- */

/* What ".." leads to is the kernel's affair: it stays. */
char *
field_complete_path(struct arena *arena, const char *base, const char *path)
{
	bool relative = *path != '/' && base;
	char *out = arena_alloc(arena, (relative ? strlen(base) : 0) + strlen(path) + 3);
	char *end = out;

	if (!out)
		return NULL;
	if (relative)
		end = stpcpy(out, base);
	else if (*path == '/')
		*end++ = '/';
	while (*path) {
		size_t length = strcspn(path, "/");

		if (length && !(length == 1 && *path == '.')) {
			if (end > out && end[-1] != '/')
				*end++ = '/';
			end = mempcpy(end, path, length);
		}
		path += length;
		path += *path == '/';
	}
	if (end == out)
		*end++ = '.';
	*end = '\0';
	return out;
}

static void
path_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
	    void *dest)
{
	char *path;

	if (!field_want_scalar(ctx, field, node))
		return;
	if (!*node->text || strlen(node->text) >= 4096) {
		field_refuse(ctx, field, node, NULL);
		return;
	}
	path = field_complete_path(ctx->arena, ctx->base_dir, node->text);
	if (path)
		*(const char **)dest = path;
	else
		field_error(ctx, node, "out of memory");
}

static void
path_expect(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	(void)field;
	snprintf(buffer, FIELD_TEXT_BYTES, "a path of at most 4095 bytes");
}

const struct field_type field_path = {
	.name = "path", .size = sizeof(char *), .decode = path_decode, .expect = path_expect};

/* ---- one of several words ---- */

static void
word_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
	    void *dest)
{
	if (!field_want_scalar(ctx, field, node))
		return;
	for (int i = 0; field->words[i]; i++) {
		if (!strcmp(field->words[i], node->text)) {
			*(int *)dest = i;
			return;
		}
	}
	field_refuse(ctx, field, node, NULL);
}

static void
word_expect(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	size_t used = (size_t)snprintf(buffer, FIELD_TEXT_BYTES, "one of");

	for (size_t i = 0; field->words[i] && used < FIELD_TEXT_BYTES; i++)
		used += (size_t)snprintf(buffer + used, FIELD_TEXT_BYTES - used, "%s %s",
					 i ? "," : "", field->words[i]);
}

const struct field_type field_word = {
	.name = "enum", .size = sizeof(int), .decode = word_decode, .expect = word_expect};

/* ---- durations and sizes ---- */

static bool
unit_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
	    enum units_err (*parse)(const char *text, uint64_t *ret), uint64_t *ret)
{
	enum units_err err;

	if (!field_want_scalar(ctx, field, node))
		return false;
	err = parse(node->text, ret);
	if (err)
		field_refuse(ctx, field, node, units_err_text(err));
	return !err;
}

static void
keep_in_range(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
	      uint64_t value, void *dest)
{
	if ((int64_t)value < field->min || (int64_t)value > field->max)
		field_refuse(ctx, field, node, NULL);
	else
		*(uint64_t *)dest = value;
}

static void
duration_ms_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
		   void *dest)
{
	uint64_t ns;

	if (!unit_decode(ctx, field, node, units_duration_ns, &ns))
		return;
	if (ns % NS_PER_MS)
		field_refuse(ctx, field, node, "whole milliseconds only");
	else
		keep_in_range(ctx, field, node, ns / NS_PER_MS, dest);
}

static void
duration_ns_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
		   void *dest)
{
	uint64_t ns;

	if (unit_decode(ctx, field, node, units_duration_ns, &ns))
		keep_in_range(ctx, field, node, ns, dest);
}

static void
size_bytes_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
		  void *dest)
{
	uint64_t bytes;

	if (unit_decode(ctx, field, node, units_size_bytes, &bytes))
		keep_in_range(ctx, field, node, bytes, dest);
}

static void
expect_range(const struct field *field, const char *what, const char *example, uint64_t factor,
	     void (*format)(uint64_t value, char *buffer, size_t size),
	     char buffer[FIELD_TEXT_BYTES])
{
	char low[UNITS_TEXT_BYTES], high[UNITS_TEXT_BYTES];

	format((uint64_t)(field->min > 0 ? field->min : 0) * factor, low, sizeof(low));
	if (field->max > INT64_MAX / (int64_t)factor || field->max == INT64_MAX) {
		snprintf(buffer, FIELD_TEXT_BYTES, "%s%s%s, such as %s", what,
			 field->min > 0 ? ", at least " : "", field->min > 0 ? low : "", example);
		return;
	}
	format((uint64_t)field->max * factor, high, sizeof(high));
	snprintf(buffer, FIELD_TEXT_BYTES, "%s from %s to %s, such as %s", what, low, high,
		 example);
}

static void
duration_ms_expect(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	expect_range(field, "a duration", "500ms, 30s or 5m", NS_PER_MS, units_format_duration,
		     buffer);
}

static void
duration_ns_expect(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	expect_range(field, "a duration", "500ms, 30s or 5m", 1, units_format_duration, buffer);
}

static void
size_bytes_expect(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	expect_range(field, "a size", "64KiB or 1GiB", 1, units_format_size, buffer);
}

const struct field_type field_duration_ms = {.name = "duration",
					     .size = sizeof(uint64_t),
					     .decode = duration_ms_decode,
					     .expect = duration_ms_expect};
const struct field_type field_duration_ns = {.name = "duration",
					     .size = sizeof(uint64_t),
					     .decode = duration_ns_decode,
					     .expect = duration_ns_expect};
const struct field_type field_size_bytes = {.name = "bytes",
					    .size = sizeof(uint64_t),
					    .decode = size_bytes_decode,
					    .expect = size_bytes_expect};

/* ---- names ---- */

static bool
is_plugin_name(const char *text)
{
	size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return length && length <= 63 && !text[length] && text[0] != '-' && text[length - 1] != '-';
}

static bool
is_identifier(const char *text)
{
	size_t length = 0;

	while (isalnum((unsigned char)text[length]) ||
	       (text[length] && strchr("_-.", text[length])))
		length++;
	return length && length <= 63 && !text[length] &&
	       (isalpha((unsigned char)text[0]) || text[0] == '_');
}

const struct field_names field_plugin_names = {
	.ok = is_plugin_name,
	.expected = "a name of at most 63 a-z, 0-9 and - (no - at either end)"};
const struct field_names field_identifiers = {
	.ok = is_identifier,
	.expected =
		"a name of at most 63 letters, digits, _ - and . that begins with a letter or _"};
