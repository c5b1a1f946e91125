/*
 * What a client has asked for and is still to be answered: a call or a request.  Embedded in both.
 * Loop's thread only.
 *
 * The client knows it by the id that the client chose; it ends when it is answered, cancelled or
 * the client is gone.
 */
#ifndef PLUGD_TICKET_H
#define PLUGD_TICKET_H

#include "ipc/doorman.h"

struct ticket;

struct ticket_ops {
	/* The client sent CANCEL for it. */
	void (*on_cancel)(struct ticket *ticket);
	/* The client is gone; the ticket has been closed already. */
	void (*on_client_gone)(struct ticket *ticket);
	/* More of a call's payload; NULL where a CHUNK makes no sense. */
	void (*on_chunk)(struct ticket *ticket, const Plug__Chunk *chunk);
};

struct ticket {
	struct list node;      /* of client->owned */
	struct client *client; /* NULL once closed */
	uint64_t id;           /* the client's */
	const struct ticket_ops *ops;
};

/* PLUG_EINVAL: the id is 0 or in use.  PLUG_EOVERLOADED: the client has too many.  PLUG_ENOMEM. */
plug_err ticket_open(struct ticket *ticket, struct client *client, uint64_t id,
		     const struct ticket_ops *ops, size_t max_per_client);

/* The client is owed nothing any more.  Safe when closed already. */
void ticket_close(struct ticket *ticket);

struct ticket *ticket_find(const struct client *client, uint64_t id);

/* The client is gone: close and tell all of its tickets. */
void ticket_close_all(struct client *client);

#endif
