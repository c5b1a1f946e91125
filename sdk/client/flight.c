/*
 * From the caller to the plugin: calls, their chunks, cancels and credit.
 *
 * A call gets its number when its first record is posted, so that numbers are in the order of
 * posting.  What finds no room waits in channel->out, where everybody gets a turn for one record;
 * while something waits there, everything goes through it.  Cancels and credit are short and go to
 * its front.
 */
#include "plane.h"

#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

static struct plugc_flight *
flight_new(struct plugc_channel *channel)
{
	struct plugc_flight *flight = TAILQ_FIRST(&channel->spare);

	if (flight) {
		TAILQ_REMOVE(&channel->spare, flight, link);
		channel->spare_count--;
	} else {
		flight = malloc(sizeof(*flight));
		if (!flight)
			return NULL;
	}
	memset(flight, 0, sizeof(*flight));
	flight->channel = channel;
	return flight;
}

/* The plugin has said its last word on it. */
static bool
is_over(const struct plugc_flight *flight)
{
	return flight->last && !flight->in_chunks;
}

static size_t
waiting_bytes(const struct plugc_flight *flight)
{
	const struct plugc_call *call = flight->call;

	return call && !call->blocking ? call->out.size - flight->posted : 0;
}

static void
unqueue(struct plugc_flight *flight)
{
	if (!flight->queued)
		return;
	TAILQ_REMOVE(&flight->channel->out, flight, link);
	flight->channel->out_bytes -= waiting_bytes(flight);
	flight->queued = false;
}

static void
queue(struct plugc_flight *flight, bool front)
{
	struct plugc_channel *channel = flight->channel;

	unqueue(flight);
	if (front)
		TAILQ_INSERT_HEAD(&channel->out, flight, link);
	else
		TAILQ_INSERT_TAIL(&channel->out, flight, link);
	channel->out_bytes += waiting_bytes(flight);
	flight->queued = true;
}

static void
release(struct plugc_flight *flight)
{
	struct plugc_channel *channel = flight->channel;

	if (channel->spare_count >= PLUGC_SPARE_MAX) {
		free(flight);
		return;
	}
	TAILQ_INSERT_HEAD(&channel->spare, flight, link);
	channel->spare_count++;
}

static void
let_go(struct plugc_flight *flight)
{
	if (!flight->call)
		return;
	if (!flight->call->blocking)
		flight->channel->async--;
	flight->call->flight = NULL;
	flight->call = NULL;
}

void
plugc_flight_detach(struct plugc_flight *flight)
{
	unqueue(flight);
	let_go(flight);
	if (!flight->started)
		release(flight);
	else if (flight->cancel && !is_over(flight))
		queue(flight, true);
}

void
plugc_flight_free(struct plugc_flight *flight)
{
	unqueue(flight);
	let_go(flight);
	if (flight->started)
		plugc_table_remove(&flight->channel->flights, &flight->entry);
	plugs_pins_end(flight->pins);
	release(flight);
}

/* ---- posting ---- */

static plug_err
post(struct plugc_channel *channel, const struct plugs_message *message)
{
	uint8_t *body;
	plug_err err = plugs_reserve(&channel->poster, plugs_message_bound(message), &body);

	if (err == PLUG_OK && plugs_post(&channel->poster, plugs_message_pack(message, body)))
		channel->wake_due = true;
	return err;
}

/* Microseconds that are left for the plugin. */
static uint64_t
left_us(const struct plugc_call *call)
{
	uint64_t now;

	if (call->call_deadline_ns == PLUGC_NEVER) /* none, or the clock was not looked at yet */
		return call->timeout_ms < UINT64_MAX / 1000 ? call->timeout_ms * 1000 : 0;
	now = plugc_now_ns();
	return call->call_deadline_ns > now + 1000 ? (call->call_deadline_ns - now) / 1000 : 1;
}

static void
count_copy(struct plugc_channel *channel, size_t bytes)
{
	struct plugc_counts *counts = &channel->route->counts;

	counts->copies += bytes != 0;
	counts->bytes_copied += bytes;
}

static size_t
piece_of(const struct plugc_flight *flight, size_t overhead)
{
	size_t left = flight->call->out.size - flight->posted;
	size_t most = flight->channel->poster.record_max - overhead;

	if (most > PLUG_CHUNK_BYTES)
		most = PLUG_CHUNK_BYTES;
	return left < most ? left : most;
}

static plug_err
post_first(struct plugc_flight *flight, struct plugs_message *message)
{
	struct plugc_channel *channel = flight->channel;
	const struct plugc_out *out = &flight->call->out;
	plug_err err;

	message->payload.data = out->payload;
	message->payload.size = piece_of(flight, plugs_message_bound(message));
	message->more = message->payload.size < out->size;
	err = post(channel, message);
	if (err != PLUG_OK)
		return err;
	flight->entry.id = ++channel->last_id;
	plugc_table_add(&channel->flights, &flight->entry);
	flight->started = true;
	flight->posted = message->payload.size;
	count_copy(channel, message->payload.size);
	return PLUG_OK;
}

static plug_err
post_with_tensors(struct plugc_flight *flight, struct plugs_message *message)
{
	struct plugs_tensor wire[PLUGS_TENSORS_MAX];
	plug_err err = plugc_tensors_lend(flight, wire, message);

	if (err != PLUG_OK)
		return err;
	err = post_first(flight, message);
	if (err != PLUG_OK) {
		plugs_pins_end(flight->pins);
		flight->pins = NULL;
	}
	return err;
}

static plug_err
post_call(struct plugc_flight *flight)
{
	struct plugc_channel *channel = flight->channel;
	const struct plugc_out *out = &flight->call->out;
	struct plugs_message message = {
		.kind = PLUGS_CALL,
		.id = channel->last_id + 1,
		.method = {(const uint8_t *)out->method, out->method_length},
		.content_type = {(const uint8_t *)out->content_type, out->type_length},
		.timeout_us = left_us(flight->call),
	};

	if (plugs_exchange_has_returns(channel->exchange))
		plugc_tensors_return(channel);
	return out->tensor_count ? post_with_tensors(flight, &message)
				 : post_first(flight, &message);
}

static plug_err
post_chunk(struct plugc_flight *flight)
{
	const struct plugc_out *out = &flight->call->out;
	struct plugs_message message = {.kind = PLUGS_CHUNK, .id = flight->entry.id};
	plug_err err;

	message.payload.data = out->payload + flight->posted;
	message.payload.size = piece_of(flight, plugs_message_bound(&message));
	message.last = flight->posted + message.payload.size == out->size;
	err = post(flight->channel, &message);
	if (err == PLUG_OK) {
		flight->posted += message.payload.size;
		count_copy(flight->channel, message.payload.size);
	}
	return err;
}

static plug_err
post_cancel(struct plugc_flight *flight)
{
	struct plugs_message message = {
		.kind = PLUGS_CANCEL, .id = flight->entry.id, .code = (uint32_t)flight->cancel};
	plug_err err = post(flight->channel, &message);

	if (err == PLUG_OK) {
		flight->cancel = PLUG_OK;
		flight->sent = true; /* nothing more of its payload */
	}
	return err;
}

static plug_err
post_credit(struct plugc_flight *flight)
{
	struct plugs_message message = {
		.kind = PLUGS_CREDIT, .id = flight->entry.id, .credit = flight->credit};
	plug_err err = post(flight->channel, &message);

	if (err == PLUG_OK) {
		flight->ahead -= flight->credit;
		flight->credit = 0;
	}
	return err;
}

static bool
credit_due(const struct plugc_flight *flight)
{
	return flight->many && flight->credit &&
	       flight->credit >= flight->channel->window_bytes / 4;
}

/* One record of it. */
static plug_err
post_next(struct plugc_flight *flight)
{
	plug_err err;

	if (flight->cancel)
		return post_cancel(flight);
	if (credit_due(flight))
		return post_credit(flight);
	err = flight->started ? post_chunk(flight) : post_call(flight);
	if (err == PLUG_OK && flight->posted == flight->call->out.size)
		flight->sent = true;
	return err;
}

static bool
has_more(const struct plugc_flight *flight)
{
	return flight->cancel || credit_due(flight) || (flight->call && !flight->sent);
}

static void
cannot_post(struct plugc_flight *flight, plug_err err)
{
	struct plugc_channel *channel = flight->channel;

	if (err == PLUG_EPROTO) {
		queue(flight, true); /* ends with the others */
		plugc_channel_violate(channel, "it says that it has taken what was never posted");
	} else if (flight->refusal) {
		plugc_call_end(channel->route->client, flight->call, flight->refusal, "%s",
			       plug_tensor_error_text());
	} else if (flight->call) { /* cannot be: pieces are cut to fit */
		plugc_call_end(channel->route->client, flight->call, PLUG_ETOOLARGE,
			       "the request does not fit into a message of %llu bytes",
			       (unsigned long long)channel->poster.record_max);
	}
}

bool
plugc_flight_flush(struct plugc_channel *channel)
{
	struct plugc_flight *flight;
	bool some = false;

	while (!channel->finished && (flight = TAILQ_FIRST(&channel->out))) {
		plug_err err;

		unqueue(flight);
		err = has_more(flight) ? post_next(flight) : PLUG_OK;
		if (err == PLUG_OK) {
			some = true;
			if (has_more(flight))
				queue(flight, flight->cancel || credit_due(flight));
		} else if (err == PLUG_EOVERLOADED) {
			queue(flight, true);
			return some;
		} else {
			cannot_post(flight, err);
		}
	}
	return some;
}

/* ---- what is to be posted ---- */

/* The thread that sleeps on the socket went to sleep when nothing waited for room. */
void
plugc_flight_push(struct plugc_channel *channel)
{
	plugc_flight_flush(channel);
	if (TAILQ_EMPTY(&channel->out) || channel->finished ||
	    !(channel->sleeping || channel->armed))
		return;
	plugs_sleep_begin(&channel->own, PLUG_SLEEP_RECORDS | PLUG_SLEEP_ROOM);
	plugc_flight_flush(channel);
}

static const struct plugc_method *
find_method(const struct plugc_channel *channel, const struct plugc_out *out)
{
	for (size_t i = 0; i < channel->method_count; i++) {
		const struct plugc_method *method = &channel->methods[i];

		if (method->length == out->method_length &&
		    memcmp(method->name, out->method, out->method_length) == 0)
			return method;
	}
	return NULL;
}

void
plugc_flight_stamp(struct plugc_call *call)
{
	if (!call->timeout_ms || call->call_deadline_ns != PLUGC_NEVER)
		return;
	call->call_deadline_ns = plugc_after_ms(plugc_now_ns(), call->timeout_ms);
	call->deadline_ns = plugc_after_ms(call->call_deadline_ns, PLUGC_GRACE_MS);
}

void
plugc_flight_start(struct plugc_channel *channel, struct plugc_call *call)
{
	struct plugc_flight *flight = flight_new(channel);
	plug_err err = PLUG_EOVERLOADED;

	if (!flight) {
		plugc_call_end(channel->route->client, call, PLUG_ENOMEM, "no memory for a call");
		return;
	}
	channel->route->counts.calls++;
	flight->method = find_method(channel, &call->out);
	flight->call = call;
	call->flight = flight;
	call->limit_bytes = channel->call_bytes;
	call->timeout_ms = call->asked_ms;
	if (!call->asked_ms && flight->method)
		call->timeout_ms = flight->method->timeout_ms;
	if (!call->blocking)
		channel->async++;
	if (TAILQ_EMPTY(&channel->out))
		err = post_next(flight);
	if (err == PLUG_OK && flight->sent)
		return;
	if (err != PLUG_OK && err != PLUG_EOVERLOADED) {
		cannot_post(flight, err);
		return;
	}
	plugc_flight_stamp(call);
	queue(flight, false);
	plugc_flight_push(channel);
}

void
plugc_flight_cancel(struct plugc_flight *flight, plug_err reason)
{
	if (!flight->started || is_over(flight))
		return;
	flight->cancel = reason == PLUG_ETIMEOUT ? PLUG_ETIMEOUT : PLUG_ECANCELLED;
	queue(flight, true);
}

void
plugc_flight_credit(struct plugc_flight *flight, size_t bytes)
{
	flight->credit += bytes;
	if (!is_over(flight) && credit_due(flight))
		queue(flight, true);
}
