/* Operators' requests over an upgrade of plugd: who waits or follows goes on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/control_private.h"
#include "serve/saved.h"

/* ---- writing ---- */

static Plugd__SavedConfigAsk *
save_ask(const struct config_ask *ask, struct state_out *out)
{
	Plugd__SavedConfigAsk *saved = state_out_message(out, &plugd__saved_config_ask__descriptor);

	saved->verb = ask->verb;
	saved->uid = ask->uid;
	saved->has_number = ask->has_number;
	saved->number = ask->number;
	for (size_t i = 0; i < ask->count; i++) {
		Plugd__SavedConfigEdit *one =
			state_out_message(out, &plugd__saved_config_edit__descriptor);

		one->key = state_out_text(ask->edits[i].key);
		one->value = state_out_text(ask->edits[i].value);
		one->unset = !ask->edits[i].value;
		state_out_append(out, &saved->n_edits, &saved->edits, one);
	}
	return saved;
}

static void
save_waiters(const struct plugin *plugin, Plugd__SavedControl *saved, struct state_out *out)
{
	LIST_FOREACH (waiter, &plugin->waiters, struct waiter, node) {
		Plugd__SavedWaiter *one = state_out_message(out, &plugd__saved_waiter__descriptor);

		one->plugin = state_out_text(plugin_name(plugin));
		one->ticket = ticket_save(&waiter->ticket, out);
		one->action = waiter->action;
		one->in_place = waiter->in_place;
		one->version = state_out_text(waiter->version);
		one->begun = waiter->begun;
		one->since_ms = waiter->since_ms;
		if (waiter->ask)
			one->ask = save_ask(waiter->ask, out);
		state_out_append(out, &saved->n_waiters, &saved->waiters, one);
	}
}

static void
save_follower(const struct ticket *ticket, const char *plugin, uint64_t dropped,
	      Plugd__SavedControl *saved, struct state_out *out)
{
	Plugd__SavedFollower *one = state_out_message(out, &plugd__saved_follower__descriptor);

	one->plugin = state_out_text(plugin);
	one->ticket = ticket_save(ticket, out);
	one->dropped = dropped;
	state_out_append(out, &saved->n_followers, &saved->followers, one);
}

Plugd__SavedControl *
control_save(struct control *control, struct state_out *out)
{
	Plugd__SavedControl *saved = state_out_message(out, &plugd__saved_control__descriptor);

	saved->last_config = control->last_config;
	LIST_FOREACH (plugin, &control->registry->plugins, struct plugin, node) {
		if (plugin->change)
			state_out_append(out, &saved->n_changes, &saved->changes,
					 change_save(plugin->change, out));
		save_waiters(plugin, saved, out);
		LIST_FOREACH (at, &plugin->output.followers, struct output_follower, node) {
			struct log_follower *lf = CONTAINER_OF(at, struct log_follower, follower);

			save_follower(&lf->ticket, plugin_name(plugin), lf->dropped, saved, out);
		}
	}
	LIST_FOREACH (at, &control->host->events.followers, struct events_follower, node) {
		struct event_follower *ef = CONTAINER_OF(at, struct event_follower, follower);

		save_follower(&ef->ticket, NULL, 0, saved, out);
	}
	return saved;
}

/* ---- reading ---- */

/* One that has no client any more is nobody's to end. */
static void
restore_ticket(struct ticket *ticket, const struct ticket_ops *ops, const Plugd__SavedTicket *saved,
	       const struct serve_in *si)
{
	if (!ticket_restore(ticket, ops, saved, si))
		ops->on_client_gone(ticket);
}

static struct config_ask *
restore_ask(const Plugd__SavedConfigAsk *saved, struct state_in *in)
{
	struct config_ask *ask = config_ask_new(saved->n_edits);
	bool whole = ask != NULL;

	for (size_t i = 0; whole && i < saved->n_edits; i++) {
		ask->edits[i].key = strdup(saved->edits[i]->key);
		if (!saved->edits[i]->unset)
			ask->edits[i].value = strdup(saved->edits[i]->value);
		whole = ask->edits[i].key && (ask->edits[i].value || saved->edits[i]->unset);
	}
	if (!whole) {
		state_in_fail(in, "out of memory");
		config_ask_free(ask);
		return NULL;
	}
	ask->verb = (Plug__ConfigVerb)saved->verb;
	ask->uid = saved->uid;
	ask->has_number = saved->has_number;
	ask->number = saved->number;
	return ask;
}

static void
restore_waiter(const Plugd__SavedWaiter *saved, const struct serve_in *si)
{
	struct plugin *plugin = serve_in_plugin(si, saved->plugin);
	struct waiter *waiter = plugin ? calloc(1, sizeof(*waiter)) : NULL;

	if (!waiter) {
		state_in_fail(si->in, "out of memory");
		return;
	}
	waiter->plugin = plugin;
	waiter->action = (Plug__Action)saved->action;
	waiter->in_place = saved->in_place;
	snprintf(waiter->version, sizeof(waiter->version), "%s", saved->version);
	waiter->begun = saved->begun;
	waiter->since_ms = saved->since_ms;
	if (saved->ask)
		waiter->ask = restore_ask(saved->ask, si->in);
	list_append(&plugin->waiters, &waiter->node);
	restore_ticket(&waiter->ticket, &control_waiter_ops, saved->ticket, si);
}

static void
restore_log_follower(const Plugd__SavedFollower *saved, const struct serve_in *si)
{
	struct plugin *plugin = serve_in_plugin(si, saved->plugin);
	struct log_follower *lf = plugin ? control_follow_log(plugin) : NULL;

	if (!lf) {
		state_in_fail(si->in, "out of memory");
		return;
	}
	lf->dropped = saved->dropped;
	restore_ticket(&lf->ticket, &control_log_ops, saved->ticket, si);
}

static void
restore_event_follower(struct control *control, const Plugd__SavedFollower *saved,
		       const struct serve_in *si)
{
	struct event_follower *ef = control_follow_events(&control->host->events);

	if (ef)
		restore_ticket(&ef->ticket, &control_event_ops, saved->ticket, si);
	else
		state_in_fail(si->in, "out of memory");
}

void
control_restore(struct control *control, const Plugd__SavedControl *saved,
		const struct serve_in *si)
{
	control->last_config = saved ? saved->last_config : 0;
	for (size_t i = 0; saved && !si->in->failed && i < saved->n_changes; i++)
		change_restore(control, saved->changes[i], si);
	for (size_t i = 0; saved && !si->in->failed && i < saved->n_waiters; i++)
		restore_waiter(saved->waiters[i], si);
	for (size_t i = 0; saved && !si->in->failed && i < saved->n_followers; i++) {
		if (*saved->followers[i]->plugin)
			restore_log_follower(saved->followers[i], si);
		else
			restore_event_follower(control, saved->followers[i], si);
	}
}
