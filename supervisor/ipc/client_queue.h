/* Replies that wait until a client's socket takes them.  Private to the doorman. */
#ifndef PLUGD_CLIENT_QUEUE_H
#define PLUGD_CLIENT_QUEUE_H

#include "ipc/doorman.h"

enum client_queue_result {
	CLIENT_QUEUE_SENT,  /* one message was written; *ret_origin is its origin */
	CLIENT_QUEUE_FULL,  /* the socket takes no more */
	CLIENT_QUEUE_EMPTY, /* nothing waits */
	CLIENT_QUEUE_BROKEN /* the peer is gone */
};

/* Copies the bytes.  PLUG_ENOMEM */
plug_err client_queue_push(struct client *client, const void *bytes, size_t size,
			   const struct client_origin *origin);

/* Write the first message that waits; never blocks. */
enum client_queue_result client_queue_write(struct client *client,
					    struct client_origin *ret_origin);

void client_queue_clear(struct client *client);

#endif
