#include "core/schema.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/suggest.h"

/* One row a type: its name, the decoder of its values, whether min and max apply to it. */
static const struct {
	const char *name;
	const struct field_type *decoder;
	bool has_limits;
} types[SCHEMA_TYPE_COUNT] = {
	[SCHEMA_BOOL] = {"bool", &field_bool, false},
	[SCHEMA_INT] = {"int", &field_int, true},
	[SCHEMA_FLOAT] = {"float", &field_float, true},
	[SCHEMA_STRING] = {"string", &field_string, true},
	[SCHEMA_ENUM] = {"enum", &field_word, false},
	[SCHEMA_PATH] = {"path", &field_path, false},
	[SCHEMA_DURATION] = {"duration", &field_duration_ns, true},
	[SCHEMA_BYTES] = {"bytes", &field_size_bytes, true},
	[SCHEMA_LIST] = {"list", &field_strings, true},
};

const char *const schema_type_words[] = {"bool", "int",      "float", "string", "enum",
					 "path", "duration", "bytes", "list",   NULL};

/* ---- the declaration ---- */

/* Values whose meaning depends on `type`: kept as they are until all keys were read. */
static void
raw_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
	   void *dest)
{
	if (node->kind == YAML_NULL || node->kind == YAML_MAP)
		field_refuse(ctx, field, node, NULL);
	else
		*(const struct yaml_node **)dest = node;
}

static void
raw_expect(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	(void)field;
	snprintf(buffer, FIELD_TEXT_BYTES, "a value of the key's type");
}

static const struct field_type field_raw = {.name = "of the key's type",
					    .size = sizeof(struct yaml_node *),
					    .decode = raw_decode,
					    .expect = raw_expect};

struct declaration {
	int type;
	const struct yaml_node *fallback, *min, *max;
	struct field_strings values;
	bool required, secret, live;
	const char *description;
};

static const struct field declaration_fields[] = {
	FIELD(struct declaration, "type", type, word, .words = schema_type_words,
	      .flags = FIELD_REQUIRED, .help = "What a value may be."),
	FIELD(struct declaration, "default", fallback, raw,
	      .help = "The value when nothing else sets one."),
	FIELD(struct declaration, "min", min, raw,
	      .help = "Least value; of a string its bytes, of a list its entries."),
	FIELD(struct declaration, "max", max, raw, .help = "Greatest value, counted like min."),
	FIELD(struct declaration, "values", values, strings, .min = 1, .max = 256,
	      .help = "The words of an enum."),
	FIELD(struct declaration, "required", required, bool, .fallback = "false",
	      .help = "The plugin does not start until something sets the key."),
	FIELD(struct declaration, "secret", secret, bool, .fallback = "false",
	      .help = "The value is never shown or logged."),
	FIELD(struct declaration, "live", live, bool, .fallback = "false",
	      .help = "The plugin takes a new value while it runs; without, a new value comes with "
		      "a "
		      "hot reload."),
	FIELD(struct declaration, "description", description, string, .max = 4096,
	      .help = "One sentence for people."),
};

const struct field_table schema_key_table = FIELD_TABLE(struct declaration, declaration_fields);

const char *
schema_type_name(enum schema_type type)
{
	return (unsigned)type < SCHEMA_TYPE_COUNT ? types[type].name : "unknown";
}

struct schema_key *
schema_find(const struct schema *schema, const char *name)
{
	for (size_t i = 0; i < schema->count; i++)
		if (!strcmp(schema->keys[i].name, name))
			return &schema->keys[i];
	return NULL;
}

/* "a, b, c", cut where there are many. */
static void
list_keys(const struct schema *schema, char *text, size_t size)
{
	size_t used = 0;

	*text = '\0';
	for (size_t i = 0; i < schema->count; i++) {
		if (used + strlen(schema->keys[i].name) + 8 > size) {
			snprintf(text + used, size - used, ", …");
			return;
		}
		used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "",
					 schema->keys[i].name);
	}
}

void
schema_unknown_key(const struct schema *schema, struct diags *diags, const struct diag_pos *pos,
		   const char *name)
{
	struct suggest suggest;
	char expected[256];

	suggest_start(&suggest, name);
	for (size_t i = 0; i < schema->count; i++)
		suggest_offer(&suggest, schema->keys[i].name);
	list_keys(schema, expected, sizeof(expected));
	diag_error(diags, pos, "unknown config key \"%.64s\"%s%s%s", name,
		   suggest.best         ? "; did you mean \""
		   : schema->count == 0 ? "; the plugin has no config keys, expected none"
					: "; expected one of ",
		   suggest.best ? suggest.best : expected, suggest.best ? "\"?" : "");
	diag_hide(diags); /* nobody knows whether it was one */
}

/* ---- limits ---- */

/* A limit is written like a value of the type; of strings and lists it is a count. */
static void
decode_limit(struct field_ctx *ctx, const struct field *rule, const char *key,
	     const struct yaml_node *node, int64_t *ret, double *ret_float)
{
	struct field row = {.key = key,
			    .type = rule->type,
			    .min = INT64_MIN,
			    .max = INT64_MAX,
			    .min_float = -HUGE_VAL,
			    .max_float = HUGE_VAL};
	uint64_t unit = (uint64_t)*ret;
	size_t mark;

	if (!node)
		return;
	mark = field_enter(ctx, key);
	if (row.type == &field_float) {
		field_float.decode(ctx, &row, node, ret_float);
	} else if (row.type == &field_duration_ns || row.type == &field_size_bytes) {
		row.type->decode(ctx, &row, node, &unit);
		*ret = (int64_t)unit;
	} else {
		row.min = rule->type == &field_int ? INT64_MIN : 0;
		row.type = &field_int;
		field_int.decode(ctx, &row, node, ret);
	}
	field_leave(ctx, mark);
}

static void
fill_limits(struct field_ctx *ctx, const struct declaration *decl, const struct yaml_node *node,
	    struct field *rule)
{
	bool counted = rule->type != &field_int;

	rule->min = counted ? 0 : INT64_MIN;
	rule->max = INT64_MAX;
	rule->min_float = -HUGE_VAL;
	rule->max_float = HUGE_VAL;
	if ((decl->min || decl->max) && !types[decl->type].has_limits) {
		field_error(ctx, decl->min ? decl->min : decl->max,
			    "min and max do not go with type %s; expected neither",
			    types[decl->type].name);
		return;
	}
	decode_limit(ctx, rule, "min", decl->min, &rule->min, &rule->min_float);
	decode_limit(ctx, rule, "max", decl->max, &rule->max, &rule->max_float);
	if (rule->min > rule->max || rule->min_float > rule->max_float)
		field_error(ctx, decl->max ? decl->max : node,
			    "min is greater than max; expected it to be less or the same");
}

static void
fill_words(struct field_ctx *ctx, const struct declaration *decl, const struct yaml_node *node,
	   struct field *rule)
{
	const char **words;

	if (decl->type != SCHEMA_ENUM) {
		if (decl->values.count)
			field_error(ctx, yaml_get(node, "values"),
				    "values go with type enum only; expected none");
		return;
	}
	if (!decl->values.count) {
		field_error(ctx, node, "an enum needs values; expected values: [a, b, …]");
		return;
	}
	words = field_alloc(ctx, node, decl->values.count + 1, sizeof(*words));
	if (!words)
		return;
	memcpy(words, decl->values.items, decl->values.count * sizeof(*words));
	for (size_t i = 0; i < decl->values.count; i++)
		for (size_t j = 0; j < i; j++)
			if (!strcmp(words[i], words[j]))
				field_error(ctx, yaml_get(node, "values"),
					    "\"%s\" is listed twice; expected it once", words[i]);
	rule->words = words;
}

static void
fill_fallback(struct field_ctx *ctx, const struct declaration *decl, struct schema_key *key)
{
	size_t mark;

	if (!decl->fallback)
		return;
	mark = field_enter(ctx, "default");
	schema_decode(ctx, key, decl->fallback, &key->fallback);
	field_leave(ctx, mark);
	if (key->required)
		field_error(ctx, decl->fallback,
			    "a key with a default is never missing; expected \"required\" or "
			    "\"default\", not both");
}

bool
schema_declare(struct field_ctx *ctx, const struct yaml_node *node, struct schema_key *key)
{
	const struct field_origin **origins = ctx->origins;
	size_t errors = ctx->diags->errors;
	struct declaration decl;

	ctx->origins = NULL; /* a declaration sets nothing */
	fields_init(ctx, &schema_key_table, &decl);
	fields_decode(ctx, &schema_key_table, node, &decl);
	ctx->origins = origins;
	if (ctx->diags->errors != errors)
		return false;
	key->type = (enum schema_type)decl.type;
	key->required = decl.required;
	key->secret = decl.secret;
	key->live = decl.live;
	key->description = decl.description;
	key->rule = (struct field){.key = "value",
				   .type = types[decl.type].decoder,
				   .flags = decl.secret ? FIELD_SECRET : 0};
	fill_limits(ctx, &decl, node, &key->rule);
	fill_words(ctx, &decl, node, &key->rule);
	if (ctx->diags->errors == errors)
		fill_fallback(ctx, &decl, key);
	return ctx->diags->errors == errors;
}

const struct field_type *
schema_decoder(enum schema_type type)
{
	return (unsigned)type < SCHEMA_TYPE_COUNT ? types[type].decoder : NULL;
}

/* Lower case and digits, so that the name of its environment variable is plain. */
static bool
is_key_name(const char *text)
{
	size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-");

	return length && length <= 63 && !text[length] && islower((unsigned char)text[0]);
}

static void
declare(struct field_ctx *ctx, const struct schema *schema, const struct yaml_node *node,
	struct schema_key *key)
{
	struct diag_pos pos = field_key_pos(ctx, node);
	size_t errors = ctx->diags->errors;

	if (!is_key_name(node->key))
		diag_error(ctx->diags, &pos,
			   "config: expected a key of at most 63 a-z, 0-9, _ and - "
			   "that begins with a letter; found \"%.64s\"",
			   node->key);
	for (size_t i = 0; i < schema->count; i++)
		if (!suggest_distance(schema->keys[i].name, node->key))
			diag_error(ctx->diags, &pos,
				   "config: \"%s\" and \"%s\" have the same "
				   "environment variable; expected another name",
				   schema->keys[i].name, node->key);
	if (!schema_declare(ctx, node, key) || ctx->diags->errors != errors)
		return;
	key->name = key->rule.key = field_keep(ctx, node, node->key);
	key->declared_at = pos;
	key->declared_at.file = field_keep(ctx, node, ctx->file);
}

static void
declare_all(struct field_ctx *ctx, const struct yaml_node *node, struct schema *schema)
{
	if (node->count > SCHEMA_KEYS) {
		field_error(ctx, node, "%zu keys; expected at most %d", node->count, SCHEMA_KEYS);
		return;
	}
	schema->keys = field_alloc(ctx, node, node->count, sizeof(*schema->keys));
	if (!schema->keys)
		return;
	for (const struct yaml_node *child = node->first; child; child = child->next) {
		size_t mark = field_enter(ctx, child->key), errors = ctx->diags->errors;

		declare(ctx, schema, child, &schema->keys[schema->count]);
		field_leave(ctx, mark);
		schema->count += ctx->diags->errors == errors;
	}
}

/* ---- plugd.yaml's values ---- */

/* { file: PATH } or { environment: NAME }: where the value is, for what is not to be written here.
 */
static bool
take_source(struct field_ctx *ctx, struct schema_key *key, const struct yaml_node *node)
{
	const struct yaml_node *source = node->first;
	bool is_file = source && !strcmp(source->key, "file");
	size_t mark;

	if (node->count != 1 || (!is_file && strcmp(source->key, "environment"))) {
		field_error(ctx, node,
			    "expected a value, or { file: PATH } or { environment: NAME } that say "
			    "where it is");
		return false;
	}
	mark = field_enter(ctx, source->key);
	if (source->kind != YAML_SCALAR || !*source->text)
		field_error(ctx, source, "expected %s",
			    is_file ? "the path of a file" : "the name of a variable");
	else if (is_file)
		key->configured_file = field_complete_path(ctx->arena, ctx->base_dir, source->text);
	else
		key->configured_variable = field_keep(ctx, source, source->text);
	field_leave(ctx, mark);
	return key->configured_file || key->configured_variable;
}

static void
configure_all(struct field_ctx *ctx, const struct yaml_node *node, struct schema *schema)
{
	for (const struct yaml_node *child = node->first; child; child = child->next) {
		struct schema_key *key = schema_find(schema, child->key);
		struct diag_pos pos = field_key_pos(ctx, child);
		size_t mark;

		if (!key) {
			schema_unknown_key(schema, ctx->diags, &pos, child->key);
			continue;
		}
		mark = field_enter(ctx, child->key);
		if (child->kind == YAML_MAP ? take_source(ctx, key, child)
					    : schema_decode(ctx, key, child, &key->configured)) {
			key->configured_at = field_pos(ctx, child);
			key->configured_at.file = field_keep(ctx, child, ctx->file);
		}
		field_leave(ctx, mark);
	}
}

static void
config_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
	      void *dest)
{
	if (node->kind != YAML_MAP && node->kind != YAML_NULL)
		field_refuse(ctx, field, node, NULL);
	else if (!ctx->overriding)
		declare_all(ctx, node, dest);
	else if (!ctx->shape_only)
		configure_all(ctx, node, dest);
}

static void
config_expect(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	(void)field;
	snprintf(buffer, FIELD_TEXT_BYTES, "a mapping (key: declaration)");
}

const struct field_type field_schema = {.name = "config schema",
					.size = sizeof(struct schema),
					.decode = config_decode,
					.expect = config_expect};
