#include "serve/ticket.h"

plug_err
ticket_open(struct ticket *ticket, struct client *client, uint64_t id, const struct ticket_ops *ops,
	    size_t max_per_client)
{
	if (!id || idmap_get(&client->ids, id))
		return PLUG_EINVAL;
	if (client->ids.count >= max_per_client)
		return PLUG_EOVERLOADED;
	if (!idmap_put(&client->ids, id, ticket))
		return PLUG_ENOMEM;
	ticket->client = client;
	ticket->id = id;
	ticket->ops = ops;
	list_append(&client->owned, &ticket->node);
	return PLUG_OK;
}

void
ticket_close(struct ticket *ticket)
{
	if (!ticket->client)
		return;
	idmap_take(&ticket->client->ids, ticket->id);
	list_remove(&ticket->node);
	ticket->client = NULL;
}

struct ticket *
ticket_find(const struct client *client, uint64_t id)
{
	return idmap_get(&client->ids, id);
}

void
ticket_close_all(struct client *client)
{
	while (!list_empty(&client->owned)) {
		struct ticket *ticket = LIST_FIRST(&client->owned, struct ticket, node);

		ticket_close(ticket);
		ticket->ops->on_client_gone(ticket);
	}
}
