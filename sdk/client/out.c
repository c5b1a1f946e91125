/* What waits to be sent.  A message is packed only when the kernel is about to take it, so that
 * the payload is copied once and the deadline sent is what is left of it.  Calls longer than one
 * message take turns: a long one does not hold up the short ones behind it. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "plane.h"

static bool
field_ok(const char *text, size_t *ret_length)
{
	*ret_length = text ? strlen(text) : 0;
	return *ret_length && *ret_length <= PLUGC_FIELD_BYTES;
}

plug_err
plugc_out_prepare(struct plug_client *client, struct plugc_call *call,
		  const struct plug_request *request)
{
	const char *type;
	size_t plugin_length;
	bool older; /* a program that does not know of tensors */

	if (!request || request->size < offsetof(struct plug_request, tensors))
		return plugc_fail(client, PLUG_EINVAL,
				  "request->size is not sizeof(struct plug_request)");
	older = request->size < sizeof(*request);
	type = request->payload.content_type ? request->payload.content_type : "application/json";
	call->out.type_length = strlen(type);
	if (!field_ok(request->plugin, &plugin_length) ||
	    !field_ok(request->method, &call->out.method_length) ||
	    call->out.type_length > PLUGC_FIELD_BYTES)
		return plugc_fail(client, PLUG_EINVAL,
				  "a call names a plugin and a method of 1 to %d bytes",
				  PLUGC_FIELD_BYTES);
	if (!request->payload.data && request->payload.size)
		return plugc_fail(client, PLUG_EINVAL, "payload.data is NULL, payload.size is %zu",
				  request->payload.size);
	if (!older && request->tensor_count &&
	    (!request->tensors || request->tensor_count > PLUG_TENSORS))
		return plugc_fail(client, PLUG_EINVAL, "%zu tensors at %p, expected %d at most",
				  request->tensor_count, (const void *)request->tensors,
				  PLUG_TENSORS);
	call->out.plugin = request->plugin;
	call->out.method = request->method;
	call->out.content_type = type;
	call->out.payload = request->payload.data;
	call->out.size = request->payload.size;
	call->asked_ms = request->timeout_ms;
	if (!older) {
		call->out.tensors = request->tensors;
		call->out.tensor_count = request->tensor_count;
		call->plane_only = request->tensor_count || request->flags & PLUG_REQUEST_CHANNEL;
	}
	return PLUG_OK;
}

static size_t
waiting(const struct plugc_out *out)
{
	return out->copied ? out->size - out->sent : 0;
}

void
plugc_out_add(struct plug_client *client, struct plugc_out *out)
{
	TAILQ_INSERT_TAIL(&client->out, out, link);
	client->out_bytes += waiting(out);
	out->queued = true;
}

void
plugc_out_remove(struct plug_client *client, struct plugc_out *out)
{
	if (!out->queued)
		return;
	TAILQ_REMOVE(&client->out, out, link);
	client->out_bytes -= waiting(out);
	out->queued = false;
}

void
plugc_out_rewind(struct plug_client *client, struct plugc_out *out)
{
	plugc_out_remove(client, out);
	out->sent = 0;
	out->started = false;
	plugc_out_add(client, out);
}

void
plugc_out_cancel(struct plug_client *client, uint64_t id, plug_err reason)
{
	struct plugc_out *out = calloc(1, sizeof(*out));

	if (!out)
		return;
	out->id = id;
	out->cancel_reason = reason;
	plugc_out_add(client, out);
	plugc_flush(client);
}

static uint64_t
left_us(const struct plugc_call *call)
{
	uint64_t now = plugc_now_ns();

	if (call->call_deadline_ns == PLUGC_NEVER)
		return 0;
	return call->call_deadline_ns > now + 1000 ? (call->call_deadline_ns - now) / 1000 : 1;
}

/* The next message of out.  *ret_payload: payload bytes in it. */
static plug_err
pack_next(struct plug_client *client, struct plugc_out *out, size_t *ret_size, size_t *ret_payload)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__Call call = PLUG__CALL__INIT;
	Plug__Chunk chunk = PLUG__CHUNK__INIT;
	Plug__Cancel cancel = PLUG__CANCEL__INIT;
	Plug__ChannelRequest channel = PLUG__CHANNEL_REQUEST__INIT;
	size_t left = out->size - out->sent;
	ProtobufCBinaryData data = {.len = left < PLUG_CHUNK_BYTES ? left : PLUG_CHUNK_BYTES,
				    .data = (uint8_t *)out->payload + out->sent};

	env.id = out->id;
	if (!out->call) {
		env.body_case = PLUG__ENVELOPE__BODY_CANCEL;
		env.cancel = &cancel;
		cancel.reason = out->cancel_reason;
	} else if (out->request) {
		env.body_case = PLUG__ENVELOPE__BODY_REQUEST;
		env.request = (Plug__Request *)out->request;
	} else if (out->call->route) {
		env.body_case = PLUG__ENVELOPE__BODY_CHANNEL_REQUEST;
		env.channel_request = &channel;
		channel.plugin = (char *)out->plugin;
		channel.region_bytes = out->call->route->region_bytes;
	} else if (out->started) {
		env.body_case = PLUG__ENVELOPE__BODY_CHUNK;
		env.chunk = &chunk;
		chunk.data = data;
		chunk.last = data.len == left;
	} else {
		env.body_case = PLUG__ENVELOPE__BODY_CALL;
		env.call = &call;
		call.plugin = (char *)out->plugin;
		call.method = (char *)out->method;
		call.content_type = (char *)out->content_type;
		call.timeout_us = left_us(out->call);
		call.payload = data;
		call.more = data.len < left;
		call.again = out->call->replayed;
		call.died_channel = out->call->died_channel;
		call.died_number = out->call->died_number;
	}
	*ret_payload = data.len;
	return plug_envelope_pack(&env, client->scratch, sizeof(client->scratch), ret_size);
}

static void
all_sent(struct plugc_call *call)
{
	call->sent = true;
	if (call->route)
		plugc_open_sent(call->route);
}

static void
sent_some(struct plug_client *client, struct plugc_out *out, size_t payload)
{
	plugc_out_remove(client, out);
	out->started = true;
	out->sent += payload;
	if (out->sent < out->size)
		plugc_out_add(client, out);
	else if (out->call)
		all_sent(out->call);
	else
		free(out);
}

static ssize_t
send_message(struct plug_client *client, const struct plugc_out *out, size_t size)
{
	int fd = out->call && out->call->route ? out->call->route->region_fd : -1;

	if (fd < 0)
		return send(client->fd, client->scratch, size, MSG_NOSIGNAL | MSG_DONTWAIT);
	return plugc_send_fd(client->fd, client->scratch, size, fd);
}

void
plugc_flush(struct plug_client *client)
{
	struct plugc_out *out;

	for (int i = 0; i < PLUGC_FLUSH_MAX; i++) {
		size_t size, payload;

		out = TAILQ_FIRST(&client->out);
		if (!out || client->state != PLUGC_READY || client->broken)
			return;

		if (pack_next(client, out, &size, &payload) != PLUG_OK) {
			plugc_call_end(client, out->call, PLUG_ETOOLARGE,
				       "the request does not fit into a message of %u bytes",
				       PLUG_MESSAGE_BYTES);
			continue;
		}
		if (send_message(client, out, size) < 0) {
			if (errno == EINTR)
				continue;
			client->broken = errno != EAGAIN;
			return;
		}
		sent_some(client, out, payload);
	}
}
