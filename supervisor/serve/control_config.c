/* config: set, unset, rollback; what is only shown is in control_config_show.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "plugin/runtime_file.h"
#include "serve/answer.h"
#include "serve/change.h"
#include "serve/config_show.h"
#include "serve/control_private.h"

/* ---- what is asked ---- */

struct config_ask *
config_ask_new(size_t count)
{
	struct config_ask *ask = calloc(1, sizeof(*ask));

	if (!ask)
		return NULL;
	ask->edits = calloc(count + 1, sizeof(*ask->edits));
	ask->count = count;
	if (ask->edits)
		return ask;
	free(ask);
	return NULL;
}

/* Values may be secrets. */
static void
forget(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

void
config_ask_free(struct config_ask *ask)
{
	if (!ask)
		return;
	for (size_t i = 0; i < ask->count; i++) {
		free(ask->edits[i].key);
		forget(ask->edits[i].value);
	}
	free(ask->edits);
	free(ask);
}

static struct config_ask *
copy_ask(const Plug__ConfigRequest *request, uint32_t uid)
{
	struct config_ask *ask = config_ask_new(request->n_edits);

	for (size_t i = 0; ask && i < request->n_edits; i++) {
		const Plug__ConfigEdit *edit = request->edits[i];
		bool unset = edit->unset || request->verb == PLUG__CONFIG_VERB__CONFIG_UNSET;

		ask->edits[i].key = strdup(plug_str(edit->key));
		ask->edits[i].value = unset ? NULL : strdup(plug_str(edit->value));
		if (ask->edits[i].key && (unset || ask->edits[i].value))
			continue;
		config_ask_free(ask);
		return NULL;
	}
	if (!ask)
		return NULL;
	ask->verb = request->verb;
	ask->uid = uid;
	ask->has_number = request->has_number;
	ask->number = request->number;
	return ask;
}

/* ---- as edits of the runtime layer ---- */

/* What is not declared (any more) may have been one. */
static bool
is_secret(const struct plugin *plugin, const char *key)
{
	const struct schema_key *declared =
		plugin ? schema_find(&plugin->spec->manifest->config, key) : NULL;

	return !declared || declared->secret;
}

struct planned {
	struct arena arena;
	struct runtime_change change;
	char what[48];
};

static bool
plan_edits(struct planned *planned, const struct plugin *plugin, const struct config_ask *ask,
	   const struct runtime *runtime)
{
	bool all = ask->verb == PLUG__CONFIG_VERB__CONFIG_UNSET && !ask->count;
	size_t count = all ? runtime->value_count : ask->count;
	struct runtime_edit *edits = arena_array(&planned->arena, count + 1, sizeof(*edits));

	for (size_t i = 0; edits && i < count; i++) {
		const char *key = all ? runtime->values[i].key : ask->edits[i].key;

		edits[i] = (struct runtime_edit){.key = key,
						 .after = all ? NULL : ask->edits[i].value,
						 .secret = is_secret(plugin, key)};
	}
	planned->change.edits = edits;
	planned->change.count = edits ? count : 0;
	snprintf(planned->what, sizeof(planned->what), "%s",
		 ask->verb == PLUG__CONFIG_VERB__CONFIG_SET ? "set" : "unset");
	return edits != NULL;
}

static bool
plan_way_back(struct planned *planned, const struct config_ask *ask, const struct runtime *runtime,
	      struct diags *diags)
{
	uint32_t last = runtime->last_number;
	uint32_t number = ask->has_number ? ask->number : last ? last - 1 : 0;

	if (!last) {
		diag_error(diags, &(struct diag_pos){.file = "history"}, "nothing was changed yet");
		return false;
	}
	planned->change.edits =
		runtime_way_back(runtime, number, &planned->arena, &planned->change.count, diags);
	snprintf(planned->what, sizeof(planned->what), "rollback to %u", (unsigned)number);
	return planned->change.edits != NULL;
}

/* Without a plugin to ask, nothing is known of a key but what was set. */
static void
check_keys(const struct plugin *plugin, const struct config_ask *ask, const struct runtime *runtime,
	   struct diags *diags)
{
	static const struct diag_pos pos = {.file = "config"};

	if (ask->count > RUNTIME_EDITS)
		diag_error(diags, &pos, "%zu keys at once; at most %d are possible", ask->count,
			   RUNTIME_EDITS);
	for (size_t i = 0; i < ask->count; i++) {
		const char *key = ask->edits[i].key;

		for (size_t j = 0; j < i; j++)
			if (!strcmp(key, ask->edits[j].key))
				diag_error(diags, &pos, "\"%.64s\" is there twice", key);
		if (runtime_find(runtime, key) ||
		    (plugin && schema_find(&plugin->spec->manifest->config, key)))
			continue;
		if (plugin)
			schema_unknown_key(&plugin->spec->manifest->config, diags, &pos, key);
		else
			diag_error(diags, &pos, "\"%.64s\" was not set", key);
	}
}

/* The runtime afterwards; NULL after an error was added. */
static struct runtime *
plan(const struct plugin *plugin, const struct config_ask *ask, const struct runtime *runtime,
     struct diags *diags)
{
	struct planned planned = {.change = {.time_ms = clock_wall_ms(), .uid = ask->uid}};
	struct runtime *after = NULL;
	bool made;

	check_keys(plugin, ask, runtime, diags);
	if (diags->errors)
		return NULL;
	arena_init(&planned.arena, CONTROL_ARENA_BYTES);
	made = ask->verb == PLUG__CONFIG_VERB__CONFIG_ROLLBACK
		       ? plan_way_back(&planned, ask, runtime, diags)
		       : plan_edits(&planned, plugin, ask, runtime);
	planned.change.what = planned.what;
	if (made)
		after = runtime_apply(runtime, &planned.change, diags);
	else if (!diags->errors)
		diag_error(diags, &(struct diag_pos){.file = "config"}, "out of memory");
	arena_fini(&planned.arena);
	return after;
}

/* ---- answers ---- */

static void
answer(struct client *client, uint64_t id, plug_err outcome, const char *text, uint32_t number,
       uint64_t since_ms)
{
	Plug__ConfigResponse body = PLUG__CONFIG_RESPONSE__INIT;
	Plug__Response response = PLUG__RESPONSE__INIT;

	body.detail = (char *)text;
	body.number = outcome ? 0 : number;
	body.took_ms = clock_mono_ms() - since_ms;
	response.outcome = outcome;
	response.message = (char *)(outcome ? text : "");
	response.body_case = PLUG__RESPONSE__BODY_CONFIG;
	response.config = &body;
	control_answer(client, id, &response);
}

static struct waiter *
who_waits(const struct plugin *plugin)
{
	LIST_FOREACH (waiter, &plugin->waiters, struct waiter, node)
		if (waiter->ask && waiter->begun)
			return waiter;
	return NULL;
}

void
control_change_done(struct control *control, struct plugin *plugin, const struct change *change,
		    const char *text)
{
	struct waiter *waiter = who_waits(plugin);

	if (waiter) {
		answer(waiter->ticket.client, waiter->ticket.id, change->outcome, text,
		       change->runtime->last_number, change->since_ms);
		control_waiter_free(waiter);
	}
	control_begin_next(control, plugin);
}

/* ---- changing ---- */

static bool
answered(struct waiter *waiter, plug_err err, const char *text)
{
	answer(waiter->ticket.client, waiter->ticket.id, err, text, 0, waiter->since_ms);
	control_waiter_free(waiter);
	return false;
}

bool
control_begin_config(struct control *control, struct waiter *waiter)
{
	struct plugin *plugin = waiter->plugin;
	char text[CONTROL_ERRORS_BYTES] = "";
	struct runtime *now, *after = NULL;
	struct diags diags;
	uint32_t last = 0;
	plug_err err;

	if (control->host->shutting_down)
		return answered(waiter, PLUG_ESTATE, "plugd is shutting down");
	diags_init(&diags);
	now = runtime_file_load(control->host->state_fd, plugin_name(plugin), &diags);
	if (now) {
		last = now->last_number;
		after = plan(plugin, waiter->ask, now, &diags);
	}
	diags_each(&diags, control_join_error, text);
	diags_fini(&diags);
	runtime_free(now);
	if (!after)
		return answered(waiter, PLUG_EINVAL, text);
	if (after->last_number == last) {
		runtime_free(after);
		return answered(waiter, PLUG_OK, "nothing is changed by that");
	}
	err = change_begin(control, plugin, after, text);
	if (err)
		return answered(waiter, err, *text ? text : plug_err_text(err));
	return true;
}

/* One that is not registered, maybe because of what was set: that can be taken back all the same.
 */
static void
change_unknown(const struct control_ctx *ctx, const Plug__ConfigRequest *request,
	       const struct runtime *now)
{
	const struct control_daemon *daemon = &ctx->control->daemon;
	struct config_ask *ask = copy_ask(request, ctx->client->uid);
	char text[CONTROL_ERRORS_BYTES] = "";
	struct runtime *after = NULL;
	struct diags diags;
	plug_err err = PLUG_EINVAL;

	diags_init(&diags);
	if (ask)
		after = plan(NULL, ask, now, &diags);
	diags_each(&diags, control_join_error, text);
	diags_fini(&diags);
	config_ask_free(ask);
	if (after)
		err = runtime_file_store(ctx->control->host->state_fd, request->name, after);
	if (err && !*text)
		snprintf(text, sizeof(text), "it cannot be kept: %s",
			 err == PLUG_ESYS ? strerror(errno) : plug_err_text(err));
	if (!err) {
		snprintf(text, sizeof(text), "done; the plugin directories are read again");
		daemon->reread(daemon->user);
	}
	answer(ctx->client, ctx->id, err, text, after ? after->last_number : 0, clock_mono_ms());
	runtime_free(after);
}

static void
change_plugin(const struct control_ctx *ctx, struct plugin *plugin,
	      const Plug__ConfigRequest *request)
{
	struct config_ask *ask = copy_ask(request, ctx->client->uid);
	struct waiter *waiter = ask ? control_wait(ctx, plugin) : NULL;

	if (!ask)
		answer_request(ctx->client, ctx->id, PLUG_ENOMEM, NULL);
	if (!waiter) {
		config_ask_free(ask);
		return;
	}
	waiter->ask = ask;
	control_begin_next(ctx->control, plugin);
}

/* ---- requests ---- */

static bool
is_change(Plug__ConfigVerb verb)
{
	return verb == PLUG__CONFIG_VERB__CONFIG_SET || verb == PLUG__CONFIG_VERB__CONFIG_UNSET ||
	       verb == PLUG__CONFIG_VERB__CONFIG_ROLLBACK;
}

/* A name that may be part of a file's. */
static bool
is_name(const char *name)
{
	return field_plugin_names.ok(name);
}

void
control_config(const struct control_ctx *ctx, const Plug__ConfigRequest *request)
{
	const char *name = plug_str(request->name);
	struct plugin *plugin = registry_find(ctx->control->registry, name);
	struct runtime *now = NULL;
	char text[CONTROL_ERRORS_BYTES] = "";
	struct diags diags;

	if (plugin && is_change(request->verb)) {
		change_plugin(ctx, plugin, request);
		return;
	}
	diags_init(&diags);
	if (plugin || is_name(name))
		now = runtime_file_load(ctx->control->host->state_fd, name, &diags);
	diags_each(&diags, control_join_error, text);
	diags_fini(&diags);
	if (!now && *text)
		answer_request(ctx->client, ctx->id, PLUG_EINVAL, text);
	else if (!plugin &&
		 (!now || !now->last_number || request->verb == PLUG__CONFIG_VERB__CONFIG_SET ||
		  request->verb == PLUG__CONFIG_VERB__CONFIG_GET))
		answer_no_plugin(ctx->client, ctx->id, ctx->control->registry, name, false);
	else if (is_change(request->verb))
		change_unknown(ctx, request, now);
	else
		config_show(ctx, plugin, now, request);
	runtime_free(now);
}
