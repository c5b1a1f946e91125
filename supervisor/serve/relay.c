#include "serve/relay.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "serve/router.h"

#define PACKED_OVERHEAD 128 /* of a message, besides payload, method and content type */

static void
on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	router_on_deadline(w->data);
}

struct relay *
relay_make(struct router *router, struct plugin *plugin, uint64_t id, const char *method,
	   const char *content_type)
{
	struct relay *relay = calloc(1, sizeof(*relay));

	if (!relay)
		return NULL;
	relay->content_type = strdup(content_type);
	relay->id = id;
	if (!relay->content_type || !idmap_put(&router->by_id, relay->id, relay)) {
		free(relay->content_type);
		free(relay);
		return NULL;
	}
	relay->router = router;
	relay->plugin = plugin;
	snprintf(relay->method, sizeof(relay->method), "%s", method);
	list_append(&plugin->incoming, &relay->node);
	list_init(&relay->ticket.node);
	list_init(&relay->parts);
	list_init(&relay->kept_node);
	ev_timer_init(&relay->deadline_w, on_deadline, 0., 0.);
	relay->deadline_w.data = relay;
	return relay;
}

plug_err
relay_new(struct router *router, struct plugin *plugin, const Plug__Call *call, struct relay **ret)
{
	struct relay *relay = relay_make(router, plugin, ++router->last_id, plug_str(call->method),
					 plug_str(call->content_type));

	if (!relay)
		return PLUG_ENOMEM;
	utf8_clean(relay->content_type, strlen(relay->content_type));
	relay->replayed = call->again;
	relay->died_channel = call->died_channel;
	relay->died_number = call->died_number;
	relay->started_ns = clock_mono_ns();
	*ret = relay;
	return PLUG_OK;
}

/* Take it off the queue or the instance that counts it. */
static void
detach(struct relay *relay)
{
	if (relay->state == RELAY_QUEUED && !relay->held_for)
		relay->plugin->queued--;
	list_remove(&relay->node);
	if (relay->plugin->trial == relay)
		relay->plugin->trial = NULL;
	if (relay->state == RELAY_SENT) {
		relay->instance->in_flight--;
		instance_call_ended(relay->instance);
	}
}

void
relay_free(struct relay *relay)
{
	struct router *router = relay->router;

	idmap_take(&router->by_id, relay->id);
	ticket_close(&relay->ticket);
	ev_timer_stop(router->host->loop, &relay->deadline_w);
	relay_drop_parts(relay);
	detach(relay);
	free(relay->content_type);
	free(relay);
}

struct relay_part *
relay_add_empty_part(struct relay *relay, size_t capacity)
{
	struct relay_part *part = malloc(sizeof(*part) + capacity);

	if (!part)
		return NULL;
	part->size = 0;
	part->capacity = capacity;
	list_append(&relay->parts, &part->node);
	relay->messages++;
	relay->router->held_bytes += sizeof(*part) + capacity;
	return part;
}

/* The part that the next `size` bytes go into. */
static struct relay_part *
part_for(struct relay *relay, size_t size)
{
	struct relay_part *last;

	if (list_empty(&relay->parts))
		return relay_add_empty_part(relay,
					    size < PLUG_CHUNK_BYTES ? size : PLUG_CHUNK_BYTES);
	last = LIST_ENTRY(relay->parts.prev, struct relay_part, node);
	return last->size < last->capacity ? last : relay_add_empty_part(relay, PLUG_CHUNK_BYTES);
}

plug_err
relay_add_part(struct relay *relay, const void *data, size_t size, uint64_t limit)
{
	const uint8_t *at = data;

	if (size > limit || relay->bytes > limit - size)
		return PLUG_ETOOLARGE;
	while (size || list_empty(&relay->parts)) {
		struct relay_part *part = part_for(relay, size);
		size_t room, fits;

		if (!part)
			return PLUG_ENOMEM;
		room = part->capacity - part->size;
		fits = size < room ? size : room;
		if (!fits)
			break; /* an empty payload */
		memcpy(part->bytes + part->size, at, fits);
		part->size += fits;
		relay->bytes += fits;
		at += fits;
		size -= fits;
	}
	return PLUG_OK;
}

static uint64_t *
counter_of(struct relay *relay)
{
	struct router *router = relay->router;

	return list_empty(&relay->kept_node) ? &router->held_bytes : &router->kept_bytes;
}

void
relay_drop_parts(struct relay *relay)
{
	uint64_t *counter = counter_of(relay);

	LIST_FOREACH_SAFE (part, &relay->parts, struct relay_part, node) {
		*counter -= sizeof(*part) + part->capacity;
		list_remove(&part->node);
		free(part);
	}
	list_remove(&relay->kept_node);
}

void
relay_keep_parts(struct relay *relay)
{
	struct router *router = relay->router;

	if (!relay->has_user) {
		relay_drop_parts(relay);
		return;
	}
	if (!list_empty(&relay->kept_node))
		return;
	LIST_FOREACH (part, &relay->parts, struct relay_part, node) {
		router->held_bytes -= sizeof(*part) + part->capacity;
		router->kept_bytes += sizeof(*part) + part->capacity;
	}
	list_append(&router->kept, &relay->kept_node);
}

void
relay_arm(struct relay *relay, double seconds)
{
	struct ev_loop *loop = relay->router->host->loop;

	ev_timer_stop(loop, &relay->deadline_w);
	ev_now_update(loop); /* the loop may have been busy: not before its time */
	ev_timer_set(&relay->deadline_w, seconds, 0.);
	ev_timer_start(loop, &relay->deadline_w);
}

uint64_t
relay_age_ms(const struct relay *relay)
{
	if (relay->state == RELAY_SENT)
		return clock_mono_ms() - relay->sent_ms;
	return (clock_mono_ns() - relay->started_ns) / 1000000u;
}

bool
relay_is_awaited(const struct relay *relay)
{
	return relay->ticket.client || relay->on_outcome;
}

/* ---- to the plugin ---- */

static plug_err
send_call(struct relay *relay, const struct relay_part *part)
{
	Plug__Call call = PLUG__CALL__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	uint64_t now = clock_mono_ns();

	call.method = relay->method;
	call.content_type = relay->content_type;
	call.payload.data = (uint8_t *)part->bytes;
	call.payload.len = part->size;
	call.more = part->node.next != &relay->parts;
	call.timeout_us = relay->deadline_ns > now ? (relay->deadline_ns - now) / 1000u + 1 : 1;
	env.id = relay->id;
	env.body_case = PLUG__ENVELOPE__BODY_CALL;
	env.call = &call;
	return instance_send(relay->instance, &env);
}

static plug_err
send_chunk(struct relay *relay, const struct relay_part *part)
{
	Plug__Chunk chunk = PLUG__CHUNK__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	chunk.data.data = (uint8_t *)part->bytes;
	chunk.data.len = part->size;
	chunk.last = part->node.next == &relay->parts;
	env.id = relay->id;
	env.body_case = PLUG__ENVELOPE__BODY_CHUNK;
	env.chunk = &chunk;
	return instance_send(relay->instance, &env);
}

size_t
relay_packed_bytes(const struct relay *relay)
{
	return relay->bytes + relay->messages * PACKED_OVERHEAD + strlen(relay->method) +
	       strlen(relay->content_type);
}

plug_err
relay_send(struct relay *relay, bool *ret_begun)
{
	*ret_begun = false;
	LIST_FOREACH (part, &relay->parts, struct relay_part, node) {
		plug_err err = *ret_begun ? send_chunk(relay, part) : send_call(relay, part);

		if (err)
			return err;
		*ret_begun = true;
	}
	return PLUG_OK;
}

void
relay_cancel(struct relay *relay, plug_err reason)
{
	Plug__Cancel cancel = PLUG__CANCEL__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	if (!relay->instance)
		return;
	cancel.reason = reason;
	env.id = relay->id;
	env.body_case = PLUG__ENVELOPE__BODY_CANCEL;
	env.cancel = &cancel;
	instance_send(relay->instance, &env);
}

/* ---- to the client ---- */

void
relay_answer(struct relay *relay, plug_err outcome, const char *message)
{
	Plug__Reply reply = PLUG__REPLY__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	struct client *client = relay->ticket.client;
	relay_outcome *on_outcome = relay->on_outcome;

	if (on_outcome) {
		relay->on_outcome = NULL;
		on_outcome(relay, outcome, message ? message : plug_err_text(outcome));
	}
	if (!client)
		return;
	stats_count(&relay->plugin->stats, relay->method, outcome,
		    (clock_mono_ns() - relay->started_ns) / 1000u, message);
	reply.outcome = outcome;
	reply.message = (char *)(message ? message : plug_err_text(outcome));
	env.id = relay->ticket.id;
	env.body_case = PLUG__ENVELOPE__BODY_REPLY;
	env.reply = &reply;
	ticket_close(&relay->ticket);
	client_send(client, &env, NULL);
}
