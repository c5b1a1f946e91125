#include "internal.h"

struct asked {
	plug_on_response on_response;
	void *user;
};

static bool
hand_response(struct plugc_call *call, struct plugc_message *message)
{
	const struct asked *asked = call->user;

	return asked->on_response(message->env->response, asked->user);
}

plug_err
plug_client_request(struct plug_client *client, const Plug__Request *request, uint64_t timeout_ms,
		    plug_on_response on_response, void *user)
{
	struct asked asked = {.on_response = on_response, .user = user};
	struct plugc_call call;
	plug_err outcome;

	plugc_call_init(&call, true);
	call.is_request = true;
	call.out.request = request;
	call.user = &asked;
	call.idle_ms = timeout_ms;

	pthread_mutex_lock(&client->lock);
	call.asked_ms = timeout_ms;
	plugc_start(client, &call);
	plugc_wait(client, &call, hand_response);
	outcome = call.outcome;
	if (outcome != PLUG_OK)
		plugc_fail(client, outcome, "%s",
			   call.reply ? call.reply->pub.message : plug_err_text(outcome));
	plugc_call_fini(client, &call);
	plugc_promote(client);
	pthread_mutex_unlock(&client->lock);
	return outcome;
}
