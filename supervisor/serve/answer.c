#include "serve/answer.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

void
answer_call(struct client *client, uint64_t id, plug_err outcome, const char *message)
{
	Plug__Reply reply = PLUG__REPLY__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	reply.outcome = outcome;
	reply.message = (char *)(message ? message : plug_err_text(outcome));
	env.id = id;
	env.body_case = PLUG__ENVELOPE__BODY_REPLY;
	env.reply = &reply;
	client_send(client, &env, NULL);
}

void
answer_request(struct client *client, uint64_t id, plug_err outcome, const char *message)
{
	Plug__Response response = PLUG__RESPONSE__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	response.outcome = outcome;
	response.message = (char *)(message ? message : plug_err_text(outcome));
	env.id = id;
	env.body_case = PLUG__ENVELOPE__BODY_RESPONSE;
	env.response = &response;
	client_send(client, &env, NULL);
}

void
answer_no_plugin_text(const struct registry *registry, const char *name, char *text, size_t size)
{
	const char *near = registry_suggest(registry, name);
	const struct bad_plugin *bad = registry_bad_in_folder(registry, name);

	if (bad && bad->error_count)
		snprintf(text, size, "no plugin \"%.63s\"; its manifest cannot be used: %s", name,
			 bad->errors[0]);
	else
		snprintf(text, size, "no plugin \"%.63s\"; %s%s%splugctl list shows all", name,
			 near ? "did you mean \"" : "", near ? near : "", near ? "\"? " : "");
	utf8_clean(text, strlen(text));
}

void
answer_no_plugin(struct client *client, uint64_t id, const struct registry *registry,
		 const char *name, bool is_call)
{
	char text[1024];

	answer_no_plugin_text(registry, name, text, sizeof(text));
	if (is_call)
		answer_call(client, id, PLUG_ENOTFOUND, text);
	else
		answer_request(client, id, PLUG_ENOTFOUND, text);
}
