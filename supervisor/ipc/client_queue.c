#include "ipc/client_queue.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "ipc/packet.h"

struct queued {
	struct list node;
	struct client_origin origin;
	int fds[PACKET_FDS_SENT];
	size_t fd_count;
	size_t size;
	uint8_t bytes[];
};

static void
queued_free(struct queued *queued)
{
	while (queued->fd_count)
		close(queued->fds[--queued->fd_count]);
	free(queued);
}

static bool
copy_fds(struct queued *queued, const struct client_packet *packet)
{
	for (size_t i = 0; i < packet->fd_count; i++) {
		queued->fds[i] = fcntl(packet->fds[i], F_DUPFD_CLOEXEC, 0);
		if (queued->fds[i] < 0)
			return false;
		queued->fd_count++;
	}
	return true;
}

static struct queued *
queued_new(const struct client_packet *packet)
{
	struct queued *queued = malloc(sizeof(*queued) + packet->size);

	if (!queued)
		return NULL;
	queued->origin = packet->origin;
	queued->size = packet->size;
	queued->fd_count = 0;
	if (packet->size)
		memcpy(queued->bytes, packet->bytes, packet->size);
	return queued;
}

static void
append(struct client *client, struct queued *queued)
{
	list_append(&client->queue, &queued->node);
	/* many small ones are memory, too */
	client->queued_bytes += sizeof(*queued) + queued->size;
	client->queued_fds += queued->fd_count;
}

plug_err
client_queue_push(struct client *client, const struct client_packet *packet)
{
	struct queued *queued = queued_new(packet);

	if (!queued)
		return PLUG_ENOMEM;
	if (!copy_fds(queued, packet)) {
		queued_free(queued);
		return PLUG_ESYS;
	}
	append(client, queued);
	return PLUG_OK;
}

plug_err
client_queue_take(struct client *client, const struct client_packet *packet)
{
	struct queued *queued = queued_new(packet);

	if (!queued)
		return PLUG_ENOMEM;
	for (size_t i = 0; i < packet->fd_count; i++)
		queued->fds[queued->fd_count++] = packet->fds[i];
	append(client, queued);
	return PLUG_OK;
}

void
client_queue_save(struct client *client, Plugd__SavedClient *saved, struct state_out *out)
{
	LIST_FOREACH (queued, &client->queue, struct queued, node) {
		Plugd__SavedPacket *packet =
			state_out_message(out, &plugd__saved_packet__descriptor);

		packet->bytes = state_out_bytes(queued->bytes, queued->size);
		packet->origin = queued->origin.id;
		packet->payload = queued->origin.payload;
		packet->fds = state_out_array(out, queued->fd_count, sizeof(*packet->fds));
		for (size_t i = 0; packet->fds && i < queued->fd_count; i++)
			packet->fds[packet->n_fds++] = state_out_fd(out, queued->fds[i]);
		state_out_append(out, &saved->n_queue, &saved->queue, packet);
	}
}

static void
drop(struct client *client, struct queued *queued)
{
	client->queued_bytes -= sizeof(*queued) + queued->size;
	client->queued_fds -= queued->fd_count;
	list_remove(&queued->node);
	queued_free(queued);
}

enum client_queue_result
client_queue_write(struct client *client, struct client_origin *ret_origin)
{
	struct queued *queued = LIST_FIRST(&client->queue, struct queued, node);

	if (!queued)
		return CLIENT_QUEUE_EMPTY;
	if (packet_send(client->fd, queued->bytes, queued->size, queued->fds, queued->fd_count) <
	    0) {
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
