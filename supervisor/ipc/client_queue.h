/* Replies that wait until a client's socket takes them.  Private to the doorman. */
#ifndef PLUGD_CLIENT_QUEUE_H
#define PLUGD_CLIENT_QUEUE_H

#include "ipc/doorman.h"
#include "state/state.h"

#define CLIENT_QUEUE_FDS 48 /* descriptors that may wait for one client */

struct client_packet {
	const void *bytes;
	size_t size;
	struct client_origin origin;
	const int *fds;
	size_t fd_count;
};

enum client_queue_result {
	CLIENT_QUEUE_SENT,  /* one message was written; *ret_origin is its origin */
	CLIENT_QUEUE_FULL,  /* the socket takes no more */
	CLIENT_QUEUE_EMPTY, /* nothing waits */
	CLIENT_QUEUE_BROKEN /* the peer is gone */
};

/* Copies the bytes and the descriptors.  PLUG_ENOMEM, or PLUG_ESYS: no descriptor is free. */
plug_err client_queue_push(struct client *client, const struct client_packet *packet);

/* Write the first message that waits; never blocks. */
enum client_queue_result client_queue_write(struct client *client,
					    struct client_origin *ret_origin);

void client_queue_clear(struct client *client);

/* Over an upgrade of plugd: all that waits; and one of it, whose descriptors are taken. */
void client_queue_save(struct client *client, Plugd__SavedClient *saved, struct state_out *out);
plug_err client_queue_take(struct client *client, const struct client_packet *packet);

#endif
