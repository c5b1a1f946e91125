#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plane.h"

#define MESSAGE_OVERHEAD 512 /* memory of a small piece besides its payload, about */

/* ---- life ---- */

void
plugc_call_init(struct plugc_call *call, bool blocking)
{
	memset(call, 0, sizeof(*call));
	call->blocking = blocking;
	call->expire_as = PLUG_ETIMEOUT;
	call->deadline_ns = call->call_deadline_ns = PLUGC_NEVER;
	STAILQ_INIT(&call->inbox);
	call->out.call = call;
}

void
plugc_call_can_wait(struct plugc_call *call)
{
	pthread_condattr_t attr;

	if (call->can_wait)
		return;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&call->wake, &attr);
	pthread_condattr_destroy(&attr);
	call->can_wait = true;
}

void
plugc_call_withdraw(struct plug_client *client, struct plugc_call *call)
{
	plugc_out_remove(client, &call->out);
	if (call->tabled)
		plugc_table_remove(&client->calls, &call->entry);
	call->tabled = false;
}

void
plugc_call_fini(struct plug_client *client, struct plugc_call *call)
{
	struct plugc_message *message;

	plugc_call_withdraw(client, call);
	if (call->listed)
		TAILQ_REMOVE(call->ready, call, link);
	while ((message = STAILQ_FIRST(&call->inbox))) {
		STAILQ_REMOVE_HEAD(&call->inbox, link);
		plugc_message_free(message);
	}
	plugc_message_free(call->assembling);
	plugc_message_free(call->reply);
	plugc_tensors_let_go(&call->out);
	if (call->joined) {
		free(call->joined);
		free(call->joined_type);
	}
	if (call->can_wait)
		pthread_cond_destroy(&call->wake);
}

/* There is something for its owner. */
static void
notify(struct plug_client *client, struct plugc_call *call)
{
	if (call->blocking) {
		if (call->waiting)
			pthread_cond_signal(&call->wake);
	} else if (!call->listed) {
		TAILQ_INSERT_TAIL(call->ready, call, link);
		call->listed = true;
		if (!plugc_dispatching(client))
			plugc_loop_kick(client);
	}
}

/* ---- ends ---- */

/* It was executed the first time, perhaps: what says that it was not is true of the second only. */
static plug_err
outcome_of(const struct plugc_call *call, plug_err outcome)
{
	bool not_started = outcome == PLUG_EUNAVAILABLE || outcome == PLUG_EOVERLOADED ||
			   outcome == PLUG_EUNREACHABLE;

	return call->replayed && not_started ? PLUG_EGONE : outcome;
}

/* Takes reply. */
static void
end_with(struct plug_client *client, struct plugc_call *call, plug_err outcome,
	 struct plugc_message *reply)
{
	call->done = true;
	call->outcome = outcome_of(call, outcome);
	if (call->wary)
		plugc_wary_ended(call);
	call->reply = reply;
	if (reply)
		reply->pub.outcome = call->outcome;
	if (call->flight)
		plugc_flight_detach(call->flight);
	plugc_out_remove(client, &call->out);
	plugc_message_free(call->assembling);
	call->assembling = NULL;
	notify(client, call);
}

/* Takes text. */
static void
end_with_text(struct plug_client *client, struct plugc_call *call, plug_err outcome, char *text)
{
	end_with(client, call, outcome, plugc_message_failure(outcome, text));
}

static char *
format_text(const char *format, va_list args)
{
	char *text = NULL;

	return vasprintf(&text, format, args) < 0 ? NULL : text;
}

void
plugc_call_end(struct plug_client *client, struct plugc_call *call, plug_err outcome,
	       const char *format, ...)
{
	va_list args;

	if (call->done)
		return;
	if (call->route) {
		plugc_open_failed(client, call->route, outcome);
		return;
	}
	va_start(args, format);
	end_with_text(client, call, outcome, format_text(format, args));
	va_end(args);
}

void
plugc_call_abandon(struct plug_client *client, struct plugc_call *call, plug_err reason,
		   const char *format, ...)
{
	bool reached = call->sent || call->out.started;
	va_list args;

	if (call->done)
		return;
	if (call->flight) {
		plugc_flight_cancel(call->flight, reason);
		reached = false;
	}
	va_start(args, format);
	end_with_text(client, call, reason, format_text(format, args));
	va_end(args);
	if (reached && client->state == PLUGC_READY)
		plugc_out_cancel(client, call->entry.id,
				 reason == PLUG_ETIMEOUT ? PLUG_ETIMEOUT : PLUG_ECANCELLED);
}

void
plugc_call_expire(struct plug_client *client, struct plugc_call *call, uint64_t now_ns)
{
	const char *who = call->flight ? call->flight->channel->route->name : "plugd";

	if (call->done || now_ns < call->deadline_ns)
		return;
	if (call->expire_as == PLUG_ECANCELLED)
		plugc_call_end(client, call, PLUG_ECANCELLED,
			       "cancelled; %s did not confirm it within %d ms", who,
			       PLUGC_GRACE_MS);
	else
		plugc_call_abandon(client, call, PLUG_ETIMEOUT,
				   "%s did not answer within %llu ms nor in the second after; it "
				   "may be hung or overloaded",
				   who, (unsigned long long)call->timeout_ms);
}

/* ---- what comes ---- */

/* The pieces, and behind them the last payload. */
static plug_err
join_last(struct plugc_call *call, struct plugc_message *last)
{
	struct plug_payload *payload = &last->pub.payload;
	plug_err err = plugc_append(&call->joined, &call->joined_size, &call->joined_capacity,
				    payload->data, payload->size);

	if (err != PLUG_OK)
		return err;
	free(last->joined);
	last->joined = call->joined;
	last->text = call->joined_type;
	payload->data = call->joined;
	payload->size = call->joined_size;
	if (!*payload->content_type && last->text)
		payload->content_type = last->text;
	call->joined = NULL;
	call->joined_type = NULL;
	return PLUG_OK;
}

/* Takes message. */
static plug_err
finish(struct plug_client *client, struct plugc_call *call, struct plugc_message *message)
{
	struct plug_reply *pub = &message->pub;
	plug_err err = PLUG_OK;

	if (pub->outcome != PLUG_OK) {
		pub->payload = (struct plug_payload){.data = "", .content_type = ""};
		if (!*pub->message)
			pub->message = plug_err_text(pub->outcome);
	} else {
		pub->message = "";
		if (call->joined)
			err = join_last(call, message);
	}
	if (err == PLUG_OK)
		end_with(client, call, pub->outcome, message);
	else
		plugc_message_free(message);
	return err;
}

static void
too_large(struct plug_client *client, struct plugc_call *call)
{
	plugc_call_abandon(
		client, call, PLUG_ETOOLARGE,
		"the reply is longer than the limit of %llu bytes; ask for less or use a "
		"stream",
		(unsigned long long)call->limit_bytes);
}

/* Takes message. */
static plug_err
join_piece(struct plug_client *client, struct plugc_call *call, struct plugc_message *message)
{
	const struct plug_payload *piece = &message->pub.payload;
	plug_err err = PLUG_OK;

	if (call->joined_size + piece->size > call->limit_bytes) {
		too_large(client, call);
	} else {
		if (!call->joined_type && *piece->content_type)
			call->joined_type = strdup(piece->content_type);
		err = plugc_append(&call->joined, &call->joined_size, &call->joined_capacity,
				   piece->data, piece->size);
	}
	plugc_message_free(message);
	return err;
}

/* Takes message. */
static void
deliver(struct plug_client *client, struct plugc_call *call, struct plugc_message *message,
	size_t size)
{
	if (call->inbox_bytes + size > call->limit_bytes) {
		plugc_message_free(message);
		plugc_call_abandon(client, call, PLUG_EOVERLOADED,
				   "more than %llu bytes of pieces wait for a callback that is too "
				   "slow",
				   (unsigned long long)call->limit_bytes);
		return;
	}
	call->inbox_bytes += size + MESSAGE_OVERHEAD;
	STAILQ_INSERT_TAIL(&call->inbox, message, link);
	notify(client, call);
}

/* Takes message. */
static plug_err
complete(struct plug_client *client, struct plugc_call *call, struct plugc_message *message)
{
	if (!message->partial)
		return finish(client, call, message);
	if (!call->on_piece)
		return join_piece(client, call, message);
	deliver(client, call, message, message->pub.payload.size);
	return PLUG_OK;
}

static void
no_memory(struct plug_client *client, struct plugc_call *call)
{
	plugc_call_abandon(client, call, PLUG_ENOMEM, "no memory for the reply");
}

void
plugc_call_message(struct plug_client *client, struct plugc_call *call,
		   struct plugc_message *message)
{
	plug_err err = PLUG_OK;

	if (!message)
		err = PLUG_ENOMEM;
	else if (!message->more)
		err = complete(client, call, message);
	else
		call->assembling = message;
	if (err != PLUG_OK)
		no_memory(client, call);
}

/* An empty last Chunk: its sender gave up in the middle.  The outcome comes behind a piece; a final
 * payload is given up only for a cancel, and one that is not complete must not look as if it were.
 */
static bool
given_up(struct plug_client *client, struct plugc_call *call)
{
	struct plugc_message *message = call->assembling;

	if (!message->partial && call->expire_as != PLUG_ECANCELLED)
		return false;
	if (!message->partial) {
		plugc_call_end(client, call, PLUG_ECANCELLED, "%s", plug_err_text(PLUG_ECANCELLED));
		return true;
	}
	call->assembling = NULL;
	plugc_message_free(message);
	return true;
}

void
plugc_call_more(struct plug_client *client, struct plugc_call *call, const void *data, size_t size,
		bool last)
{
	struct plugc_message *message = call->assembling;
	plug_err err = PLUG_OK;

	if (last && size == 0 && given_up(client, call))
		return;
	if (message->pub.payload.size + size > call->limit_bytes) {
		too_large(client, call);
		return;
	}
	err = plugc_message_append(message, data, size);
	if (err == PLUG_OK && last) {
		call->assembling = NULL;
		err = complete(client, call, message);
	}
	if (err != PLUG_OK)
		no_memory(client, call);
}

/* Takes message, of which env is a part. */
static void
receive_response(struct plug_client *client, struct plugc_call *call, struct plugc_message *message)
{
	const Plug__Response *response = message->env->response;
	plug_err outcome = (plug_err)response->outcome;
	bool more = response->more;
	char *text = NULL;

	if (!more && outcome != PLUG_OK)
		text = strdup(*plug_str(response->message) ? response->message
							   : plug_err_text(outcome));
	if (call->idle_ms)
		call->deadline_ns = plugc_after_ms(plugc_after_ms(plugc_now_ns(), call->idle_ms),
						   PLUGC_GRACE_MS);
	deliver(client, call, message, plug_envelope_size(message->env));
	if (!more && !call->done)
		end_with_text(client, call, outcome, text);
	else
		free(text);
}

/* Takes env. */
static void
receive_whole(struct plug_client *client, struct plugc_call *call, Plug__Envelope *env)
{
	struct plugc_message *message = plugc_message_of(env);

	if (!message) {
		plug_envelope_free(env);
		no_memory(client, call);
	} else if (call->is_request) {
		receive_response(client, call, message);
	} else {
		plugc_call_message(client, call, message);
	}
}

/* The plugin died, or the deadline passed, in the middle of a long reply: plugd says so in its
 * place. */
static bool
ends_unfinished(const struct plugc_call *call, const Plug__Envelope *env)
{
	return call->assembling && env->body_case == PLUG__ENVELOPE__BODY_REPLY &&
	       env->reply->outcome != PLUG_OK && !env->reply->partial && !env->reply->more;
}

plug_err
plugc_call_receive(struct plug_client *client, struct plugc_call *call, Plug__Envelope *env)
{
	bool is_response = env->body_case == PLUG__ENVELOPE__BODY_RESPONSE;
	bool is_chunk = env->body_case == PLUG__ENVELOPE__BODY_CHUNK;

	if (call->done) {
		plug_envelope_free(env);
		return PLUG_OK;
	}
	if (ends_unfinished(call, env)) {
		plugc_message_free(call->assembling);
		call->assembling = NULL;
	}
	if (is_response != call->is_request || is_chunk != (call->assembling != NULL)) {
		plug_envelope_free(env);
		return PLUG_EPROTO;
	}
	if (!is_chunk) {
		receive_whole(client, call, env);
	} else {
		plugc_call_more(client, call, env->chunk->data.data, env->chunk->data.len,
				env->chunk->last);
		plug_envelope_free(env);
	}
	return PLUG_OK;
}
