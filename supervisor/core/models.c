#include "core/models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json_comments.h"
#include "core/manifest.h"
#include "core/suggest.h"

#define DAY_MS      INT64_C(86400000)
#define MODELS_MAX  1024
#define SCHEMES_MAX 64
#define MEMORY_MAX  16777216 /* MB */

static bool
is_text(const char *text)
{
	return *text && strlen(text) <= 255;
}

static const struct field_names device_names = {.ok = is_text, .expected = "the name of a device"};
static const struct field_names model_names = {.ok = is_text, .expected = "the name of a model"};

/* ---- one scheme ---- */

static void
check_memory(struct field_ctx *ctx, const struct yaml_node *node, const struct model_scheme *scheme,
	     const struct field_pair *pair)
{
	char *end;
	unsigned long mb = strtoul(pair->value, &end, 10);
	struct suggest suggest;

	if (*pair->value < '0' || *pair->value > '9' || *end || mb > MEMORY_MAX)
		field_error(ctx, node,
			    "memory_mb of \"%.64s\": expected a whole number of MB from 0 to %d; "
			    "found \"%.32s\"",
			    pair->name, MEMORY_MAX, pair->value);
	if (field_strings_have(&scheme->required_devices, pair->name))
		return;
	suggest_start(&suggest, pair->name);
	for (size_t i = 0; i < scheme->required_devices.count; i++)
		suggest_offer(&suggest, scheme->required_devices.items[i]);
	field_error(ctx, node, "memory_mb: \"%.64s\" is not one of required_devices%s%s%s",
		    pair->name, suggest.best ? "; did you mean \"" : "",
		    suggest.best ? suggest.best : "", suggest.best ? "\"?" : "");
}

static void
check_scheme(struct field_ctx *ctx, const struct yaml_node *node, void *dest)
{
	struct model_scheme *scheme = dest;
	const struct yaml_node *memory = yaml_get(node, "memory_mb");

	for (size_t i = 0; i < scheme->memory_mb.count; i++)
		check_memory(ctx, memory ? memory : node, scheme, &scheme->memory_mb.items[i]);
	if (!!scheme->command.count + !!scheme->script_path + !!scheme->config.count > 1)
		field_error(ctx, node, "expected one of config, command and script_path");
}

static const struct field scheme_fields[] = {
	FIELD(struct model_scheme, "name", name, string, .min = 1, .max = 255,
	      .help = "Its name, for people."),
	FIELD(struct model_scheme, "required_devices", required_devices, strings, .max = 64,
	      .names = &device_names, .help = "Devices that must be online."),
	FIELD(struct model_scheme, "memory_mb", memory_mb, pairs, .max = 64, .names = &device_names,
	      .help = "Memory that it takes, by device."),
	FIELD(struct model_scheme, "config", config, pairs, .max = 256, .names = &field_identifiers,
	      .help = "Config keys of the plugin."),
	FIELD(struct model_scheme, "command", command, strings, .max = 64,
	      .help = "Program and arguments that serve it."),
	FIELD(struct model_scheme, "script_path", script_path, path,
	      .help = "A program without arguments that serves it.  A scheme by name may say "
		      "bat_path."),
};
static const struct field_table scheme_table =
	FIELD_TABLE(struct model_scheme, scheme_fields, .check = check_scheme);

/* ---- one model ---- */

static const struct field model_fields[] = {
	FIELD(struct model, "plugin", plugin, name, .names = &field_plugin_names,
	      .help = "Plugin that runs it."),
	FIELD(struct model, "aliases", aliases, strings, .max = 64, .names = &model_names,
	      .help = "Other names."),
	FIELD(struct model, "mode", mode, name, .names = &field_identifiers,
	      .help = "Interface that it serves, such as Chat."),
	FIELD(struct model, "port", port, int, .min = 1, .max = 65535,
	      .help = "Port of its server."),
	FIELD(struct model, "auto_start", auto_start, bool, .fallback = "false",
	      .help = "Load it together with plugd."),
	FIELD(struct model, "alive_time", alive_time_ms, duration_ms, .min = 0, .max = 365 * DAY_MS,
	      .fallback = "0s", .help = "Idle time after which it is unloaded; 0s: never."),
	FIELD(struct model, "schemes", schemes, sections, .table = &scheme_table,
	      .max = SCHEMES_MAX,
	      .help = "Ways to run it, in the order in which they are tried.  Also as members of "
		      "the model, by name."),
};
const struct field_table model_table = FIELD_TABLE(struct model, model_fields);

/* ---- schemes as members ---- */

static bool
is_scheme(const struct yaml_node *node)
{
	return node->kind == YAML_MAP && !fields_find(&model_table, node->key) &&
	       (yaml_get(node, "required_devices") || yaml_get(node, "memory_mb") ||
		yaml_get(node, "script_path") || yaml_get(node, "command"));
}

static struct yaml_node *
copy_node(struct field_ctx *ctx, const struct yaml_node *node)
{
	struct yaml_node *copy = field_alloc(ctx, node, 1, sizeof(*copy));

	if (copy) {
		*copy = *node;
		copy->next = NULL;
	}
	return copy;
}

static void
link_node(struct yaml_node *parent, struct yaml_node **last, struct yaml_node *child)
{
	if (*last)
		(*last)->next = child;
	else
		parent->first = child;
	*last = child;
	parent->count++;
}

/* What a scheme says.  Older files of this kind say bat_path where later ones say script_path. */
static bool
copy_members(struct field_ctx *ctx, struct yaml_node *item, struct yaml_node *last,
	     const struct yaml_node *member)
{
	for (const struct yaml_node *child = member->first; child; child = child->next) {
		struct yaml_node *copy = copy_node(ctx, child);

		if (!copy)
			return false;
		if (!strcmp(copy->key, "bat_path") && !yaml_get(member, "script_path"))
			copy->key = "script_path";
		link_node(item, &last, copy);
	}
	return true;
}

/* An item of `schemes`: the member, and its key as its name. */
static struct yaml_node *
item_of(struct field_ctx *ctx, const struct yaml_node *member)
{
	struct yaml_node *item = copy_node(ctx, member), *name = copy_node(ctx, member);

	if (!item || !name)
		return NULL;
	*name = (struct yaml_node){.kind = YAML_SCALAR,
				   .quoted = true,
				   .line = member->key_line,
				   .column = member->key_column,
				   .key_line = member->key_line,
				   .key_column = member->key_column,
				   .text = member->key,
				   .key = "name"};
	item->key = NULL;
	item->first = name;
	item->count = 1;
	return copy_members(ctx, item, name, member) ? item : NULL;
}

/* The model with its schemes in one list, those that are members behind those that are listed. */
static const struct yaml_node *
gather(struct field_ctx *ctx, const struct yaml_node *model)
{
	struct yaml_node *made = copy_node(ctx, model), *schemes = copy_node(ctx, model);
	struct yaml_node *last = NULL, *last_scheme = NULL;

	if (!made || !schemes)
		return NULL;
	made->first = NULL;
	made->count = 0;
	*schemes = (struct yaml_node){.kind = YAML_LIST,
				      .line = model->line,
				      .column = model->column,
				      .key = "schemes",
				      .key_line = model->key_line,
				      .key_column = model->key_column};
	for (const struct yaml_node *child = model->first; child; child = child->next) {
		bool member = is_scheme(child),
		     list = !strcmp(child->key, "schemes") && child->kind == YAML_LIST;
		struct yaml_node *copy = member ? item_of(ctx, child) : copy_node(ctx, child);

		if (!copy)
			return NULL;
		if (member)
			link_node(schemes, &last_scheme, copy);
		else if (!list)
			link_node(made, &last, copy);
		for (const struct yaml_node *item = list ? child->first : NULL; item;
		     item = item->next)
			if ((copy = copy_node(ctx, item)))
				link_node(schemes, &last_scheme, copy);
	}
	if (schemes->count)
		link_node(made, &last, schemes);
	return made;
}

/* ---- all of them ---- */

static void
decode_model(struct field_ctx *ctx, const struct yaml_node *node, struct model *model)
{
	const struct yaml_node *whole;
	struct diag_pos pos = field_key_pos(ctx, node);
	size_t mark = field_enter(ctx, node->key);

	fields_init(ctx, &model_table, model);
	model->name = field_keep(ctx, node, node->key);
	model->pos = pos;
	model->pos.file = field_keep(ctx, node, pos.file);
	if (!model_names.ok(node->key))
		diag_error(ctx->diags, &pos, "%s: expected %s", ctx->path, model_names.expected);
	whole = node->kind == YAML_MAP ? gather(ctx, node) : node;
	if (whole)
		fields_decode(ctx, &model_table, whole, model);
	field_leave(ctx, mark);
}

static void
models_decode(struct field_ctx *ctx, const struct field *field, const struct yaml_node *node,
	      void *dest)
{
	size_t errors = ctx->diags->errors, count = 0;
	struct model *items;

	if ((node->kind != YAML_MAP && node->kind != YAML_NULL) ||
	    (int64_t)node->count > field->max) {
		field_refuse(ctx, field, node, NULL);
		return;
	}
	items = field_alloc(ctx, node, node->count, sizeof(*items));
	if (!items)
		return;
	for (const struct yaml_node *child = node->first; child; child = child->next)
		decode_model(ctx, child, &items[count++]);
	if (ctx->diags->errors == errors)
		*(struct field_entries *)dest = (struct field_entries){items, count};
}

static void
models_expect(const struct field *field, char buffer[FIELD_TEXT_BYTES])
{
	snprintf(buffer, FIELD_TEXT_BYTES, "a mapping of at most %lld models",
		 (long long)field->max);
}

const struct field_type field_models = {.name = "mapping by name",
					.size = sizeof(struct field_entries),
					.decode = models_decode,
					.expect = models_expect};

/* ---- a file of their own ---- */

/* A file says by which name a model is known: by its first alias, where it has aliases. */
static void
name_by_alias(struct model *model)
{
	if (!model->aliases.count)
		return;
	model->name = model->aliases.items[0];
	model->aliases.items++;
	model->aliases.count--;
}

static void
append(struct field_ctx *ctx, const struct yaml_node *node, struct field_entries *models)
{
	static const struct field row = {.key = "models", .type = &field_models, .max = MODELS_MAX};
	struct field_entries more = {0};
	struct model *items;

	models_decode(ctx, &row, node, &more);
	if (!more.count)
		return;
	items = field_alloc(ctx, node, models->count + more.count, sizeof(*items));
	if (!items)
		return;
	if (models->count)
		memcpy(items, models->items, models->count * sizeof(*items));
	memcpy(items + models->count, more.items, more.count * sizeof(*items));
	for (size_t i = 0; i < more.count; i++)
		name_by_alias(&items[models->count + i]);
	*models = (struct field_entries){items, models->count + more.count};
}

static bool
is_group(const struct yaml_node *node)
{
	return !strcmp(node->key, "models") || !strcmp(node->key, "Local-Models");
}

/* Such files also hold settings of the server that they were written for. */
static bool
is_of_server(const struct yaml_node *node)
{
	static const char *const keys[] = {"program", "wake_on_lan", "claude_configs"};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (!strcmp(node->key, keys[i]))
			return true;
	return false;
}

static void
warn_of_server(struct field_ctx *ctx, const struct yaml_node *node)
{
	struct diag_pos pos = field_key_pos(ctx, node);

	diag_warning(ctx->diags, &pos,
		     "%s: settings of another server are not followed; plugd's own are in "
		     "plugd.yaml",
		     node->key);
}

void
models_read(struct field_ctx *ctx, const struct yaml_source *source, struct field_entries *models)
{
	char *text = arena_strndup(ctx->arena, source->text, source->length);
	struct yaml_source blanked = *source;
	struct yaml_node *rest, *last = NULL;
	const struct yaml_node *root;

	if (!text) {
		diag_error(ctx->diags, &(struct diag_pos){.file = ctx->file}, "out of memory");
		return;
	}
	blanked.text = text;
	blanked.length = json_comments_blank(text, source->length, source->file, ctx->diags);
	root = yaml_parse(&blanked, ctx->arena, ctx->diags);
	if (!root)
		return;
	if (root->kind != YAML_MAP) {
		field_error(ctx, root, "expected a mapping of models by name");
		return;
	}
	rest = copy_node(ctx, root);
	if (!rest)
		return;
	rest->first = NULL;
	rest->count = 0;
	for (const struct yaml_node *child = root->first; child; child = child->next) {
		struct yaml_node *copy;

		if (is_group(child))
			append(ctx, child, models);
		else if (is_of_server(child))
			warn_of_server(ctx, child);
		else if ((copy = copy_node(ctx, child)))
			link_node(rest, &last, copy);
	}
	append(ctx, rest, models);
}

/* ---- together ---- */

const struct model *
models_find(const struct field_entries *models, const char *name)
{
	const struct model *items = models->items;

	for (size_t i = 0; i < models->count; i++)
		if (!strcmp(items[i].name, name) || field_strings_have(&items[i].aliases, name))
			return &items[i];
	return NULL;
}

static void
check_name(struct field_ctx *ctx, const struct field_entries *models, const struct model *model,
	   const char *name)
{
	const struct model *first = models_find(models, name);

	if (first == model)
		return;
	diag_error(
		ctx->diags, &model->pos,
		"the name \"%.64s\" is one of the model \"%.64s\"; expected names and aliases that "
		"no other model has",
		name, first->name);
	diag_note(ctx->diags, &first->pos, "that model is here");
}

static void
check_port(struct field_ctx *ctx, const struct model *items, size_t at)
{
	for (size_t i = 0; items[at].port && i < at; i++)
		if (items[i].port == items[at].port) {
			diag_warning(
				ctx->diags, &items[at].pos,
				"port %lld is that of \"%.64s\", too: they cannot run together",
				(long long)items[at].port, items[i].name);
			return;
		}
}

static void
check_runnable(struct field_ctx *ctx, const struct model *model)
{
	const struct model_scheme *schemes = model->schemes.items;

	if (!model->plugin && !model->schemes.count)
		diag_error(ctx->diags, &model->pos,
			   "%.64s: nothing says how it is run: expected plugin, or a scheme with a "
			   "command",
			   model->name);
	for (size_t i = 0; !model->plugin && i < model->schemes.count; i++)
		if (!schemes[i].command.count && !schemes[i].script_path)
			diag_error(ctx->diags, &model->pos,
				   "%.64s: scheme %zu has no command, and no plugin runs it",
				   model->name, i + 1);
}

static bool
is_of_windows(const char *path)
{
	static const char *const ends[] = {".bat", ".cmd", ".ps1", ".exe"};
	size_t length = strlen(path);

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (length > 4 && !strcmp(path + length - 4, ends[i]))
			return true;
	return strchr(path, '\\') != NULL;
}

/* Once, however many there are: a table that came from Windows has nothing else. */
static void
check_scripts(struct field_ctx *ctx, const struct field_entries *models)
{
	const struct model *items = models->items, *first = NULL;
	const char *path = NULL;
	size_t count = 0;

	for (size_t i = 0; i < models->count; i++) {
		const struct model_scheme *schemes = items[i].schemes.items;

		for (size_t j = 0; j < items[i].schemes.count; j++)
			if (schemes[j].script_path && is_of_windows(schemes[j].script_path) &&
			    !count++) {
				first = &items[i];
				path = schemes[j].script_path;
			}
	}
	if (first)
		diag_warning(
			ctx->diags, &first->pos,
			"%.64s: script_path \"%.255s\" is a path or script of Windows (%zu in "
			"all): it cannot run here; expected one of this host, such as run/x.sh",
			first->name, path, count);
}

void
models_check(struct field_ctx *ctx, const struct field_entries *models)
{
	const struct model *items = models->items;

	check_scripts(ctx, models);
	for (size_t i = 0; i < models->count; i++) {
		check_name(ctx, models, &items[i], items[i].name);
		for (size_t j = 0; j < items[i].aliases.count; j++)
			check_name(ctx, models, &items[i], items[i].aliases.items[j]);
		check_port(ctx, items, i);
		check_runnable(ctx, &items[i]);
	}
	if (models->count > MODELS_MAX)
		diag_error(ctx->diags, &items[MODELS_MAX].pos,
			   "%zu models; at most %d are possible", models->count, MODELS_MAX);
	else if (models->count)
		diag_warning(ctx->diags, &items[0].pos,
			     "the model table is shown by plugctl models; plugd does not start, "
			     "place or "
			     "unload models by it yet");
}
