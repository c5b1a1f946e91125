#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define MESSAGE_OVERHEAD 512 /* memory of a small piece besides its payload, about */

/* ---- messages ---- */

static struct plugc_message *
message_new(Plug__Envelope *env)
{
	struct plugc_message *message = calloc(1, sizeof(*message));

	if (message)
		message->env = env;
	return message;
}

void
plugc_message_free(struct plugc_message *message)
{
	if (!message)
		return;
	plug_envelope_free(message->env);
	free(message->joined);
	free(message);
}

struct plug_payload
plugc_message_payload(const struct plugc_message *message)
{
	const Plug__Reply *reply = message->env->reply;
	struct plug_payload payload = {.content_type = plug_str(reply->content_type)};

	payload.data = message->joined ? message->joined : reply->payload.data;
	payload.size = message->joined ? message->size : reply->payload.len;
	if (!payload.data)
		payload.data = "";
	return payload;
}

static plug_err
append(uint8_t **buf, size_t *size, size_t *capacity, const void *data, size_t more)
{
	size_t wanted = *capacity ? *capacity : 4096;
	uint8_t *longer;

	while (wanted < *size + more)
		wanted *= 2;
	if (wanted != *capacity) {
		longer = realloc(*buf, wanted);
		if (!longer)
			return PLUG_ENOMEM;
		*buf = longer;
		*capacity = wanted;
	}
	if (more)
		memcpy(*buf + *size, data, more);
	*size += more;
	return PLUG_OK;
}

/* ---- life ---- */

void
plugc_call_init(struct plugc_call *call, bool blocking)
{
	pthread_condattr_t attr;

	memset(call, 0, sizeof(*call));
	call->blocking = blocking;
	call->expire_as = PLUG_ETIMEOUT;
	call->deadline_ns = call->call_deadline_ns = PLUGC_NEVER;
	STAILQ_INIT(&call->inbox);
	call->out.call = call;
	if (!blocking)
		return;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&call->wake, &attr);
	pthread_condattr_destroy(&attr);
}

void
plugc_call_fini(struct plug_client *client, struct plugc_call *call)
{
	struct plugc_message *message;

	plugc_out_remove(client, &call->out);
	plugc_table_remove(client, call);
	if (call->listed)
		TAILQ_REMOVE(&client->ready, call, link);
	while ((message = STAILQ_FIRST(&call->inbox))) {
		STAILQ_REMOVE_HEAD(&call->inbox, link);
		plugc_message_free(message);
	}
	plugc_message_free(call->assembling);
	plug_reply_free(call->reply ? &call->reply->pub : NULL);
	free(call->joined);
	free(call->joined_type);
	if (call->blocking)
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
		TAILQ_INSERT_TAIL(&client->ready, call, link);
		call->listed = true;
	}
}

void
plug_reply_free(struct plug_reply *reply)
{
	struct plugc_reply *whole = (struct plugc_reply *)reply;

	if (!whole)
		return;
	plugc_message_free(whole->message);
	free(whole->joined);
	free(whole->text);
	free(whole);
}

/* ---- ends ---- */

static void
end_with(struct plug_client *client, struct plugc_call *call, plug_err outcome,
	 struct plugc_reply *reply)
{
	call->done = true;
	call->outcome = outcome;
	call->reply = reply;
	plugc_out_remove(client, &call->out);
	plugc_message_free(call->assembling);
	call->assembling = NULL;
	notify(client, call);
}

/* Takes text. */
static void
end_with_text(struct plug_client *client, struct plugc_call *call, plug_err outcome, char *text)
{
	struct plugc_reply *reply = calloc(1, sizeof(*reply));

	if (reply) {
		reply->text = text;
		reply->pub.outcome = outcome;
		reply->pub.message = text ? text : plug_err_text(outcome);
		reply->pub.payload.data = reply->pub.payload.content_type = "";
	} else {
		free(text);
	}
	end_with(client, call, outcome, reply);
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
	va_start(args, format);
	end_with_text(client, call, reason, format_text(format, args));
	va_end(args);
	if (reached && client->state == PLUGC_READY)
		plugc_out_cancel(client, call->id,
				 reason == PLUG_ETIMEOUT ? PLUG_ETIMEOUT : PLUG_ECANCELLED);
}

void
plugc_call_expire(struct plug_client *client, struct plugc_call *call, uint64_t now_ns)
{
	if (call->done || now_ns < call->deadline_ns)
		return;
	if (call->expire_as == PLUG_ECANCELLED)
		plugc_call_end(client, call, PLUG_ECANCELLED,
			       "cancelled; plugd did not confirm it within %d ms", PLUGC_GRACE_MS);
	else
		plugc_call_abandon(
			client, call, PLUG_ETIMEOUT,
			"plugd did not answer within %llu ms nor in the second after; it "
			"may be hung or overloaded",
			(unsigned long long)call->timeout_ms);
}

/* ---- what comes ---- */

/* Without memory for it the reply is lost, and the call says so. */
static void
finish(struct plug_client *client, struct plugc_call *call, struct plugc_message *message)
{
	const Plug__Reply *from = message->env->reply;
	plug_err outcome = (plug_err)from->outcome;
	struct plugc_reply *reply = calloc(1, sizeof(*reply));

	if (!reply) {
		plugc_message_free(message);
		end_with(client, call, PLUG_ENOMEM, NULL);
		return;
	}
	reply->message = message;
	reply->pub.outcome = outcome;
	reply->pub.payload.data = reply->pub.payload.content_type = "";
	reply->pub.message = "";
	if (outcome != PLUG_OK) {
		reply->pub.message =
			*plug_str(from->message) ? from->message : plug_err_text(outcome);
	} else {
		reply->pub.payload = plugc_message_payload(message);
	}
	if (outcome == PLUG_OK && call->joined) {
		const struct plug_payload *last = &reply->pub.payload;

		if (append(&call->joined, &call->joined_size, &call->joined_capacity, last->data,
			   last->size) != PLUG_OK) {
			plug_reply_free(&reply->pub);
			end_with(client, call, PLUG_ENOMEM, NULL);
			return;
		}
		reply->joined = call->joined;
		reply->text = call->joined_type;
		reply->pub.payload.data = reply->joined;
		reply->pub.payload.size = call->joined_size;
		if (!*last->content_type && reply->text)
			reply->pub.payload.content_type = reply->text;
		call->joined = NULL;
		call->joined_type = NULL;
	}
	end_with(client, call, outcome, reply);
}

static void
too_large(struct plug_client *client, struct plugc_call *call)
{
	plugc_call_abandon(
		client, call, PLUG_ETOOLARGE,
		"the reply is longer than the limit of %llu bytes; ask for less or use a "
		"stream",
		(unsigned long long)client->call_bytes);
}

/* Takes message. */
static plug_err
join_piece(struct plug_client *client, struct plugc_call *call, struct plugc_message *message)
{
	struct plug_payload piece = plugc_message_payload(message);
	plug_err err = PLUG_OK;

	if (call->joined_size + piece.size > client->call_bytes) {
		too_large(client, call);
	} else {
		if (!call->joined_type && *piece.content_type)
			call->joined_type = strdup(piece.content_type);
		err = append(&call->joined, &call->joined_size, &call->joined_capacity, piece.data,
			     piece.size);
	}
	plugc_message_free(message);
	return err;
}

/* Takes message. */
static void
deliver(struct plug_client *client, struct plugc_call *call, struct plugc_message *message,
	size_t size)
{
	if (call->inbox_bytes + size > client->call_bytes) {
		plugc_message_free(message);
		plugc_call_abandon(client, call, PLUG_EOVERLOADED,
				   "more than %llu bytes of pieces wait for a callback that is too "
				   "slow",
				   (unsigned long long)client->call_bytes);
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
	size_t size = plugc_message_payload(message).size;

	if (!message->env->reply->partial)
		finish(client, call, message);
	else if (call->on_piece)
		deliver(client, call, message, size);
	else
		return join_piece(client, call, message);
	return PLUG_OK;
}

/* Takes message. */
static plug_err
assemble(struct plug_client *client, struct plugc_call *call, struct plugc_message *message,
	 const ProtobufCBinaryData *data, bool last)
{
	if (message->size + data->len > client->call_bytes) {
		plugc_message_free(message);
		call->assembling = NULL;
		too_large(client, call);
		return PLUG_OK;
	}
	call->assembling = message;
	if (append(&message->joined, &message->size, &message->capacity, data->data, data->len) !=
	    PLUG_OK)
		return PLUG_ENOMEM;
	if (!last)
		return PLUG_OK;
	call->assembling = NULL;
	return complete(client, call, message);
}

/* Takes message. */
static plug_err
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
	return PLUG_OK;
}

static plug_err
receive_message(struct plug_client *client, struct plugc_call *call, Plug__Envelope *env)
{
	struct plugc_message *message = message_new(env);

	if (!message) {
		plug_envelope_free(env);
		return PLUG_ENOMEM;
	}
	if (call->is_request)
		return receive_response(client, call, message);
	if (env->reply->more)
		return assemble(client, call, message, &env->reply->payload, false);
	return complete(client, call, message);
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
	plug_err err = PLUG_OK;

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
	if (!is_chunk)
		err = receive_message(client, call, env);
	else {
		err = assemble(client, call, call->assembling, &env->chunk->data, env->chunk->last);
		plug_envelope_free(env);
	}
	if (err == PLUG_ENOMEM)
		plugc_call_abandon(client, call, PLUG_ENOMEM, "no memory for the reply");
	return PLUG_OK;
}
