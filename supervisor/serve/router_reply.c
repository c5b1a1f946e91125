/* What comes back: replies, credit, and the end of the instance that had the calls. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "serve/held.h"
#include "serve/router_private.h"
#include "serve/suspects.h"

#define CREDIT_BYTES (PLUG_WINDOW_BYTES / 4)

/* Tell the plugin that bytes have left plugd; in larger steps, so that small answers cost no
 * message. */
static void
credit(struct relay *relay, size_t bytes)
{
	Plug__Credit body = PLUG__CREDIT__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	relay->uncredited += bytes;
	if (relay->uncredited < CREDIT_BYTES || relay->state != RELAY_SENT)
		return;
	body.bytes = relay->uncredited;
	env.id = relay->id;
	env.body_case = PLUG__ENVELOPE__BODY_CREDIT;
	env.credit = &body;
	if (instance_send(relay->instance, &env))
		return; /* with the next bytes */
	relay->ahead -= relay->uncredited;
	relay->uncredited = 0;
}

void
router_on_sent(struct router *router, const struct client_origin *origin)
{
	struct relay *relay = idmap_get(&router->by_id, origin->id);

	if (relay)
		credit(relay, origin->payload);
}

/* Pass a REPLY or CHUNK on to the client, if one still waits. */
static void
forward(struct relay *relay, const Plug__Envelope *theirs, size_t payload)
{
	struct client *client = relay->ticket.client;
	struct client_origin origin = {relay->id, payload};
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	if (!client) {
		credit(relay, payload);
		return;
	}
	env.id = relay->ticket.id;
	env.body_case = theirs->body_case;
	if (theirs->body_case == PLUG__ENVELOPE__BODY_REPLY)
		env.reply = theirs->reply;
	else
		env.chunk = theirs->chunk;
	relay->answering = true;
	lull_busy(&relay->router->host->lull);
	if (client_send(client, &env, &origin) != PLUG_ETOOLARGE)
		return;
	relay_cancel(relay, PLUG_ECANCELLED);
	router_finish(relay, PLUG_ETOOLARGE, "the plugin's answer does not fit into one message");
	credit(relay, payload);
}

/* The plugin's last word on it. */
static void
complete(struct relay *relay, const char *message)
{
	struct plugin *plugin = relay->plugin;

	if (relay->suspect)
		suspects_answered(relay);
	if (relay->ticket.client)
		stats_count(&plugin->stats, relay->method, relay->outcome,
			    (clock_mono_ns() - relay->started_ns) / 1000u, message);
	else
		relay_answer(relay, relay->outcome, message);
	relay_free(relay);
	router_dispatch(plugin);
}

static void
on_reply(struct relay *relay, const Plug__Envelope *env)
{
	Plug__Reply *reply = env->reply;

	/* A process that has begun to stop refuses calls, with what would be no lie of a first try.
	 */
	if (reply->outcome == PLUG_EUNAVAILABLE || reply->outcome == PLUG_EOVERLOADED)
		reply->outcome = router_outcome((plug_err)reply->outcome, relay->replayed);
	/* What is no text would make a client's protobuf refuse the whole message. */
	utf8_clean(reply->message, strlen(reply->message));
	utf8_clean(reply->content_type, strlen(reply->content_type));
	relay->reply_bytes = reply->payload.len;
	relay->in_chunks = reply->more;
	relay->last_reply = !reply->partial;
	relay->outcome = (plug_err)reply->outcome;
	forward(relay, env, reply->payload.len);
	if (!reply->partial && !reply->more)
		complete(relay, reply->message);
}

static void
on_reply_chunk(struct relay *relay, const Plug__Envelope *env)
{
	const Plug__Chunk *chunk = env->chunk;

	relay->reply_bytes += chunk->data.len;
	if (relay->reply_bytes > relay->router->limits.call_bytes && relay->ticket.client) {
		relay_cancel(relay, PLUG_ECANCELLED);
		router_finish(relay, PLUG_ETOOLARGE,
			      "the reply exceeds limits.call_bytes, %llu bytes",
			      (unsigned long long)relay->router->limits.call_bytes);
	}
	forward(relay, env, chunk->data.len);
	if (!chunk->last)
		return;
	relay->in_chunks = false;
	if (relay->last_reply)
		complete(relay, NULL);
}

void
router_on_reply(struct router *router, struct instance *in, const Plug__Envelope *env)
{
	struct relay *relay = idmap_get(&router->by_id, env->id);
	bool is_chunk = env->body_case == PLUG__ENVELOPE__BODY_CHUNK;
	const struct instance_method *method;
	size_t payload;

	if (instance_was_replaced(in) && (!relay || relay->instance != in))
		return; /* of a call that another process has by now */
	if (!relay || relay->state != RELAY_SENT || relay->instance != in) {
		instance_violation(in, PLUG_EPROTO, "an answer to a call that it does not have");
		return;
	}
	if (is_chunk != relay->in_chunks) {
		instance_violation(in, PLUG_EPROTO,
				   is_chunk ? "CHUNK without a REPLY before it"
					    : "REPLY before the last CHUNK");
		return;
	}
	payload = is_chunk ? env->chunk->data.len : env->reply->payload.len;
	if (payload > PLUG_CHUNK_BYTES) {
		instance_violation(in, PLUG_EPROTO, "more than 48 KiB of payload in one message");
		return;
	}
	in->answers++;
	relay->ahead += payload;
	if (relay->ahead > PLUG_WINDOW_BYTES + PLUG_CHUNK_BYTES) {
		instance_violation(in, PLUG_EPROTO,
				   "more of a reply than its window: it has to wait for CREDIT");
		return;
	}
	method = instance_method(in, relay->method);
	if (!is_chunk && env->reply->partial && !(method && method->stream)) {
		instance_violation(in, PLUG_EPROTO,
				   "a piece of a stream from a method that is not one");
		return;
	}
	if (is_chunk)
		on_reply_chunk(relay, env);
	else
		on_reply(relay, env);
}

void
router_on_ready(struct router *router, struct instance *in)
{
	(void)router;
	held_release(in->plugin); /* another one has left, perhaps */
	router_dispatch(in->plugin);
}

void
router_on_left(struct router *router, struct instance *in)
{
	(void)router;
	held_release(in->plugin);
}

void
router_on_abandon(struct router *router, struct plugin *plugin)
{
	(void)router;
	LIST_FOREACH_SAFE (relay, &plugin->held, struct relay, node)
		router_finish_unavailable(relay);
	LIST_FOREACH_SAFE (relay, &plugin->suspects, struct relay, node)
		router_finish_unavailable(relay);
	LIST_FOREACH_SAFE (relay, &plugin->queue, struct relay, node)
		router_finish_unavailable(relay);
}

void
router_on_forget(struct router *router, struct plugin *plugin)
{
	router_on_abandon(router, plugin);
	LIST_FOREACH_SAFE (relay, &plugin->incoming, struct relay, node)
		router_finish(relay, PLUG_EUNAVAILABLE,
			      "%s is gone: its folder was removed, or plugd ends",
			      plugin_name(plugin));
}

/* It was delivered, so only if twice does no harm, and if nothing of an answer was seen. */
bool
router_may_replay(const struct relay *relay)
{
	return relay->idempotent && !relay->replayed && !relay->answering && !relay->condemned &&
	       relay->ticket.client && !list_empty(&relay->parts);
}

void
router_requeue(struct plugin *plugin, struct list *relays)
{
	list_splice(relays, &plugin->queue);
	list_splice(&plugin->queue, relays);
}

static void
queue_replays(struct instance *in)
{
	struct plugin *plugin = in->plugin;
	struct list replays = LIST_INIT(replays);

	LIST_FOREACH_SAFE (relay, &in->calls, struct relay, node) {
		if (!router_may_replay(relay))
			continue;
		list_remove(&relay->node);
		in->in_flight--;
		relay->state = RELAY_QUEUED;
		relay->instance = NULL;
		relay->replayed = true;
		plugin->queued++;
		if (plugin->trial == relay)
			plugin->trial = NULL;
		list_append(relay->suspect ? &plugin->suspects : &replays, &relay->node);
	}
	router_requeue(plugin, &replays);
}

/* What is still there may be answered yet, with the last that it sent. */
void
router_on_replaced(struct router *router, struct instance *in)
{
	if (in->exited)
		return; /* very soon, and surely */
	suspects_before_death(router, in);
	queue_replays(in);
}

static void
end_gone(struct relay *relay, const char *why)
{
	char text[800];

	snprintf(text, sizeof(text), "%s%s", *why ? why : "the process was stopped",
		 relay->condemned ? "; it was executing at two deaths in a row, and is refused for "
				    "ten minutes"
				  : "");
	relay_answer(relay, PLUG_EGONE, text);
	relay_free(relay);
}

void
router_on_ended(struct router *router, struct instance *in)
{
	suspects_after_death(router, in);
	queue_replays(in);
	held_release(in->plugin);
	router_dispatch(in->plugin); /* another process may be there */
}

void
router_on_gone(struct router *router, struct instance *in, const char *why)
{
	(void)router;
	LIST_FOREACH_SAFE (relay, &in->calls, struct relay, node)
		end_gone(relay, why);
	router_dispatch(in->plugin); /* what was tried there is over */
}

size_t
router_describe_calls(struct instance *in, struct crash_call *calls, size_t max)
{
	struct plug_vitals vitals;
	bool known = instance_vitals(in, &vitals);
	size_t count = 0;

	LIST_FOREACH (relay, &in->calls, struct relay, node) {
		if (count < max) {
			struct crash_call *call = &calls[count];

			call->id = relay->id;
			call->age_ms = relay_age_ms(relay);
			call->hung = relay->hung;
			call->executing = !known || suspects_executes(&vitals, relay->id);
			snprintf(call->method, sizeof(call->method), "%s", relay->method);
		}
		count++;
	}
	return count;
}
