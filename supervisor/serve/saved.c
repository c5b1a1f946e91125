#include "serve/saved.h"

Plugd__SavedTicket *
ticket_save(const struct ticket *ticket, struct state_out *out)
{
	Plugd__SavedTicket *saved;

	if (!ticket->client)
		return NULL;
	saved = state_out_message(out, &plugd__saved_ticket__descriptor);
	saved->client = ticket->client->number;
	saved->id = ticket->id;
	return saved;
}

bool
ticket_restore(struct ticket *ticket, const struct ticket_ops *ops, const Plugd__SavedTicket *saved,
	       const struct serve_in *si)
{
	struct client *client;
	plug_err err;

	list_init(&ticket->node);
	if (!saved) {
		state_in_fail(si->in, "a request that nobody made");
		return false;
	}
	client = doorman_find(si->doorman, saved->client);
	if (!client) {
		state_in_fail(si->in, "client %llu is not there, and waits for an answer",
			      (unsigned long long)saved->client);
		return false;
	}
	err = ticket_open(ticket, client, saved->id, ops, SIZE_MAX);
	if (err)
		state_in_fail(si->in, "request %llu of client %llu: %s",
			      (unsigned long long)saved->id, (unsigned long long)saved->client,
			      plug_err_text(err));
	return !err;
}

void
ticket_restore_if_open(struct ticket *ticket, const struct ticket_ops *ops,
		       const Plugd__SavedTicket *saved, const struct serve_in *si)
{
	list_init(&ticket->node);
	if (saved)
		ticket_restore(ticket, ops, saved, si);
}

struct plugin *
serve_in_plugin(const struct serve_in *si, const char *name)
{
	struct plugin *plugin = registry_find(si->registry, name);

	if (!plugin)
		state_in_fail(si->in, "plugin \"%.63s\" is not there", name);
	return plugin;
}
