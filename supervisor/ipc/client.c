/* One client: greeting, receiving, sending, end. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "ipc/client_queue.h"
#include "ipc/doorman_private.h"
#include "ipc/packet.h"
#include "wire.h"

#define HELLO_SECONDS     5.0
#define RECEIVE_AT_A_TIME 16 /* messages of one client, then others get their turn */

/* ---- end of a client ---- */

/* To close with something unread resets the connection, and the peer may then not see what it was
 * told last.  After client_close() nothing more comes. */
static void
discard_input(int fd)
{
	char byte;
	int given;
	size_t count;

	while (packet_receive(fd, &byte, sizeof(byte), &given, &count) > 0)
		if (given >= 0)
			packet_discard(given);
}

void
client_free(struct client *client)
{
	struct doorman *doorman = client->doorman;

	doorman->config.ops->on_gone(doorman->config.user, client);
	client_queue_clear(client);
	idmap_fini(&client->ids);
	list_remove(&client->node);
	discard_input(client->fd);
	close(client->fd);
	doorman->count--;
	free(client);
}

void
client_close(struct client *client, const char *reason)
{
	struct doorman *doorman = client->doorman;
	struct ev_loop *loop = doorman->config.loop;

	if (client->closing)
		return;
	client->closing = true;
	if (reason)
		log_warn("client %llu (%s, pid %d, uid %u): %s; disconnected, its calls are "
			 "cancelled",
			 (unsigned long long)client->number,
			 client->greeted ? client->name : "no hello", (int)client->pid,
			 (unsigned)client->uid, reason);
	ev_io_stop(loop, &client->read_w);
	ev_io_stop(loop, &client->write_w);
	ev_timer_stop(loop, &client->hello_timer);
	shutdown(client->fd, SHUT_RDWR);
	list_remove(&client->node);
	list_append(&doorman->closing, &client->node);
	ev_feed_event(loop, &doorman->reap_w, EV_CUSTOM);
}

static void
on_hello_timeout(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	client_close(w->data, "no CLIENT_HELLO within 5 s");
}

/* ---- sending ---- */

static void
on_writable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct client *client = w->data;
	struct doorman *doorman = client->doorman;
	struct client_origin origin;

	(void)revents;
	while (!client->closing) {
		switch (client_queue_write(client, &origin)) {
		case CLIENT_QUEUE_SENT:
			if (origin.id)
				doorman->config.ops->on_sent(doorman->config.user, &origin);
			continue;
		case CLIENT_QUEUE_FULL:
			return;
		case CLIENT_QUEUE_EMPTY:
			ev_io_stop(loop, w);
			return;
		case CLIENT_QUEUE_BROKEN:
			client_close(client, NULL);
			return;
		}
	}
}

/* What does not go out at once waits. */
static plug_err
enqueue(struct client *client, const struct client_packet *packet)
{
	struct doorman *doorman = client->doorman;
	plug_err err;

	if (client->queued_bytes + packet->size > doorman->config.limits.queue_bytes ||
	    client->queued_fds + packet->fd_count > CLIENT_QUEUE_FDS) {
		client_close(client, "does not read its replies: the queue is full");
		return PLUG_EOVERLOADED;
	}
	err = client_queue_push(client, packet);
	if (err == PLUG_ENOMEM)
		client_close(client, "out of memory for its replies");
	if (!err)
		ev_io_start(doorman->config.loop, &client->write_w);
	return err;
}

static plug_err
send_packet(struct client *client, const struct client_packet *packet)
{
	struct doorman *doorman = client->doorman;

	if (!list_empty(&client->queue))
		return enqueue(client, packet);
	if (packet_send(client->fd, packet->bytes, packet->size, packet->fds, packet->fd_count) ==
	    (ssize_t)packet->size) {
		if (packet->origin.id)
			doorman->config.ops->on_sent(doorman->config.user, &packet->origin);
		return PLUG_OK;
	}
	if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
		return enqueue(client, packet);
	if (errno == ETOOMANYREFS) /* the user that plugd runs as has too many on their way */
		return PLUG_ESYS;
	client_close(client, NULL);
	return PLUG_EGONE;
}

static plug_err
send_envelope(struct client *client, const Plug__Envelope *env, struct client_packet packet)
{
	uint8_t bytes[PLUG_MESSAGE_BYTES];
	plug_err err;

	if (client->closing)
		return PLUG_EGONE;
	err = plug_envelope_pack(env, bytes, sizeof(bytes), &packet.size);
	packet.bytes = bytes;
	return err ? err : send_packet(client, &packet);
}

plug_err
client_send(struct client *client, const Plug__Envelope *env, const struct client_origin *origin)
{
	struct client_packet packet = {.fd_count = 0};

	if (origin)
		packet.origin = *origin;
	return send_envelope(client, env, packet);
}

plug_err
client_send_fds(struct client *client, const Plug__Envelope *env, const int *fds, size_t fd_count)
{
	return send_envelope(client, env, (struct client_packet){.fds = fds, .fd_count = fd_count});
}

size_t
client_queued_bytes(const struct client *client)
{
	return client->queued_bytes;
}

/* ---- handshake ---- */

void
client_refuse(struct client *client, plug_err code, const char *message)
{
	Plug__Refused refused = PLUG__REFUSED__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	refused.code = code;
	refused.message = (char *)message;
	refused.protocol_min = PLUG_PROTOCOL_MIN;
	refused.protocol_max = PLUG_PROTOCOL_MAX;
	refused.plugd = (char *)PLUG_VERSION;
	env.body_case = PLUG__ENVELOPE__BODY_REFUSED;
	env.refused = &refused;
	client_send(client, &env, NULL);
	client_close(client, message);
}

static bool
is_admin(const struct client *client)
{
	return client->uid == 0 || client->uid == geteuid();
}

static void
welcome(struct client *client)
{
	Plug__ClientWelcome body = PLUG__CLIENT_WELCOME__INIT;
	Plug__Limits limits = PLUG__LIMITS__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	limits.message_bytes = PLUG_MESSAGE_BYTES;
	limits.call_bytes = client->doorman->config.limits.call_bytes;
	body.protocol = PLUG_PROTOCOL_MAX;
	body.plugd = (char *)PLUG_VERSION;
	body.role = (char *)(client->role == ROLE_ADMIN ? "admin" : "instance");
	body.limits = &limits;
	env.body_case = PLUG__ENVELOPE__BODY_CLIENT_WELCOME;
	env.client_welcome = &body;
	client_send(client, &env, NULL);
}

static void
greet(struct client *client, const Plug__Envelope *env)
{
	struct doorman *doorman = client->doorman;
	const Plug__ClientHello *hello = env->client_hello;

	if (env->body_case != PLUG__ENVELOPE__BODY_CLIENT_HELLO) {
		client_close(client, "first message is not CLIENT_HELLO");
		return;
	}
	if (hello->protocol_min > PLUG_PROTOCOL_MAX || hello->protocol_max < PLUG_PROTOCOL_MIN) {
		client_refuse(client, PLUG_EVERSION,
			      "no protocol version in common: update the older side");
		return;
	}
	if (hello->token.len) {
		if (!doorman->config.ops->has_token(doorman->config.user, client, hello->token.data,
						    hello->token.len)) {
			client_refuse(client, PLUG_EDENIED,
				      "the token is not that of a running instance");
			return;
		}
		client->role = ROLE_INSTANCE;
	} else if (is_admin(client)) {
		client->role = ROLE_ADMIN;
	} else {
		client_refuse(client, PLUG_EDENIED, "this user is neither plugd's own nor root");
		return;
	}
	snprintf(client->name, sizeof(client->name), "%s", plug_str(hello->name));
	client->greeted = true;
	ev_timer_stop(doorman->config.loop, &client->hello_timer);
	welcome(client);
}

/* ---- receiving ---- */

static bool
may_bring_fds(const Plug__Envelope *env, size_t count)
{
	return !count || (count == 1 && env->body_case == PLUG__ENVELOPE__BODY_CHANNEL_REQUEST);
}

static void
receive(struct client *client, const void *bytes, size_t size, size_t fd_count)
{
	struct doorman *doorman = client->doorman;
	Plug__Envelope *env;
	plug_err err = plug_envelope_unpack(bytes, size, &env);

	if (err) {
		client_close(client, err == PLUG_ETOOLARGE ? "message above the limit of 64 KiB"
				     : err == PLUG_ENOMEM  ? "out of memory for a message of it"
							   : "message is not an Envelope");
		return;
	}
	if (!may_bring_fds(env, fd_count))
		client_close(client, "a message with descriptors that do not belong to it");
	else if (client->greeted)
		doorman->config.ops->on_message(doorman->config.user, client, env);
	else
		greet(client, env);
	plug_envelope_free(env);
}

static void
on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	/* One loop, one thread: a buffer for all; a byte more than allowed, to see what is too
	 * long. */
	static uint8_t buffer[PLUG_MESSAGE_BYTES + 1];
	struct client *client = w->data;

	(void)loop;
	(void)revents;
	for (int i = 0; i < RECEIVE_AT_A_TIME && !client->closing; i++) {
		size_t fd_count;
		ssize_t size = packet_receive(client->fd, buffer, sizeof(buffer), &client->given_fd,
					      &fd_count);

		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (size <= 0)
			client_close(client, NULL);
		else
			receive(client, buffer, (size_t)size, fd_count);
		if (client->given_fd >= 0)
			packet_discard(steal_fd(&client->given_fd));
	}
}

/* ---- the beginning ---- */

struct client *
client_new(struct doorman *doorman, int fd, uint64_t number)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client)
		return NULL;
	client->doorman = doorman;
	client->number = number;
	client->fd = fd;
	client->given_fd = -1;
	list_init(&client->queue);
	list_init(&client->owned);
	list_init(&client->channels);
	list_append(&doorman->clients, &client->node);
	doorman->count++;
	ev_io_init(&client->read_w, on_readable, fd, EV_READ);
	ev_io_init(&client->write_w, on_writable, fd, EV_WRITE);
	ev_timer_init(&client->hello_timer, on_hello_timeout, HELLO_SECONDS, 0.);
	client->read_w.data = client->write_w.data = client->hello_timer.data = client;
	ev_io_start(doorman->config.loop, &client->read_w);
	return client;
}
