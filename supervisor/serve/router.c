#include "serve/router.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/suggest.h"
#include "serve/answer.h"
#include "serve/held.h"
#include "serve/permit.h"
#include "serve/router_private.h"
#include "serve/suspects.h"

#define TIMEOUT_MAX_US     (7ull * 24 * 3600 * 1000000)
#define CONTENT_TYPE_BYTES 255

void
router_init(struct router *router, struct host *host, struct registry *registry)
{
	*router = (struct router){.host = host, .registry = registry};
	list_init(&router->kept);
	poison_init(&router->poison);
}

void
router_fini(struct router *router)
{
	idmap_fini(&router->by_id);
	poison_fini(&router->poison);
}

/* The client has its outcome; the plugin may not have answered yet. */
static void
finish(struct relay *relay, plug_err outcome, const char *message)
{
	relay_answer(relay, outcome, message);
	if (relay->state != RELAY_SENT) {
		relay_free(relay);
		return;
	}
	relay_keep_parts(relay);
	relay_arm(relay, (double)relay->instance->spec->hang.grace_ms / 1e3);
}

plug_err
router_outcome(plug_err outcome, bool again)
{
	bool not_started = outcome == PLUG_EUNAVAILABLE || outcome == PLUG_EOVERLOADED ||
			   outcome == PLUG_ENOTFOUND || outcome == PLUG_ENOMETHOD;

	return again && not_started ? PLUG_EGONE : outcome;
}

void
router_finish(struct relay *relay, plug_err outcome, const char *format, ...)
{
	plug_err told = router_outcome(outcome, relay->replayed);
	char message[768];
	size_t used = 0;
	va_list ap;

	if (told != outcome)
		used = (size_t)snprintf(message, sizeof(message),
					"its process died, and it could not be sent once more: ");
	va_start(ap, format);
	vsnprintf(message + used, sizeof(message) - used, format, ap);
	va_end(ap);
	finish(relay, told, message);
}

/* ---- where to ---- */

void
router_finish_unavailable(struct relay *relay)
{
	struct plugin *plugin = relay->plugin;
	const char *why = plugin_why(plugin);
	char next[192];

	plugin_next_text(plugin, next, sizeof(next));
	router_finish(relay, PLUG_EUNAVAILABLE, "%s is %s%s%s; next: %s", plugin_name(plugin),
		      plugin_word(plugin), *why ? ": " : "", why, next);
}

static void
list_methods(const struct instance *in, char *text, size_t size)
{
	size_t used = 0;

	*text = '\0';
	for (size_t i = 0; i < in->method_count && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "",
					 in->methods[i].name);
}

bool
router_send(struct relay *relay, struct instance *in)
{
	const struct instance_method *method = instance_method(in, relay->method);
	const struct host_limits *limits = &relay->router->host->limits;
	bool begun;
	plug_err err;

	if (!method) {
		char methods[512];

		list_methods(in, methods, sizeof(methods));
		router_finish(relay, PLUG_ENOMETHOD, "%s has no method \"%s\"; it has: %s",
			      plugin_name(relay->plugin), relay->method, methods);
		return false;
	}
	if (instance_unacked_bytes(in) + relay_packed_bytes(relay) > limits->unacked_bytes) {
		router_finish(relay, PLUG_EOVERLOADED,
			      "%s has not taken %zu bytes of earlier calls; try again later",
			      plugin_name(relay->plugin), instance_unacked_bytes(in));
		return false;
	}
	relay->instance = in;
	relay->idempotent = method->idempotent;
	relay->sent_ms = clock_mono_ms();
	relay->uncredited = relay->ahead = 0;
	err = relay_send(relay, &begun);
	lull_busy(&relay->router->host->lull);
	if (err && !begun) {
		router_finish(relay, err, "could not be handed to %s: %s",
			      plugin_name(relay->plugin), plug_err_text(err));
		return false;
	}
	if (relay->state == RELAY_QUEUED)
		relay->plugin->queued--;
	list_remove(&relay->node);
	relay->state = RELAY_SENT;
	list_append(&in->calls, &relay->node);
	if (relay->suspect)
		relay->plugin->trial = relay;
	in->in_flight++;
	in->turn = ++relay->plugin->turns;
	if (err) { /* the plugin has a part of it, and answers that */
		relay_cancel(relay, PLUG_ECANCELLED);
		router_finish(relay, err, "could not be handed to %s whole: %s",
			      plugin_name(relay->plugin), plug_err_text(err));
		return false;
	}
	if (!relay->idempotent || relay->replayed)
		relay_keep_parts(relay);
	return true;
}

/* Versions differ during a reload: the method counts first, then who has fewer calls, then whose
 * turn it is. */
static bool
is_better(const struct instance *in, const struct instance *best, const char *method)
{
	bool has = instance_method(in, method), best_has = instance_method(best, method);

	if (has != best_has)
		return has;
	if (in->hang.overdue != best->hang.overdue)
		return in->hang.overdue < best->hang.overdue;
	if (in->in_flight != best->in_flight)
		return in->in_flight < best->in_flight;
	return in->turn < best->turn;
}

/* The process that a call of this method goes to; NULL when none has room. */
static struct instance *
pick(const struct plugin *plugin, const char *method)
{
	unsigned room = plugin->host->limits.calls_per_instance;
	struct instance *best = NULL;

	LIST_FOREACH (slot, &plugin->slots, struct slot, node) {
		struct instance *in = slot->current;

		if (in && instance_takes_calls(in) && in->in_flight < room &&
		    (!best || is_better(in, best, method)))
			best = in;
	}
	return best;
}

static void
enqueue(struct relay *relay)
{
	struct plugin *plugin = relay->plugin;

	if (plugin->queued >= relay->router->limits.queue_calls) {
		router_finish(relay, PLUG_EOVERLOADED,
			      "%u calls wait for %s already (limits.queue_calls)", plugin->queued,
			      plugin_name(plugin));
		return;
	}
	relay->state = RELAY_QUEUED;
	list_remove(&relay->node);
	list_append(relay->suspect ? &plugin->suspects : &plugin->queue, &relay->node);
	plugin->queued++;
}

void
router_route(struct relay *relay)
{
	struct plugin *plugin = relay->plugin;
	struct instance *in;

	if (held_take(relay))
		return;
	if ((relay->router->poison.live || relay->died_channel) && !suspects_admit(relay))
		return;
	if (relay->suspect && plugin_lets_calls_wait(plugin)) {
		enqueue(relay);
		router_dispatch(plugin);
		return;
	}
	in = list_empty(&plugin->queue) ? pick(plugin, relay->method) : NULL;
	if (in)
		router_send(relay, in);
	else if (plugin_lets_calls_wait(plugin))
		enqueue(relay);
	else
		router_finish_unavailable(relay);
}

/* The first of those that wait.  False: there is none, or no room for it. */
static bool
send_first(struct plugin *plugin, struct list *waiting)
{
	struct relay *relay = LIST_FIRST(waiting, struct relay, node);
	struct instance *in = relay ? pick(plugin, relay->method) : NULL;

	if (!in)
		return false;
	if (suspects_admit_again(relay))
		router_send(relay, in);
	return true;
}

/* Of one whose process ends by itself it is known what there is to know.  To wait for that end
 * would be to wait until the kernel has freed its memory. */
static bool
is_tried(const struct plugin *plugin)
{
	return plugin->trial && !instance_is_ending(plugin->trial->instance);
}

static void
send_suspects(struct plugin *plugin)
{
	while (!is_tried(plugin) && send_first(plugin, &plugin->suspects))
		;
}

void
router_dispatch(struct plugin *plugin)
{
	send_suspects(plugin);
	while (send_first(plugin, &plugin->queue))
		;
	send_suspects(plugin); /* some of those may have become suspects */
}

/* ---- from a client ---- */

static void
set_deadline(struct relay *relay, uint64_t timeout_us)
{
	const struct instance *in = plugin_main_instance(relay->plugin);
	const struct instance_method *offered = in ? instance_method(in, relay->method) : NULL;
	const struct spec_method *declared = spec_method(relay->plugin->spec, relay->method);

	if (!timeout_us && relay->plugin->spec->debug)
		timeout_us = TIMEOUT_MAX_US;
	if (!timeout_us && offered)
		timeout_us = offered->timeout_ms * 1000u;
	if (!timeout_us && declared)
		timeout_us = declared->timeout_ms * 1000u;
	if (!timeout_us)
		timeout_us = relay->router->limits.call_timeout_ms * 1000u;
	if (timeout_us > TIMEOUT_MAX_US)
		timeout_us = TIMEOUT_MAX_US;
	relay->deadline_ns = relay->started_ns + timeout_us * 1000u;
	relay_arm(relay, (double)timeout_us / 1e6);
}

static uint64_t
held_by(const struct client *client)
{
	uint64_t held = 0;

	LIST_FOREACH (ticket, &client->owned, struct ticket, node)
		if (ticket->ops == &router_ticket_ops &&
		    !list_empty(&RELAY_OF_TICKET(ticket)->parts))
			held += RELAY_OF_TICKET(ticket)->bytes;
	return held;
}

/* No client may hold more than is left for the others.  So one has at most half, of n that take
 * what they can get each has one part in n + 1, and who comes last finds room. */
static bool
has_room(const struct relay *relay, size_t size)
{
	const struct router *router = relay->router;
	uint64_t all = router->limits.queue_bytes, held = router->held_bytes + size;

	if (held > all)
		return false;
	return held <= all / 2 || held_by(relay->ticket.client) + size <= all - held;
}

static plug_err
take_part(struct relay *relay, const void *data, size_t size)
{
	struct router *router = relay->router;

	if (!size && !list_empty(&relay->parts))
		return PLUG_OK;
	if (!has_room(relay, size))
		return PLUG_EOVERLOADED;
	while (router->held_bytes + router->kept_bytes + size > router->limits.queue_bytes &&
	       !list_empty(&router->kept))
		relay_drop_parts(LIST_FIRST(&router->kept, struct relay, kept_node));
	return relay_add_part(relay, data, size, router->limits.call_bytes);
}

static void
refuse_part(struct relay *relay, plug_err err)
{
	if (err == PLUG_ETOOLARGE)
		router_finish(relay, err, "the payload exceeds limits.call_bytes, %llu bytes",
			      (unsigned long long)relay->router->limits.call_bytes);
	else
		router_finish(relay, err,
			      "%llu bytes of calls wait in plugd already, %llu of them this "
			      "client's; try again later",
			      (unsigned long long)relay->router->held_bytes,
			      (unsigned long long)held_by(relay->ticket.client));
}

static void
on_chunk(struct ticket *ticket, const Plug__Chunk *chunk)
{
	struct relay *relay = RELAY_OF_TICKET(ticket);
	plug_err err;

	if (relay->state != RELAY_RECEIVING) {
		client_close(ticket->client, "CHUNK after the last one of its call");
		return;
	}
	if (chunk->data.len > PLUG_CHUNK_BYTES) {
		client_close(ticket->client, "more than 48 KiB of payload in one message");
		return;
	}
	err = take_part(relay, chunk->data.data, chunk->data.len);
	if (err)
		refuse_part(relay, err);
	else if (chunk->last)
		router_route(relay);
}

static void
on_cancel(struct ticket *ticket)
{
	struct relay *relay = RELAY_OF_TICKET(ticket);

	relay_cancel(relay, PLUG_ECANCELLED);
	finish(relay, PLUG_ECANCELLED, NULL);
}

static void
on_client_gone(struct ticket *ticket)
{
	struct relay *relay = RELAY_OF_TICKET(ticket);

	stats_count(&relay->plugin->stats, relay->method, PLUG_ECANCELLED,
		    (clock_mono_ns() - relay->started_ns) / 1000u, "the client disconnected");
	relay_cancel(relay, PLUG_ECANCELLED);
	finish(relay, PLUG_ECANCELLED, NULL);
}

const struct ticket_ops router_ticket_ops = {
	.on_cancel = on_cancel,
	.on_client_gone = on_client_gone,
	.on_chunk = on_chunk,
};

void
router_call(struct router *router, struct client *client, uint64_t id, const Plug__Call *call)
{
	struct plugin *plugin = registry_find(router->registry, plug_str(call->plugin));
	char denied[PERMIT_TEXT_BYTES];
	struct relay *relay;
	plug_err err;

	router->calls++;
	if (!permit_call(router->registry, client, plug_str(call->plugin), denied)) {
		answer_call(client, id, call->again ? PLUG_EGONE : PLUG_EDENIED, denied);
		return;
	}
	if (!plugin && call->again) {
		answer_call(client, id, router_outcome(PLUG_ENOTFOUND, true),
			    "its process died, and there is no such plugin any more");
		return;
	}
	if (!plugin) {
		answer_no_plugin(client, id, router->registry, plug_str(call->plugin), true);
		return;
	}
	if (call->payload.len > PLUG_CHUNK_BYTES) {
		client_close(client, "more than 48 KiB of payload in one message");
		return;
	}
	if (strlen(plug_str(call->content_type)) > CONTENT_TYPE_BYTES) {
		answer_call(client, id, PLUG_EINVAL, "the content type is longer than 255 bytes");
		return;
	}
	if (!plug_name_valid(plug_str(call->method))) {
		answer_call(client, id, PLUG_ENOMETHOD, "a method's name is 1 to 63 of [a-z0-9_-]");
		return;
	}
	if (relay_new(router, plugin, call, &relay)) {
		answer_call(client, id, PLUG_ENOMEM, NULL);
		return;
	}
	relay->has_user = true;
	relay->uid = client->uid;
	err = ticket_open(&relay->ticket, client, id, &router_ticket_ops,
			  router->limits.tickets_per_client);
	if (err) {
		relay_free(relay);
		if (err == PLUG_EINVAL)
			client_close(client, "CALL with an id that is 0 or in use");
		else
			answer_call(client, id, err,
				    "as many calls as limits.calls_per_client are in flight");
		return;
	}
	set_deadline(relay, call->timeout_us);
	err = take_part(relay, call->payload.data, call->payload.len);
	if (err)
		refuse_part(relay, err);
	else if (!call->more)
		router_route(relay);
}

/* ---- deadlines ---- */

static void
report_hung(struct relay *relay)
{
	struct instance *in = relay->instance;

	if (instance_is_halted(in)) { /* that is told, and no handler's fault */
		relay_arm(relay, (double)in->spec->hang.grace_ms / 1e3 + 1.);
		return;
	}
	relay->hung = true;
	instance_call_hangs(in,
			    "call %llu of %s still executes %llu ms after it began, past its "
			    "deadline and cancelled",
			    (unsigned long long)relay->id, relay->method,
			    (unsigned long long)relay_age_ms(relay));
}

void
router_on_deadline(struct relay *relay)
{
	uint64_t waited_ms = relay_age_ms(relay);
	const char *why = plugin_why(relay->plugin);

	switch (relay->state) {
	case RELAY_RECEIVING:
		finish(relay, PLUG_ETIMEOUT,
		       "the deadline passed before all of the payload was there");
		return;
	case RELAY_QUEUED:
		if (held_too_long(relay))
			return;
		router_finish(relay, PLUG_ETIMEOUT, "not started within %llu ms: %s is %s%s%s%s",
			      (unsigned long long)waited_ms, plugin_name(relay->plugin),
			      plugin_word(relay->plugin), *why ? ": " : "", why,
			      relay->suspect ? "; a process may have died of this request, and it "
					       "waits for others of which that is true"
					     : "");
		return;
	case RELAY_SENT:
		if (!relay_is_awaited(relay)) {
			report_hung(relay);
			return;
		}
		relay_cancel(relay, PLUG_ETIMEOUT);
		router_finish(relay, PLUG_ETIMEOUT,
			      "%s.%s did not answer within %llu ms; the call was cancelled",
			      plugin_name(relay->plugin), relay->method,
			      (unsigned long long)waited_ms);
	}
}
