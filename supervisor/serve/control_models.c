/* models: the table, as it is declared. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/models.h"
#include "core/suggest.h"
#include "serve/answer.h"
#include "serve/control_private.h"

static const char *const not_yet[] = {
	"start models by auto_start or on demand",
	"place them on devices: required_devices and memory_mb are not looked at",
	"try their schemes one after the other",
	"unload them after alive_time",
};

static void
fill_command(Plug__ModelScheme *message, const struct model_scheme *scheme, struct arena *arena)
{
	const char **words;

	message->command = (char **)scheme->command.items;
	message->n_command = scheme->command.count;
	if (!scheme->script_path || !(words = arena_array(arena, 1, sizeof(*words))))
		return;
	*words = scheme->script_path;
	message->command = (char **)words;
	message->n_command = 1;
}

static void
fill_scheme(Plug__ModelScheme *message, const struct model_scheme *scheme, struct arena *arena)
{
	MAKE_LIST(arena, Plug__ModelMemory, scheme->memory_mb.count, memory, memories);
	MAKE_LIST(arena, Plug__ModelConfig, scheme->config.count, config, configs);

	plug__model_scheme__init(message);
	if (!memory || !memories || !config || !configs)
		return;
	message->name = (char *)plug_str(scheme->name);
	message->required_devices = (char **)scheme->required_devices.items;
	message->n_required_devices = scheme->required_devices.count;
	message->memory = memories;
	for (size_t i = 0; i < scheme->memory_mb.count; i++) {
		plug__model_memory__init(&memory[i]);
		memory[i].device = (char *)scheme->memory_mb.items[i].name;
		memory[i].mb = strtoull(scheme->memory_mb.items[i].value, NULL, 10);
		memories[message->n_memory++] = &memory[i];
	}
	message->config = configs;
	for (size_t i = 0; i < scheme->config.count; i++) {
		plug__model_config__init(&config[i]);
		config[i].key = (char *)scheme->config.items[i].name;
		config[i].value = (char *)scheme->config.items[i].value;
		configs[message->n_config++] = &config[i];
	}
	fill_command(message, scheme, arena);
}

static void
fill_model(Plug__Model *message, const struct model *model, const struct registry *registry,
	   struct arena *arena)
{
	const struct model_scheme *declared = model->schemes.items;
	const struct plugin *plugin = model->plugin ? registry_find(registry, model->plugin) : NULL;
	MAKE_LIST(arena, Plug__ModelScheme, model->schemes.count, schemes, pointers);

	plug__model__init(message);
	message->name = (char *)model->name;
	message->aliases = (char **)model->aliases.items;
	message->n_aliases = model->aliases.count;
	message->plugin = (char *)plug_str(model->plugin);
	message->plugin_state = (char *)(plugin ? plugin_word(plugin) : "");
	message->mode = (char *)plug_str(model->mode);
	message->port = (uint32_t)model->port;
	message->auto_start = model->auto_start;
	message->alive_time_ms = model->alive_time_ms;
	message->origin = arena_printf(arena, "%s:%u:%u", model->pos.file, model->pos.line,
				       model->pos.column);
	message->schemes = pointers;
	for (size_t i = 0; schemes && pointers && i < model->schemes.count; i++) {
		fill_scheme(&schemes[i], &declared[i], arena);
		pointers[message->n_schemes++] = &schemes[i];
	}
}

static void
send_model(const struct control_ctx *ctx, const struct model *model, bool more)
{
	Plug__ModelsResponse body = PLUG__MODELS_RESPONSE__INIT;
	Plug__Response response = PLUG__RESPONSE__INIT;
	Plug__Model message, *list = &message;
	struct arena arena;

	arena_init(&arena, CONTROL_ARENA_BYTES);
	if (model) {
		fill_model(&message, model, ctx->control->registry, &arena);
		body.models = &list;
		body.n_models = 1;
	}
	if (!more) {
		body.not_yet = (char **)(uintptr_t)not_yet;
		body.n_not_yet = ARRAY_SIZE(not_yet);
	}
	response.more = more;
	response.body_case = PLUG__RESPONSE__BODY_MODELS;
	response.models = &body;
	if (arena.failed)
		answer_request(ctx->client, ctx->id, PLUG_ENOMEM, NULL);
	else if (control_answer(ctx->client, ctx->id, &response) == PLUG_ETOOLARGE)
		answer_request(ctx->client, ctx->id, PLUG_ETOOLARGE,
			       "a model of the table does not fit into one message");
	arena_fini(&arena);
}

static void
answer_no_model(const struct control_ctx *ctx, const struct field_entries *models, const char *name)
{
	const struct model *items = models->items;
	struct suggest suggest;
	char text[512];

	suggest_start(&suggest, name);
	for (size_t i = 0; i < models->count; i++) {
		suggest_offer(&suggest, items[i].name);
		for (size_t j = 0; j < items[i].aliases.count; j++)
			suggest_offer(&suggest, items[i].aliases.items[j]);
	}
	snprintf(text, sizeof(text), "no model \"%.64s\" is in the table%s%s%s", name,
		 suggest.best ? "; did you mean \"" : "", suggest.best ? suggest.best : "",
		 suggest.best ? "\"?" : "");
	answer_request(ctx->client, ctx->id, PLUG_ENOTFOUND, text);
}

void
control_models(const struct control_ctx *ctx, const Plug__ModelsRequest *request)
{
	const struct control_daemon *daemon = &ctx->control->daemon;
	const struct field_entries *models = daemon->models(daemon->user);
	const struct model *items = models->items, *one;
	const char *name = plug_str(request->name);

	if (!*name) {
		for (size_t i = 0; i < models->count; i++)
			send_model(ctx, &items[i], true);
		send_model(ctx, NULL, false);
		return;
	}
	one = models_find(models, name);
	if (one)
		send_model(ctx, one, false);
	else
		answer_no_model(ctx, models, name);
}
