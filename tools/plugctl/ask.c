#include "ask.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "payload.h"
#include "plugin_json.h"

struct asking {
	json_t *document, *list;
};

static bool
on_answer(const Plug__Response *response, void *user)
{
	struct asking *asking = user;

	if (response->outcome != PLUG_OK)
		return true;
	switch (response->body_case) {
	case PLUG__RESPONSE__BODY_INFO:
		asking->document = info_json(response->info);
		break;
	case PLUG__RESPONSE__BODY_PLUGIN:
		if (response->plugin->line)
			asking->document = plugin_status_json(response->plugin);
		break;
	case PLUG__RESPONSE__BODY_DAEMON:
		asking->document = daemon_status_json(response->daemon);
		break;
	case PLUG__RESPONSE__BODY_STATS:
		for (size_t i = 0; i < response->stats->n_plugins; i++)
			json_array_append_new(asking->list,
					      stats_json(response->stats->plugins[i]));
		break;
	case PLUG__RESPONSE__BODY_LIST:
		for (size_t i = 0; i < response->list->n_plugins; i++)
			json_array_append_new(asking->list,
					      plugin_line_json(response->list->plugins[i]));
		break;
	default:
		break;
	}
	return true;
}

/* A document, or the list where the answer is made of lines. */
static int
ask(struct ctl *ctl, const Plug__Request *request, const char *plugin, bool lines, json_t **ret)
{
	struct asking asking = {.list = json_array()};
	int status = ctl_request(ctl, request, plugin, ctl_timeout(ctl, CTL_ANSWER_MS), on_answer,
				 &asking);

	if (status == CTL_DONE && lines)
		*ret = json_incref(asking.list);
	else if (status == CTL_DONE && asking.document)
		*ret = json_incref(asking.document);
	else if (status == CTL_DONE)
		status = ctl_fail(ctl, PLUG_EPROTO, plugin, "plugd answered with something else");
	json_decref(asking.list);
	json_decref(asking.document);
	return status;
}

int
ask_info(struct ctl *ctl, const char *plugin, json_t **ret)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__InfoRequest info = PLUG__INFO_REQUEST__INIT;

	request.body_case = PLUG__REQUEST__BODY_INFO;
	request.info = &info;
	info.name = (char *)plugin;
	return ask(ctl, &request, plugin, false, ret);
}

int
ask_status(struct ctl *ctl, const char *plugin, json_t **ret)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__StatusRequest status = PLUG__STATUS_REQUEST__INIT;

	request.body_case = PLUG__REQUEST__BODY_STATUS;
	request.status = &status;
	status.name = (char *)plugin;
	return ask(ctl, &request, *plugin ? plugin : NULL, false, ret);
}

int
ask_stats(struct ctl *ctl, const char *plugin, json_t **ret)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__StatsRequest stats = PLUG__STATS_REQUEST__INIT;
	json_t *list = NULL;
	int status;

	request.body_case = PLUG__REQUEST__BODY_STATS;
	request.stats = &stats;
	if (plugin)
		stats.name = (char *)plugin;
	status = ask(ctl, &request, plugin, true, &list);
	if (status != CTL_DONE)
		return status;
	*ret = plugin ? json_incref(json_array_get(list, 0)) : json_incref(list);
	json_decref(list);
	return *ret ? CTL_DONE : CTL_FAILED;
}

int
ask_list(struct ctl *ctl, json_t **ret)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__ListRequest list = PLUG__LIST_REQUEST__INIT;

	request.body_case = PLUG__REQUEST__BODY_LIST;
	request.list = &list;
	return ask(ctl, &request, NULL, true, ret);
}

/* ---- calls ---- */

static uint64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void
ask_call(struct ctl *ctl, const char *plugin, const char *method,
	 const struct plug_payload *payload, struct ask_answer *ret)
{
	struct plug_request request = {.size = sizeof(request),
				       .plugin = plugin,
				       .method = method,
				       .payload = *payload,
				       .timeout_ms = ctl->timeout_ms};
	struct plug_reply *reply = NULL;
	uint64_t began = now_ns();
	const char *text;

	*ret = (struct ask_answer){
		.outcome = plug_client_call(ctl->client, &request, NULL, NULL, &reply)};
	ret->took_ns = now_ns() - began;
	if (ret->outcome == PLUG_OK) {
		text = reply->payload.data;
		ret->size = reply->payload.size;
		ret->json = payload_is_json(reply->payload.content_type);
	} else {
		text = plug_client_error_text(ctl->client);
		ret->size = strlen(text);
	}
	ret->text = calloc(ret->size + 1, 1);
	if (ret->text)
		memcpy(ret->text, text, ret->size);
	else
		ret->size = 0;
	plug_reply_free(reply);
}

void
ask_answer_fini(struct ask_answer *answer)
{
	free(answer->text);
	answer->text = NULL;
}

/* ---- members ---- */

const char *
ask_text(const json_t *document, const char *key)
{
	const char *text = json_string_value(json_object_get(document, key));

	return text ? text : "";
}

uint64_t
ask_number(const json_t *document, const char *key)
{
	json_int_t number = json_integer_value(json_object_get(document, key));

	return number > 0 ? (uint64_t)number : 0;
}
