/* Calls in the caller's own event loop.  One thread, by contract; the lock is taken all the same,
 * so that a blocking call made from a callback finds the handle as it expects it. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* A call and the copies of its request in one block. */
static struct plugc_call *
call_new(const struct plugc_out *out)
{
	size_t plugin = strlen(out->plugin) + 1, method = strlen(out->method) + 1;
	size_t type = strlen(out->content_type) + 1;
	struct plugc_call *call = malloc(sizeof(*call) + plugin + method + type + out->size);
	char *at = (char *)(call + 1);

	if (!call)
		return NULL;
	plugc_call_init(call, false);
	call->out.plugin = memcpy(at, out->plugin, plugin);
	call->out.method = memcpy(at + plugin, out->method, method);
	call->out.content_type = memcpy(at + plugin + method, out->content_type, type);
	call->out.payload = (uint8_t *)at + plugin + method + type;
	if (out->size)
		memcpy(at + plugin + method + type, out->payload, out->size);
	call->out.size = out->size;
	call->out.copied = true;
	return call;
}

static plug_err
start(struct plug_client *client, const struct plug_request *request, struct plugc_call **ret)
{
	struct plugc_call given = {.id = 0}, *call;
	plug_err err = plugc_out_prepare(client, &given, request);

	if (err != PLUG_OK)
		return err;
	if (client->closing)
		return plugc_fail(client, PLUG_ESTATE, "the connection to plugd is being closed");
	if (client->out_bytes > PLUGC_QUEUE_BYTES)
		return plugc_fail(
			client, PLUG_EOVERLOADED,
			"%zu bytes wait to be sent to plugd, which reads slower than this "
			"program writes; dispatch before sending more",
			client->out_bytes);
	if (client->state == PLUGC_DOWN && (err = plugc_connect(client, false)) != PLUG_OK)
		return err == PLUG_EOVERLOADED ? err : PLUG_EUNREACHABLE;
	call = call_new(&given.out);
	if (!call)
		return plugc_fail(client, PLUG_ENOMEM, "no memory for a call");
	*ret = call;
	return PLUG_OK;
}

plug_err
plug_client_send(struct plug_client *client, const struct plug_request *request,
		 plug_on_piece on_piece, plug_on_done on_done, void *user, uint64_t *ret_id)
{
	struct plugc_call *call;
	plug_err err;

	pthread_mutex_lock(&client->lock);
	err = on_done ? start(client, request, &call)
		      : plugc_fail(client, PLUG_EINVAL, "on_done is NULL");
	if (err == PLUG_OK) {
		call->on_piece = on_piece;
		call->on_done = on_done;
		call->user = user;
		plugc_start(client, call, request->timeout_ms);
		if (call->deadline_ns < client->next_deadline_ns)
			client->next_deadline_ns = call->deadline_ns;
		if (ret_id)
			*ret_id = call->id;
	}
	pthread_mutex_unlock(&client->lock);
	return err;
}

plug_err
plug_client_cancel(struct plug_client *client, uint64_t id)
{
	struct plugc_call *call;
	uint64_t by;

	pthread_mutex_lock(&client->lock);
	call = plugc_table_find(client, id);
	if (!call || call->done || call->blocking) {
		pthread_mutex_unlock(&client->lock);
		return PLUG_ENOTFOUND;
	}
	if (!call->sent && !call->out.started) {
		plugc_call_end(client, call, PLUG_ECANCELLED, "cancelled before it was sent");
	} else if (call->expire_as != PLUG_ECANCELLED) {
		plugc_out_remove(client, &call->out);
		call->sent = true;
		call->expire_as = PLUG_ECANCELLED;
		by = plugc_after_ms(plugc_now_ns(), PLUGC_GRACE_MS);
		if (by < call->deadline_ns)
			call->deadline_ns = by;
		if (call->deadline_ns < client->next_deadline_ns)
			client->next_deadline_ns = call->deadline_ns;
		plugc_out_cancel(client, id, PLUG_ECANCELLED);
	}
	pthread_mutex_unlock(&client->lock);
	return PLUG_OK;
}

/* ---- callbacks ---- */

/* False: the call was cancelled. */
static bool
run_pieces(struct plug_client *client, struct plugc_call *call)
{
	struct plugc_message *message;
	bool go_on = true;

	while (go_on && (message = STAILQ_FIRST(&call->inbox))) {
		struct plug_payload piece = plugc_message_payload(message);

		STAILQ_REMOVE_HEAD(&call->inbox, link);
		pthread_mutex_unlock(&client->lock);
		go_on = call->on_piece(&piece, call->user);
		plugc_message_free(message);
		pthread_mutex_lock(&client->lock);
	}
	call->inbox_bytes = 0;
	return go_on;
}

static void
run_done(struct plug_client *client, struct plugc_call *call)
{
	struct plug_reply none = {.outcome = call->outcome,
				  .payload = {.data = "", .content_type = ""},
				  .message = plug_err_text(call->outcome)};
	struct plugc_reply *reply = call->reply;

	call->reply = NULL;
	plugc_call_fini(client, call);
	pthread_mutex_unlock(&client->lock);
	call->on_done(reply ? &reply->pub : &none, call->user);
	plug_reply_free(reply ? &reply->pub : NULL);
	free(call);
	pthread_mutex_lock(&client->lock);
}

void
plugc_run_ready(struct plug_client *client)
{
	struct plugc_call *call;

	while ((call = TAILQ_FIRST(&client->ready))) {
		bool go_on = run_pieces(client, call);

		if (!go_on)
			plugc_call_abandon(client, call, PLUG_ECANCELLED,
					   "cancelled by the caller");
		if (call->done) {
			run_done(client, call);
		} else {
			TAILQ_REMOVE(&client->ready, call, link);
			call->listed = false;
		}
	}
}

/* ---- deadlines ---- */

struct expiry {
	struct plug_client *client;
	uint64_t now, next;
};

static void
expire(struct plugc_call *call, void *arg)
{
	struct expiry *expiry = arg;

	if (call->blocking || call->done)
		return;
	plugc_call_expire(expiry->client, call, expiry->now);
	if (!call->done && call->deadline_ns < expiry->next)
		expiry->next = call->deadline_ns;
}

/* Looks at every call, but only when the earliest deadline passed. */
static void
expire_all(struct plug_client *client)
{
	struct expiry expiry = {client, plugc_now_ns(), PLUGC_NEVER};

	if (client->next_deadline_ns > expiry.now)
		return;
	plugc_table_each(client, expire, &expiry);
	client->next_deadline_ns = expiry.next;
}

/* ---- the loop's view ---- */

int
plug_client_fd(const struct plug_client *client)
{
	return client->fd;
}

short
plug_client_events(const struct plug_client *client)
{
	bool to_send = client->state == PLUGC_READY && !TAILQ_EMPTY(&client->out);

	if (client->fd < 0)
		return 0;
	return to_send ? POLLIN | POLLOUT : POLLIN;
}

int
plug_client_timeout_ms(const struct plug_client *client)
{
	uint64_t next = client->next_deadline_ns;
	bool unsent = client->state == PLUGC_DOWN && !TAILQ_EMPTY(&client->out);

	if (client->more_input || client->broken || unsent || !TAILQ_EMPTY(&client->ready))
		return 0;
	if (client->state == PLUGC_GREETING && client->greeting_deadline_ns < next)
		next = client->greeting_deadline_ns;
	return plugc_poll_ms(plugc_now_ns(), next);
}

static void
receive_all(struct plug_client *client)
{
	bool more = true;

	for (int i = 0; more && i < PLUGC_DISPATCH_MAX && client->fd >= 0; i++) {
		client->reading = true;
		more = plugc_read(client, 0);
		client->reading = false;
		plugc_run_ready(client);
	}
	client->more_input = more && client->fd >= 0;
}

plug_err
plug_client_dispatch(struct plug_client *client)
{
	plug_err lost;

	pthread_mutex_lock(&client->lock);
	client->lost = PLUG_OK;
	receive_all(client);
	expire_all(client);
	plugc_run_ready(client);
	lost = client->lost;
	if (client->state == PLUGC_DOWN && !TAILQ_EMPTY(&client->out) &&
	    plugc_connect(client, false) != PLUG_OK)
		plugc_run_ready(client);
	pthread_mutex_unlock(&client->lock);
	return lost == PLUG_OK || lost == PLUG_EPROTO ? lost : PLUG_EUNREACHABLE;
}
