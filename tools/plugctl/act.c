#include "act.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "format.h"
#include "out.h"
#include "plugin_json.h"
#include "progress.h"

const struct option_spec act_options[] = {
	{"no-wait", 0, NULL, "return when plugd has begun, not when it is done"},
	{NULL},
};

struct acting {
	struct ctl *ctl;
	const char *name;
	json_t *results;
	char *sets[ACT_SETS_MAX];
	size_t set_count;
	unsigned instances;
	struct progress *progress;
	size_t number; /* of the plugin, from 1 */
};

static json_t *
result_json(const Plug__ActResult *result)
{
	json_t *json = json_pack(
		"{s:o, s:o, s:i, s:I, s:o}", "name", out_json_text(plug_str(result->name)), "state",
		out_json_text(plug_str(result->state)), "generation", (int)result->generation,
		"pid", (json_int_t)result->pid, "took_ms", number_json(result->took_ms));

	if (*plug_str(result->detail))
		json_object_set_new(json, "detail", out_json_text(result->detail));
	return json;
}

static void
show_result(const Plug__ActResult *result)
{
	char took[FORMAT_BYTES];
	const char *name = plug_str(result->name), *state = plug_str(result->state);

	out_text(name, strlen(name));
	fputs(": ", stdout);
	out_start(out_state_color(state));
	out_text(state, strlen(state));
	out_end(out_state_color(state));
	if (result->pid)
		printf(", process %" PRId64 ", generation %" PRIu32, result->pid,
		       result->generation);
	printf(", after %s", format_duration(result->took_ms, took));
	if (*plug_str(result->detail)) {
		fputs(": ", stdout);
		out_text(result->detail, strlen(result->detail));
	}
	putchar('\n');
}

static bool
on_result(const Plug__Response *response, void *user)
{
	struct acting *acting = user;

	if (response->outcome != PLUG_OK || response->body_case != PLUG__RESPONSE__BODY_ACT)
		return true;
	progress_end(acting->progress);
	acting->progress = NULL;
	if (acting->ctl->json)
		json_array_append_new(acting->results, result_json(response->act));
	else
		show_result(response->act);
	return true;
}

static int
act_on(struct acting *acting, Plug__Action action, const char *name, const struct args *args)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__ActRequest act = PLUG__ACT_REQUEST__INIT;
	const char *reason;
	char what[128];
	plug_err err;

	request.body_case = PLUG__REQUEST__BODY_ACT;
	request.act = &act;
	act.action = action;
	act.name = (char *)name;
	act.no_wait = args_flag(args, "no-wait");
	act.in_place = args_flag(args, "in-place");
	act.set = acting->sets;
	act.n_set = acting->set_count;
	act.instances = acting->instances;
	acting->name = name;
	if (args->word_count > 1)
		snprintf(what, sizeof(what), "%s, %zu of %zu", name, acting->number,
			 args->word_count);
	acting->progress = progress_begin(args->word_count > 1 ? what : name, 0, acting->ctl, name);
	err = ctl_ask(acting->ctl, &request, acting->ctl->timeout_ms, on_result, acting);
	progress_end(acting->progress);
	acting->progress = NULL;
	if (err == PLUG_OK)
		return CTL_DONE;
	reason = plug_client_error_text(acting->ctl->client);
	if (acting->ctl->json)
		json_array_append_new(acting->results,
				      json_pack("{s:o, s:o}", "name", out_json_text(name), "error",
						ctl_error_json(plug_err_name(err), reason)));
	return ctl_tell(acting->ctl, err, name, reason);
}

static int
take_sets(struct acting *acting, const struct args *args)
{
	for (size_t i = 0; i < args->given_count; i++) {
		const struct args_given *given = &args->given[i];

		if (strcmp(given->option->name, "set") != 0)
			continue;
		if (!strchr(given->text, '=') || given->text[0] == '=')
			return ctl_usage(acting->ctl, "--set %s: expected KEY=VALUE", given->text);
		acting->sets[acting->set_count++] = (char *)given->text;
	}
	return CTL_DONE;
}

static int
act_on_all(struct acting *acting, const struct args *args, Plug__Action action)
{
	struct ctl *ctl = acting->ctl;
	int status = take_sets(acting, args), one;

	if (status != CTL_DONE || (status = ctl_connect(ctl)) != CTL_DONE)
		return status;
	acting->results = json_array();
	for (size_t i = 0; i < args->word_count; i++) {
		acting->number = i + 1;
		one = act_on(acting, action, args->words[i], args);
		if (status == CTL_DONE)
			status = one;
	}
	if (ctl->json)
		out_json(json_pack("{s:O}", "results", acting->results));
	json_decref(acting->results);
	return status;
}

int
act_on_plugins(struct ctl *ctl, const struct args *args, Plug__Action action)
{
	struct acting acting = {.ctl = ctl};

	return act_on_all(&acting, args, action);
}

int
act_scale(struct ctl *ctl, const struct args *args, unsigned instances)
{
	struct acting acting = {.ctl = ctl, .instances = instances};

	return act_on_all(&acting, args, PLUG__ACTION__ACTION_SCALE);
}

int
act_load(struct ctl *ctl, const struct args *args, const char *path)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__LoadRequest load = PLUG__LOAD_REQUEST__INIT;
	struct acting acting = {.ctl = ctl, .name = path, .number = 1};
	int status = ctl_connect(ctl);

	if (status != CTL_DONE)
		return status;
	request.body_case = PLUG__REQUEST__BODY_LOAD;
	request.load = &load;
	load.path = (char *)path;
	load.no_wait = args_flag(args, "no-wait");
	acting.results = json_array();
	status = ctl_request(ctl, &request, path, ctl->timeout_ms, on_result, &acting);
	if (ctl->json && status == CTL_DONE)
		out_json(json_pack("{s:O}", "results", acting.results));
	json_decref(acting.results);
	return status;
}

int
act_on_daemon(struct ctl *ctl, Plug__Action action, uint64_t timeout_ms,
	      plug_on_response on_response, void *user)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__ActRequest act = PLUG__ACT_REQUEST__INIT;

	request.body_case = PLUG__REQUEST__BODY_ACT;
	request.act = &act;
	act.action = action;
	return ctl_request(ctl, &request, NULL, timeout_ms, on_response, user);
}
