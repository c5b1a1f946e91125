#include "ipc/client_queue.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

struct queued {
	struct list node;
	struct client_origin origin;
	size_t size;
	uint8_t bytes[];
};

plug_err
client_queue_push(struct client *client, const void *bytes, size_t size,
		  const struct client_origin *origin)
{
	struct queued *queued = malloc(sizeof(*queued) + size);

	if (!queued)
		return PLUG_ENOMEM;
	queued->origin = *origin;
	queued->size = size;
	memcpy(queued->bytes, bytes, size);
	list_append(&client->queue, &queued->node);
	client->queued_bytes += sizeof(*queued) + size; /* many small ones are memory, too */
	return PLUG_OK;
}

static void
drop(struct client *client, struct queued *queued)
{
	client->queued_bytes -= sizeof(*queued) + queued->size;
	list_remove(&queued->node);
	free(queued);
}

enum client_queue_result
client_queue_write(struct client *client, struct client_origin *ret_origin)
{
	struct queued *queued = LIST_FIRST(&client->queue, struct queued, node);

	if (!queued)
		return CLIENT_QUEUE_EMPTY;
	if (send(client->fd, queued->bytes, queued->size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
			return CLIENT_QUEUE_FULL;
		return CLIENT_QUEUE_BROKEN;
	}
	*ret_origin = queued->origin;
	drop(client, queued);
	return CLIENT_QUEUE_SENT;
}

void
client_queue_clear(struct client *client)
{
	LIST_FOREACH_SAFE (queued, &client->queue, struct queued, node)
		drop(client, queued);
}
