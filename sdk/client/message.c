/* Replies, their pieces and responses, and the memory they are in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

struct plugc_message *
plugc_message_new(size_t bytes)
{
	struct plugc_message *message = malloc(sizeof(*message) + bytes);

	if (!message)
		return NULL;
	message->pub = (struct plug_reply){
		.payload = {.data = "", .content_type = ""},
		.message = "",
	};
	message->env = NULL;
	message->joined = NULL;
	message->text = NULL;
	message->tensors = NULL;
	message->capacity = 0;
	message->more = message->partial = false;
	return message;
}

struct plugc_message *
plugc_message_of(Plug__Envelope *env)
{
	struct plugc_message *message = plugc_message_new(0);
	const Plug__Reply *reply = env->reply;

	if (!message)
		return NULL;
	message->env = env;
	if (env->body_case != PLUG__ENVELOPE__BODY_REPLY)
		return message;
	message->more = reply->more;
	message->partial = reply->partial;
	message->pub.outcome = (plug_err)reply->outcome;
	message->pub.message = plug_str(reply->message);
	message->pub.payload.content_type = plug_str(reply->content_type);
	message->pub.payload.size = reply->payload.len;
	if (reply->payload.data)
		message->pub.payload.data = reply->payload.data;
	return message;
}

struct plugc_message *
plugc_message_failure(plug_err outcome, char *text)
{
	struct plugc_message *message = plugc_message_new(0);

	if (!message) {
		free(text);
		return NULL;
	}
	message->text = text;
	message->pub.outcome = outcome;
	message->pub.message = text ? text : plug_err_text(outcome);
	return message;
}

void
plugc_message_free(struct plugc_message *message)
{
	if (!message)
		return;
	if (message->env)
		plug_envelope_free(message->env);
	for (size_t i = 0; i < message->pub.tensor_count; i++)
		plug_tensor_unref(&message->tensors[i]);
	free(message->tensors);
	free(message->joined);
	free(message->text);
	free(message);
}

void
plug_reply_free(struct plug_reply *reply)
{
	plugc_message_free((struct plugc_message *)reply);
}

plug_err
plugc_append(uint8_t **buf, size_t *size, size_t *capacity, const void *data, size_t more)
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

plug_err
plugc_message_append(struct plugc_message *message, const void *data, size_t more)
{
	struct plug_payload *payload = &message->pub.payload;
	plug_err err = PLUG_OK;

	if (!message->joined) { /* what came first is still where it came */
		size_t first = payload->size;

		payload->size = 0;
		err = plugc_append(&message->joined, &payload->size, &message->capacity,
				   payload->data, first);
	}
	if (err == PLUG_OK)
		err = plugc_append(&message->joined, &payload->size, &message->capacity, data,
				   more);
	if (err == PLUG_OK)
		payload->data = message->joined;
	return err;
}
