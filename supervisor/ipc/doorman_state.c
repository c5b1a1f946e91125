#include <stdio.h>
#include <string.h>

#include "ipc/client_queue.h"
#include "ipc/doorman_private.h"
#include "ipc/doorman_saved.h"
#include "ipc/packet.h"
#include "state/timer.h"

/* ---- writing ---- */

static Plugd__SavedClient *
save_client(struct client *client, struct state_out *out)
{
	Plugd__SavedClient *saved = state_out_message(out, &plugd__saved_client__descriptor);

	saved->number = client->number;
	saved->uid = client->uid;
	saved->pid = client->pid;
	saved->is_instance = client->role == ROLE_INSTANCE;
	saved->name = client->name;
	saved->plugin = client->plugin;
	saved->generation = client->generation;
	saved->fd = state_out_fd(out, client->fd);
	saved->greeted = client->greeted;
	saved->hello_at_ns = state_timer_at(client->doorman->config.loop, &client->hello_timer);
	saved->channel_violations = client->channel_violations;
	client_queue_save(client, saved, out);
	return saved;
}

Plugd__SavedDoorman *
doorman_save(struct doorman *doorman, struct state_out *out)
{
	Plugd__SavedDoorman *saved = state_out_message(out, &plugd__saved_doorman__descriptor);

	saved->path = doorman->address.sun_path;
	saved->fd = state_out_fd(out, doorman->fd);
	saved->last_number = doorman->last_number;
	saved->pause_at_ns = state_timer_at(doorman->config.loop, &doorman->accept_pause);
	LIST_FOREACH (client, &doorman->clients, struct client, node)
		state_out_append(out, &saved->n_clients, &saved->clients, save_client(client, out));
	return saved;
}

/* ---- reading ---- */

static void
restore_queue(struct client *client, const Plugd__SavedClient *saved, struct state_in *in)
{
	for (size_t i = 0; i < saved->n_queue; i++) {
		const Plugd__SavedPacket *packet = saved->queue[i];
		int fds[PACKET_FDS_SENT];
		struct client_packet queued = {.bytes = packet->bytes.data,
					       .size = packet->bytes.len,
					       .origin = {packet->origin, packet->payload},
					       .fds = fds,
					       .fd_count = packet->n_fds};

		if (packet->n_fds > PACKET_FDS_SENT) {
			state_in_fail(in, "a message with %zu descriptors", packet->n_fds);
			return;
		}
		for (size_t n = 0; n < packet->n_fds; n++)
			fds[n] = state_in_fd(in, packet->fds[n]);
		if (client_queue_take(client, &queued))
			state_in_fail(in, "out of memory for what clients are sent");
	}
	if (saved->n_queue)
		ev_io_start(client->doorman->config.loop, &client->write_w);
}

static void
restore_client(struct doorman *doorman, const Plugd__SavedClient *saved, struct state_in *in)
{
	int fd = state_in_fd(in, saved->fd);
	struct client *client = fd >= 0 ? client_new(doorman, fd, saved->number) : NULL;

	if (!client) {
		state_in_fail(in, "a client without a socket, or out of memory");
		return;
	}
	client->uid = saved->uid;
	client->pid = (pid_t)saved->pid;
	client->role = saved->is_instance ? ROLE_INSTANCE : ROLE_ADMIN;
	snprintf(client->name, sizeof(client->name), "%s", saved->name);
	snprintf(client->plugin, sizeof(client->plugin), "%s", saved->plugin);
	client->generation = saved->generation;
	client->greeted = saved->greeted;
	client->channel_violations = saved->channel_violations;
	state_timer_set(doorman->config.loop, &client->hello_timer, saved->hello_at_ns);
	restore_queue(client, saved, in);
}

struct doorman *
doorman_restore(const struct doorman_config *config, const Plugd__SavedDoorman *saved,
		struct state_in *in)
{
	struct doorman *doorman = saved ? doorman_new(config) : NULL;

	if (!doorman || strlen(saved->path) >= sizeof(doorman->address.sun_path)) {
		state_in_fail(in, "no door for clients, or out of memory");
		free(doorman);
		return NULL;
	}
	doorman->address.sun_family = AF_UNIX;
	strcpy(doorman->address.sun_path, saved->path);
	doorman->fd = state_in_fd(in, saved->fd);
	doorman->last_number = saved->last_number;
	doorman_init_watchers(doorman);
	if (doorman->fd < 0) {
		state_in_fail(in, "the door for clients has no socket");
		return doorman;
	}
	if (saved->pause_at_ns)
		state_timer_set(config->loop, &doorman->accept_pause, saved->pause_at_ns);
	else
		ev_io_start(config->loop, &doorman->accept_w);
	for (size_t i = 0; i < saved->n_clients; i++)
		restore_client(doorman, saved->clients[i], in);
	return doorman;
}

struct client *
doorman_find(const struct doorman *doorman, uint64_t number)
{
	LIST_FOREACH (client, &doorman->clients, struct client, node)
		if (client->number == number)
			return client;
	return NULL;
}
