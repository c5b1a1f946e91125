/* Calls over an upgrade of plugd: none is lost, none is sent twice, each keeps its deadline. */
#include <string.h>

#include "serve/probe.h"
#include "serve/router_private.h"
#include "serve/saved.h"
#include "serve/suspects.h"
#include "state/timer.h"

static const char *
name_of(unsigned state)
{
	static const char *const names[] = {
		[RELAY_RECEIVING] = "receiving", [RELAY_QUEUED] = "queued", [RELAY_SENT] = "sent"};

	return names[state];
}

/* ---- writing ---- */

static void
save_parts(struct relay *relay, Plugd__SavedRelay *saved, struct state_out *out)
{
	LIST_FOREACH (part, &relay->parts, struct relay_part, node) {
		Plugd__SavedPart *one = state_out_message(out, &plugd__saved_part__descriptor);

		one->capacity = part->capacity;
		one->bytes = state_out_bytes(part->bytes, part->size);
		state_out_append(out, &saved->n_parts, &saved->parts, one);
	}
}

static void
save_suspicion(struct relay *relay, Plugd__SavedRelay *saved)
{
	saved->has_user = relay->has_user;
	saved->uid = relay->uid;
	saved->died_channel = relay->died_channel;
	saved->died_number = relay->died_number;
	saved->suspect = relay->suspect;
	saved->suspect_since = relay->suspect_since;
	saved->digested = relay->digested;
	saved->digest = state_out_bytes(relay->digest, sizeof(relay->digest));
	saved->condemned = relay->condemned;
	saved->held_for = relay->held_for;
	saved->patience_over = relay->patience_over;
	saved->trial = relay->plugin->trial == relay;
}

static Plugd__SavedRelay *
save_relay(struct relay *relay, struct state_out *out)
{
	Plugd__SavedRelay *saved = state_out_message(out, &plugd__saved_relay__descriptor);

	saved->plugin = state_out_text(plugin_name(relay->plugin));
	saved->generation = relay->instance ? relay->instance->generation : 0;
	saved->state = state_out_text(name_of(relay->state));
	saved->ticket = ticket_save(&relay->ticket, out);
	saved->probe = relay->on_outcome != NULL;
	saved->id = relay->id;
	saved->method = relay->method;
	saved->content_type = relay->content_type;
	save_parts(relay, saved, out);
	saved->bytes = relay->bytes;
	saved->messages = relay->messages;
	saved->deadline_at_ns = state_timer_at(relay->router->host->loop, &relay->deadline_w);
	saved->started_ns = relay->started_ns;
	saved->deadline_ns = relay->deadline_ns;
	saved->sent_ms = relay->sent_ms;
	saved->idempotent = relay->idempotent;
	saved->replayed = relay->replayed;
	saved->answering = relay->answering;
	saved->hung = relay->hung;
	saved->in_chunks = relay->in_chunks;
	saved->last_reply = relay->last_reply;
	saved->outcome = relay->outcome;
	saved->reply_bytes = relay->reply_bytes;
	saved->uncredited = relay->uncredited;
	saved->ahead = relay->ahead;
	save_suspicion(relay, saved);
	return saved;
}

static void
save_list(struct list *relays, Plugd__SavedRouter *saved, struct state_out *out)
{
	LIST_FOREACH (relay, relays, struct relay, node)
		state_out_append(out, &saved->n_relays, &saved->relays, save_relay(relay, out));
}

Plugd__SavedRouter *
router_save(struct router *router, struct state_out *out)
{
	Plugd__SavedRouter *saved = state_out_message(out, &plugd__saved_router__descriptor);

	saved->last_id = router->last_id;
	saved->calls = router->calls;
	suspects_save(router, saved, out);
	LIST_FOREACH (plugin, &router->registry->plugins, struct plugin, node) {
		save_list(&plugin->incoming, saved, out);
		save_list(&plugin->held, saved, out);
		save_list(&plugin->queue, saved, out);
		save_list(&plugin->suspects, saved, out);
		LIST_FOREACH (in, &plugin->instances, struct instance, node)
			save_list(&in->calls, saved, out);
	}
	return saved;
}

/* ---- reading ---- */

static void
restore_parts(struct relay *relay, const Plugd__SavedRelay *saved, struct state_in *in)
{
	for (size_t i = 0; i < saved->n_parts; i++) {
		const Plugd__SavedPart *one = saved->parts[i];
		struct relay_part *part = NULL;

		if (one->bytes.len <= one->capacity && one->capacity <= PLUG_CHUNK_BYTES)
			part = relay_add_empty_part(relay, (size_t)one->capacity);
		if (!part) {
			state_in_fail(in, "a piece of a call of %zu bytes, or out of memory",
				      one->bytes.len);
			return;
		}
		part->size = one->bytes.len;
		if (part->size)
			memcpy(part->bytes, one->bytes.data, part->size);
	}
	relay->bytes = (size_t)saved->bytes;
	relay->messages = (size_t)saved->messages;
}

static void
restore_numbers(struct relay *relay, const Plugd__SavedRelay *saved)
{
	relay->started_ns = saved->started_ns;
	relay->deadline_ns = saved->deadline_ns;
	relay->sent_ms = saved->sent_ms;
	relay->idempotent = saved->idempotent;
	relay->replayed = saved->replayed;
	relay->answering = saved->answering;
	relay->hung = saved->hung;
	relay->in_chunks = saved->in_chunks;
	relay->last_reply = saved->last_reply;
	relay->outcome = (plug_err)saved->outcome;
	relay->reply_bytes = saved->reply_bytes;
	relay->uncredited = saved->uncredited;
	relay->ahead = saved->ahead;
}

static void
restore_suspicion(struct relay *relay, const Plugd__SavedRelay *saved, struct state_in *in)
{
	relay->has_user = saved->has_user;
	relay->uid = saved->uid;
	relay->died_channel = saved->died_channel;
	relay->died_number = saved->died_number;
	relay->suspect = saved->suspect;
	relay->suspect_since = saved->suspect_since;
	relay->digested = saved->digested;
	state_in_copy(in, "a digest", relay->digest, sizeof(relay->digest), &saved->digest);
	relay->condemned = saved->condemned;
	relay->held_for = saved->held_for;
	relay->patience_over = saved->patience_over;
	if (saved->trial)
		relay->plugin->trial = relay;
}

/* A process has what was sent, and nothing else; a probe is plugd's own, and always was sent. */
static const char *
contradiction(const struct relay *relay)
{
	bool sent = relay->state == RELAY_SENT;

	if (sent && !relay->instance)
		return "that no process has";
	if (!sent && relay->instance)
		return "that waits, and that a process has";
	if (relay->plugin->trial == relay && !sent)
		return "that is being tried, and that no process has";
	if (relay->on_outcome && !sent)
		return "that plugd made, and that no process has";
	if (relay->held_for && relay->state != RELAY_QUEUED)
		return "that is held, and does not wait";
	if (relay->on_outcome && relay->ticket.client)
		return "that plugd made, and that a client waits for";
	return NULL;
}

static void
check_relay(struct relay *relay, struct state_in *in)
{
	const char *found = contradiction(relay);

	if (!found)
		return;
	state_in_fail(in, "a call of %s %s", plugin_name(relay->plugin), found);
	relay->state = RELAY_RECEIVING;
	relay->instance = NULL;
	relay->on_outcome = NULL;
	relay->held_for = 0;
	if (relay->plugin->trial == relay)
		relay->plugin->trial = NULL;
}

/* On the list that its state says. */
static void
place(struct relay *relay, struct state_in *in)
{
	struct plugin *plugin = relay->plugin;

	list_remove(&relay->node);
	check_relay(relay, in);
	switch (relay->state) {
	case RELAY_RECEIVING:
		list_append(&plugin->incoming, &relay->node);
		return;
	case RELAY_QUEUED:
		list_append(relay->held_for  ? &plugin->held
			    : relay->suspect ? &plugin->suspects
					     : &plugin->queue,
			    &relay->node);
		plugin->queued += !relay->held_for;
		return;
	case RELAY_SENT:
		list_append(&relay->instance->calls, &relay->node);
		relay->instance->in_flight++;
	}
}

static void
restore_relay(struct router *router, const Plugd__SavedRelay *saved, const struct serve_in *si)
{
	struct plugin *plugin = serve_in_plugin(si, saved->plugin);
	struct relay *relay = NULL;

	if (plugin && saved->id && !idmap_get(&router->by_id, saved->id))
		relay = relay_make(router, plugin, saved->id, saved->method, saved->content_type);
	if (!relay) {
		state_in_fail(si->in, "call %llu is there twice, or out of memory",
			      (unsigned long long)saved->id);
		return;
	}
	relay->state = (enum relay_state)state_in_name(si->in, "the state of a call", saved->state,
						       RELAY_SENT + 1, name_of);
	relay->instance = saved->generation ? plugin_instance(plugin, saved->generation) : NULL;
	if (saved->probe)
		relay->on_outcome = probe_on_outcome;
	ticket_restore_if_open(&relay->ticket, &router_ticket_ops, saved->ticket, si);
	restore_parts(relay, saved, si->in);
	restore_numbers(relay, saved);
	restore_suspicion(relay, saved, si->in);
	place(relay, si->in);
	state_timer_set(router->host->loop, &relay->deadline_w, saved->deadline_at_ns);
}

void
router_restore(struct router *router, const Plugd__SavedRouter *saved, const struct serve_in *si)
{
	if (!saved) {
		state_in_fail(si->in, "no calls are counted");
		return;
	}
	router->last_id = saved->last_id;
	router->calls = saved->calls;
	for (size_t i = 0; !si->in->failed && i < saved->n_relays; i++)
		restore_relay(router, saved->relays[i], si);
	if (!si->in->failed)
		suspects_restore(router, saved, si);
}
