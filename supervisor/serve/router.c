#include "serve/router.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/suggest.h"
#include "serve/answer.h"
#include "serve/router_private.h"

#define TIMEOUT_MAX_US     (7ull * 24 * 3600 * 1000000)
#define HUNG_SECONDS       2.0 /* past its deadline, then the handler counts as hung */
#define CONTENT_TYPE_BYTES 255

void
router_init(struct router *router, struct host *host, struct registry *registry)
{
	*router = (struct router){.host = host, .registry = registry};
}

void
router_fini(struct router *router)
{
	idmap_fini(&router->by_id);
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
	relay_drop_parts(relay);
	relay_arm(relay, HUNG_SECONDS);
}

void
router_finish(struct relay *relay, plug_err outcome, const char *format, ...)
{
	char message[768];
	va_list ap;

	va_start(ap, format);
	vsnprintf(message, sizeof(message), format, ap);
	va_end(ap);
	finish(relay, outcome, message);
}

/* ---- where to ---- */

static bool
may_wait(const struct plugin *plugin)
{
	switch (plugin->slot) {
	case SS_STARTING:
	case SS_READY:
	case SS_BACKOFF:
	case SS_RESTARTING:
		return !plugin->host->shutting_down;
	default:
		return false;
	}
}

void
router_finish_unavailable(struct relay *relay)
{
	struct plugin *plugin = relay->plugin;
	char next[192];

	plugin_next_text(plugin, next, sizeof(next));
	router_finish(relay, PLUG_EUNAVAILABLE, "%s is %s%s%s; next: %s", plugin_name(plugin),
		      plugin_word(plugin), *plugin->why ? ": " : "", plugin->why, next);
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

/* Back to waiting, or an end.  True when it was sent. */
static bool
dispatch(struct relay *relay, struct instance *in)
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
	if (err && !begun) {
		relay->instance = NULL;
		router_finish(relay, err, "could not be handed to %s: %s",
			      plugin_name(relay->plugin), plug_err_text(err));
		return false;
	}
	if (relay->state == RELAY_QUEUED)
		relay->plugin->queued--;
	list_remove(&relay->node);
	relay->state = RELAY_SENT;
	list_append(&in->calls, &relay->node);
	in->in_flight++;
	if (err) { /* the plugin has a part of it, and answers that */
		relay_cancel(relay, PLUG_ECANCELLED);
		router_finish(relay, err, "could not be handed to %s whole: %s",
			      plugin_name(relay->plugin), plug_err_text(err));
		return false;
	}
	if (!relay->idempotent || relay->replayed)
		relay_drop_parts(relay);
	return true;
}

static bool
has_room(const struct instance *in)
{
	return in && instance_takes_calls(in) &&
	       in->in_flight < in->plugin->host->limits.calls_per_instance;
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
	list_append(&plugin->queue, &relay->node);
	plugin->queued++;
}

static void
route(struct relay *relay)
{
	struct plugin *plugin = relay->plugin;

	if (list_empty(&plugin->queue) && has_room(plugin->instance))
		dispatch(relay, plugin->instance);
	else if (may_wait(plugin))
		enqueue(relay);
	else
		router_finish_unavailable(relay);
}

void
router_dispatch(struct plugin *plugin)
{
	while (!list_empty(&plugin->queue) && has_room(plugin->instance))
		dispatch(LIST_FIRST(&plugin->queue, struct relay, node), plugin->instance);
}

/* ---- from a client ---- */

static void
set_deadline(struct relay *relay, uint64_t timeout_us)
{
	const struct instance_method *offered =
		relay->plugin->instance ? instance_method(relay->plugin->instance, relay->method)
					: NULL;
	const struct spec_method *declared = spec_method(relay->plugin->spec, relay->method);

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

static plug_err
take_part(struct relay *relay, const void *data, size_t size)
{
	struct router *router = relay->router;

	if (!size && !list_empty(&relay->parts))
		return PLUG_OK;
	if (router->held_bytes + size > router->limits.queue_bytes)
		return PLUG_EOVERLOADED;
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
			      "%llu bytes of calls wait in plugd already; try again later",
			      (unsigned long long)relay->router->held_bytes);
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
		route(relay);
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

static const struct ticket_ops call_ticket_ops = {
	.on_cancel = on_cancel,
	.on_client_gone = on_client_gone,
	.on_chunk = on_chunk,
};

void
router_call(struct router *router, struct client *client, uint64_t id, const Plug__Call *call)
{
	struct plugin *plugin = registry_find(router->registry, plug_str(call->plugin));
	struct relay *relay;
	plug_err err;

	router->calls++;
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
	err = ticket_open(&relay->ticket, client, id, &call_ticket_ops,
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
		route(relay);
}

/* ---- deadlines ---- */

static void
report_hung(struct relay *relay)
{
	struct instance *in = relay->instance;

	relay->hung = true;
	events_add(&relay->router->host->events, plugin_name(relay->plugin), "hung", in->generation,
		   in->pid,
		   "call %llu of %s still executes %llu ms after it began, past its deadline and "
		   "cancelled; the "
		   "process goes on, plugctl restart %s ends it",
		   (unsigned long long)relay->id, relay->method,
		   (unsigned long long)relay_age_ms(relay), plugin_name(relay->plugin));
}

void
router_on_deadline(struct relay *relay)
{
	uint64_t waited_ms = relay_age_ms(relay);

	switch (relay->state) {
	case RELAY_RECEIVING:
		finish(relay, PLUG_ETIMEOUT,
		       "the deadline passed before all of the payload was there");
		return;
	case RELAY_QUEUED:
		router_finish(relay, PLUG_ETIMEOUT, "not started within %llu ms: %s is %s%s%s",
			      (unsigned long long)waited_ms, plugin_name(relay->plugin),
			      plugin_word(relay->plugin), *relay->plugin->why ? ": " : "",
			      relay->plugin->why);
		return;
	case RELAY_SENT:
		if (!relay->ticket.client) {
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
