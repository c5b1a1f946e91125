/*
 * From the plugin to the caller: records of the ring, copied before anything of them is looked at.
 *
 * A reply is read where its copy lies.  Its texts are ended there with a NUL: behind every field
 * comes the tag of another, which has been read, or the end of the record, where there is room.
 */
#include "plane.h"

#include <string.h>

/* ---- one record ---- */

static struct plug_payload
payload_of(const struct plugs_message *from)
{
	return (struct plug_payload){
		.data = from->payload.size ? (const void *)from->payload.data : "",
		.size = from->payload.size,
	};
}

static const char *
text_of(struct plugs_bytes bytes)
{
	return bytes.size ? plugc_text((uint8_t *)bytes.data, bytes.size) : "";
}

/* The payload first: text that ends at it overwrites the tag before it. */
static void
fill(struct plugc_message *message, const struct plugs_message *from)
{
	message->more = from->more;
	message->partial = from->partial;
	message->pub.outcome = (plug_err)from->code;
	message->pub.payload = payload_of(from);
	message->pub.payload.content_type = text_of(from->content_type);
	message->pub.message = from->code == PLUG_OK ? "" : text_of(from->text);
}

/* NULL: all is well; else what is not. */
static const char *
wrong(struct plugc_flight *flight, const struct plugs_message *from)
{
	bool is_chunk = from->kind == PLUGS_CHUNK;
	const struct plugc_channel *channel = flight->channel;

	if (is_chunk != flight->in_chunks)
		return is_chunk ? "a Chunk without a Reply before it"
				: "a Reply before the last Chunk";
	if (from->payload.size > PLUG_CHUNK_BYTES)
		return "more than 48 KiB of payload in one message";
	if (flight->ahead + from->payload.size > channel->window_bytes + PLUG_CHUNK_BYTES)
		return "more of a reply than its window: it has to wait for Credit";
	if (!is_chunk && from->partial && !(flight->method && flight->method->stream))
		return "a piece of a stream from a method that is not one";
	return NULL;
}

static void
count_copy(struct plugc_channel *channel, size_t bytes)
{
	struct plugc_counts *counts = &channel->route->counts;

	counts->copies += bytes != 0;
	counts->bytes_copied += bytes;
}

static void
end_for_tensors(struct plugc_flight *flight, plug_err err)
{
	struct plugc_route *route = flight->channel->route;

	plugc_call_end(route->client, flight->call, err == PLUG_ENOMEM ? err : PLUG_EPLUGIN,
		       "%s answered with tensors that cannot be used: %s", route->name,
		       plug_tensor_error_text());
}

/* Takes message. */
static void
take_reply(struct plugc_flight *flight, struct plugc_message *message,
	   const struct plugs_message *from)
{
	struct plugc_call *call = flight->call;
	bool kept = call && call->on_piece && from->partial && !from->more;

	flight->in_chunks = from->more;
	flight->last = !from->partial;
	flight->many = flight->many || from->more || from->partial;
	if (flight->many && !kept)
		plugc_flight_credit(flight, from->payload.size);
	if (call)
		fill(message, from);
	if (from->tensor_count) {
		plug_err err = plugc_tensors_take(flight->channel, from, call ? message : NULL);

		if (err != PLUG_OK) {
			end_for_tensors(flight, err);
			call = NULL;
		}
	}
	if (!call) {
		plugc_message_free(message);
		return;
	}
	plugc_call_message(flight->channel->route->client, call, message);
}

/* Takes message. */
static void
take_chunk(struct plugc_flight *flight, struct plugc_message *message,
	   const struct plugs_message *from)
{
	flight->in_chunks = !from->last;
	plugc_flight_credit(flight, from->payload.size);
	if (flight->call) {
		count_copy(flight->channel, from->payload.size);
		plugc_call_more(flight->channel->route->client, flight->call, from->payload.data,
				from->payload.size, from->last);
	}
	plugc_message_free(message);
}

/* Takes message. */
static void
take_message(struct plugc_channel *channel, struct plugc_message *message,
	     const struct plugs_message *from)
{
	struct plugc_flight *flight;
	const char *what = NULL;

	flight = (struct plugc_flight *)plugc_table_find(&channel->flights, from->id);
	if (!flight && channel->gone && from->id <= channel->last_id) {
		plugc_message_free(message); /* of a dying process, to a call that has left it */
		return;
	}
	if (!flight)
		what = "an answer to a call that it does not have";
	else
		what = wrong(flight, from);
	if (what) {
		plugc_message_free(message);
		plugc_channel_violate(channel, what);
		return;
	}
	flight->answering = true;
	if (from->id > channel->answered)
		channel->answered = from->id;
	flight->ahead += from->payload.size;
	count_copy(channel, from->payload.size);
	if (from->kind == PLUGS_CHUNK)
		take_chunk(flight, message, from);
	else
		take_reply(flight, message, from);
	if (flight->last && !flight->in_chunks)
		plugc_flight_free(flight);
}

static void
take_record(struct plugc_channel *channel, const uint8_t *body, size_t size)
{
	struct plugc_message *message = plugc_message_new(size + 1);
	struct plugs_message from = {.tensors = channel->tensors};

	if (!message) {
		plugc_channel_end(channel, PLUG_ENOMEM, "no memory for a reply");
		return;
	}
	memcpy(message->bytes, body, size);
	plugs_taken(&channel->taker, size);
	if (plugs_message_unpack(message->bytes, size, &from) != PLUG_OK ||
	    (from.kind != PLUGS_REPLY && from.kind != PLUGS_CHUNK)) {
		plugc_message_free(message);
		plugc_channel_violate(channel, "a record that is no Reply and no Chunk");
		return;
	}
	take_message(channel, message, &from);
}

/* ---- all of them ---- */

static bool
has_something(const struct plugc_call *call)
{
	return call && (call->done || call->elsewhere || !STAILQ_EMPTY(&call->inbox));
}

/* Before spinning, too: a plugin that waits for room posts nothing that would end the spin. */
static void
tell_of_room(struct plugc_channel *channel)
{
	if (__atomic_load_n(channel->taker.peer_sleeping, __ATOMIC_RELAXED) & PLUG_SLEEP_ROOM &&
	    plugs_tell_taken(&channel->taker))
		channel->wake_due = true;
}

unsigned
plugc_take(struct plugc_channel *channel, const struct plugc_call *call, unsigned limit)
{
	unsigned count = 0;

	while (count < limit && !channel->finished && !has_something(call)) {
		const uint8_t *body;
		size_t size;
		plug_err err = plugs_peek(&channel->taker, &body, &size);

		if (err == PLUG_EAGAIN)
			break;
		if (err != PLUG_OK) {
			plugc_channel_violate(channel, "its ring holds what is no record");
			break;
		}
		take_record(channel, body, size);
		count++;
	}
	if (count && !channel->finished)
		tell_of_room(channel);
	return count;
}
