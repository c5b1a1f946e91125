#include <stdio.h>
#include <string.h>

#include "serve/answer.h"
#include "serve/change.h"
#include "serve/config_show.h"

#define SHOWN_BYTES  256 /* of a value in a history or a difference */
#define SHOWN_FEW    64  /* of them in one change; with more, values are cut sooner */
#define SHOWN_LITTLE 64
#define SECRET       "***"

static void
send(const struct control_ctx *ctx, Plug__ConfigResponse *body, bool more)
{
	Plug__Response response = PLUG__RESPONSE__INIT;

	response.more = more;
	response.body_case = PLUG__RESPONSE__BODY_CONFIG;
	response.config = body;
	if (control_answer(ctx->client, ctx->id, &response) == PLUG_ETOOLARGE)
		answer_request(ctx->client, ctx->id, PLUG_ETOOLARGE,
			       "it does not fit into one message");
}

/* ---- get ---- */

static size_t
item_bytes(const struct spec_config *config)
{
	return strlen(config->key) + strlen(config->shown) + strlen(config->origin) +
	       strlen(config->description) + 64;
}

static void
fill_item(Plug__ConfigItem *item, const struct spec_config *config)
{
	plug__config_item__init(item);
	item->key = (char *)config->key;
	item->type = (char *)config->type;
	item->value = (char *)config->shown;
	item->is_set = config->value != NULL;
	item->layer = (char *)config->layer;
	item->origin = (char *)config->origin;
	item->secret = config->secret;
	item->live = config->live;
	item->required = config->required;
	item->description = (char *)config->description;
}

static void
show_values(const struct control_ctx *ctx, const struct plugin *plugin, struct arena *arena)
{
	const struct spec *spec = plugin->spec;
	Plug__ConfigResponse body = PLUG__CONFIG_RESPONSE__INIT;
	size_t bytes = 0;
	MAKE_LIST(arena, Plug__ConfigItem, spec->config_count, items, pointers);

	if (!items || !pointers) {
		answer_request(ctx->client, ctx->id, PLUG_ENOMEM, NULL);
		return;
	}
	body.items = pointers;
	for (size_t i = 0; i < spec->config_count; i++) {
		if (bytes + item_bytes(&spec->config[i]) > CONTROL_BATCH_BYTES && body.n_items) {
			send(ctx, &body, true);
			body.items = pointers + i;
			body.n_items = bytes = 0;
		}
		bytes += item_bytes(&spec->config[i]);
		fill_item(&items[i], &spec->config[i]);
		pointers[i] = &items[i];
		body.n_items++;
	}
	send(ctx, &body, false);
}

/* ---- differences ---- */

/* What is not declared, any more, may have been a secret. */
static bool
is_secret(const struct plugin *plugin, const struct runtime_edit *edit)
{
	const struct schema_key *key =
		plugin ? schema_find(&plugin->spec->manifest->config, edit->key) : NULL;

	return edit->secret || (key && key->secret);
}

static char *
shown(struct arena *arena, const char *text, bool secret, size_t most)
{
	size_t length = strlen(text);
	char *copy;

	if (secret)
		return (char *)SECRET;
	if (length <= most)
		return arena_strdup(arena, text);
	while (most && ((unsigned char)text[most] & 0xc0) == 0x80)
		most--; /* not within a character */
	copy = arena_printf(arena, "%.*s…", (int)most, text);
	return copy;
}

static void
fill_difference(Plug__ConfigDifference *one, const struct plugin *plugin,
		const struct runtime_edit *edit, size_t most, struct arena *arena)
{
	plug__config_difference__init(one);
	one->key = (char *)edit->key;
	one->secret = is_secret(plugin, edit);
	one->had = edit->before != NULL;
	one->has = edit->after != NULL;
	if (edit->before)
		one->before = shown(arena, edit->before, one->secret, most);
	if (edit->after)
		one->after = shown(arena, edit->after, one->secret, most);
}

/* NULL: out of memory. */
static Plug__ConfigDifference **
differences(const struct plugin *plugin, const struct runtime_edit *edits, size_t count,
	    struct arena *arena)
{
	MAKE_LIST(arena, Plug__ConfigDifference, count, items, pointers);

	for (size_t i = 0; items && pointers && i < count; i++) {
		fill_difference(&items[i], plugin, &edits[i],
				count > SHOWN_FEW ? SHOWN_LITTLE : SHOWN_BYTES, arena);
		pointers[i] = &items[i];
	}
	return arena->failed ? NULL : pointers;
}

/* ---- history ---- */

static void
show_history(const struct control_ctx *ctx, const struct plugin *plugin,
	     const struct runtime *runtime)
{
	for (size_t i = 0; i < runtime->change_count; i++) {
		const struct runtime_change *change = &runtime->changes[i];
		Plug__ConfigResponse body = PLUG__CONFIG_RESPONSE__INIT;
		Plug__ConfigChange one = PLUG__CONFIG_CHANGE__INIT, *list = &one;
		struct arena arena;

		arena_init(&arena, CONTROL_ARENA_BYTES);
		one.number = change->number;
		one.time_ms = change->time_ms;
		one.uid = change->uid;
		one.what = (char *)change->what;
		one.differences = differences(plugin, change->edits, change->count, &arena);
		one.n_differences = one.differences ? change->count : 0;
		body.changes = &list;
		body.n_changes = 1;
		send(ctx, &body, true);
		arena_fini(&arena);
	}
	send(ctx, &(Plug__ConfigResponse)PLUG__CONFIG_RESPONSE__INIT, false);
}

/* ---- diff ---- */

/* What runtime values hide, as edits from there to what is in force.  NULL: out of memory. */
static const struct runtime_edit *
against_layers_below(const struct plugin *plugin, const struct runtime *runtime,
		     struct arena *arena, size_t *ret_count)
{
	struct runtime *nothing = runtime_new();
	struct runtime_edit *edits = arena_array(arena, runtime->value_count + 1, sizeof(*edits));
	struct spec *below = NULL;
	struct diags diags;

	diags_init(&diags);
	if (nothing && plugin)
		below = change_spec(plugin->spec, nothing, &diags);
	for (size_t i = 0; edits && i < runtime->value_count; i++) {
		const struct runtime_value *value = &runtime->values[i];
		const struct effective_value *other =
			below ? effective_find(below->effective, value->key) : NULL;

		edits[i] = (struct runtime_edit){.key = value->key, .after = value->text};
		if (other && other->value.is_set)
			edits[i].before = arena_strdup(arena, other->value.text);
	}
	*ret_count = runtime->value_count;
	spec_free(below);
	runtime_free(nothing);
	diags_fini(&diags);
	return edits;
}

static void
show_diff(const struct control_ctx *ctx, const struct plugin *plugin, const struct runtime *runtime,
	  const Plug__ConfigRequest *request, struct arena *arena)
{
	Plug__ConfigResponse body = PLUG__CONFIG_RESPONSE__INIT;
	const struct runtime_edit *edits;
	char text[CONTROL_ERRORS_BYTES] = "";
	struct diags diags;
	size_t count = 0;

	diags_init(&diags);
	if (request->has_number)
		edits = runtime_way_back(runtime, request->number, arena, &count, &diags);
	else
		edits = against_layers_below(plugin, runtime, arena, &count);
	diags_each(&diags, control_join_error, text);
	diags_fini(&diags);
	if (edits)
		body.differences = differences(plugin, edits, count, arena);
	body.n_differences = count;
	if (body.differences)
		send(ctx, &body, false);
	else
		answer_request(ctx->client, ctx->id, *text ? PLUG_EINVAL : PLUG_ENOMEM,
			       *text ? text : NULL);
}

void
config_show(const struct control_ctx *ctx, const struct plugin *plugin,
	    const struct runtime *runtime, const Plug__ConfigRequest *request)
{
	struct arena arena;

	arena_init(&arena, CONTROL_ARENA_BYTES);
	switch (request->verb) {
	case PLUG__CONFIG_VERB__CONFIG_GET:
		show_values(ctx, plugin, &arena);
		break;
	case PLUG__CONFIG_VERB__CONFIG_HISTORY:
		show_history(ctx, plugin, runtime);
		break;
	case PLUG__CONFIG_VERB__CONFIG_DIFF:
		show_diff(ctx, plugin, runtime, request, &arena);
		break;
	default:
		answer_request(ctx->client, ctx->id, PLUG_EINVAL,
			       "a verb that this plugd does not know: update it");
	}
	arena_fini(&arena);
}
