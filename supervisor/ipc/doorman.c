#include "ipc/doorman.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/log.h"
#include "ipc/client_queue.h"
#include "wire.h"

#define BACKLOG           128
#define HELLO_SECONDS     5.0
#define RECEIVE_AT_A_TIME 16 /* messages of one client, then others get their turn */
#define ACCEPT_AT_A_TIME  32

struct doorman {
	struct doorman_config config;
	struct sockaddr_un address;
	int fd;
	ev_io accept_w;
	ev_timer accept_pause; /* out of descriptors: try again later */
	ev_check reap_w;       /* frees closed clients when no callback of theirs is running */
	struct list clients, closing;
	unsigned count;
	uint64_t last_number;
};

/* ---- end of a client ---- */

/* To close with something unread resets the connection, and the peer may then not see what it was
 * told last.  After client_close() nothing more comes. */
static void
discard_input(int fd)
{
	char byte;

	while (recv(fd, &byte, sizeof(byte), MSG_DONTWAIT) > 0)
		;
}

static void
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
on_reap(struct ev_loop *loop, ev_check *w, int revents)
{
	struct doorman *doorman = w->data;

	(void)loop;
	if (!(revents & EV_CUSTOM))
		return;
	LIST_FOREACH_SAFE (client, &doorman->closing, struct client, node)
		client_free(client);
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

plug_err
client_send(struct client *client, const Plug__Envelope *env, const struct client_origin *origin)
{
	static const struct client_origin nobody;
	struct doorman *doorman = client->doorman;
	uint8_t bytes[PLUG_MESSAGE_BYTES];
	size_t size;
	plug_err err;

	if (client->closing)
		return PLUG_EGONE;
	err = plug_envelope_pack(env, bytes, sizeof(bytes), &size);
	if (err)
		return err;
	if (!origin)
		origin = &nobody;
	if (list_empty(&client->queue)) {
		if (send(client->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size) {
			if (origin->id)
				doorman->config.ops->on_sent(doorman->config.user, origin);
			return PLUG_OK;
		}
		if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS) {
			client_close(client, NULL);
			return PLUG_EGONE;
		}
	}
	if (client->queued_bytes + size > doorman->config.limits.queue_bytes) {
		client_close(client, "does not read its replies: the queue is full");
		return PLUG_EOVERLOADED;
	}
	err = client_queue_push(client, bytes, size, origin);
	if (err)
		client_close(client, "out of memory for its replies");
	else
		ev_io_start(doorman->config.loop, &client->write_w);
	return err;
}

size_t
client_queued_bytes(const struct client *client)
{
	return client->queued_bytes;
}

/* ---- handshake ---- */

static void
refuse(struct client *client, plug_err code, const char *message)
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
		refuse(client, PLUG_EVERSION,
		       "no protocol version in common: update the older side");
		return;
	}
	if (hello->token.len) {
		if (!doorman->config.ops->has_token(doorman->config.user, hello->token.data,
						    hello->token.len)) {
			refuse(client, PLUG_EDENIED, "the token is not that of a running instance");
			return;
		}
		client->role = ROLE_INSTANCE;
	} else if (is_admin(client)) {
		client->role = ROLE_ADMIN;
	} else {
		refuse(client, PLUG_EDENIED, "this user is neither plugd's own nor root");
		return;
	}
	snprintf(client->name, sizeof(client->name), "%s", plug_str(hello->name));
	client->greeted = true;
	ev_timer_stop(doorman->config.loop, &client->hello_timer);
	welcome(client);
}

/* ---- receiving ---- */

static void
receive(struct client *client, const void *bytes, size_t size)
{
	struct doorman *doorman = client->doorman;
	Plug__Envelope *env;
	plug_err err = plug_envelope_unpack(bytes, size, &env);

	if (err) {
		client_close(client, err == PLUG_ETOOLARGE ? "message above the limit of 64 KiB"
							   : "message is not an Envelope");
		return;
	}
	if (client->greeted)
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
		ssize_t size = recv(client->fd, buffer, sizeof(buffer), MSG_DONTWAIT);

		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (size <= 0)
			client_close(client, NULL);
		else
			receive(client, buffer, (size_t)size);
	}
}

/* ---- the door ---- */

static unsigned
count_of_uid(const struct doorman *doorman, uid_t uid)
{
	unsigned count = 0;

	LIST_FOREACH (client, &doorman->clients, struct client, node)
		count += client->uid == uid;
	return count;
}

static const char *
reason_to_turn_away(const struct doorman *doorman, const struct ucred *peer)
{
	if (doorman->count >= doorman->config.limits.clients)
		return "as many clients as limits.clients allows are connected";
	if (peer->uid != 0 && peer->uid != geteuid() &&
	    count_of_uid(doorman, peer->uid) >= doorman->config.limits.clients_per_uid)
		return "as many clients of this user as limits.clients_per_uid allows are "
		       "connected";
	return NULL;
}

static struct client *
client_new(struct doorman *doorman, int fd, const struct ucred *peer)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client)
		return NULL;
	client->doorman = doorman;
	client->number = ++doorman->last_number;
	client->uid = peer->uid;
	client->pid = peer->pid;
	client->fd = fd;
	list_init(&client->queue);
	list_init(&client->owned);
	list_append(&doorman->clients, &client->node);
	doorman->count++;
	ev_io_init(&client->read_w, on_readable, fd, EV_READ);
	ev_io_init(&client->write_w, on_writable, fd, EV_WRITE);
	ev_timer_init(&client->hello_timer, on_hello_timeout, HELLO_SECONDS, 0.);
	client->read_w.data = client->write_w.data = client->hello_timer.data = client;
	ev_io_start(doorman->config.loop, &client->read_w);
	ev_timer_start(doorman->config.loop, &client->hello_timer);
	return client;
}

static void
admit(struct doorman *doorman, int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	const char *reason;
	struct client *client;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) {
		close(fd);
		return;
	}
	reason = reason_to_turn_away(doorman, &peer);
	client = client_new(doorman, fd, &peer);
	if (!client)
		close(fd);
	else if (reason)
		refuse(client, PLUG_EOVERLOADED, reason);
}

static void
on_acceptable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct doorman *doorman = w->data;

	(void)revents;
	for (int i = 0; i < ACCEPT_AT_A_TIME; i++) {
		int fd = accept4(doorman->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			admit(doorman, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			log_warn("cannot accept a client: %s; the door stays closed for a second",
				 strerror(errno));
			ev_io_stop(loop, w);
			ev_timer_again(loop, &doorman->accept_pause);
		}
		return;
	}
}

static void
on_accept_pause(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct doorman *doorman = w->data;

	(void)revents;
	ev_timer_stop(loop, w);
	ev_io_start(loop, &doorman->accept_w);
}

/* A socket left by a plugd that died may be in the way; anything else there is not ours to remove.
 */
static void
remove_stale(const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);
}

static plug_err
listen_at(struct doorman *doorman, const char *path)
{
	if (strlen(path) >= sizeof(doorman->address.sun_path))
		return PLUG_ETOOLARGE;
	doorman->address.sun_family = AF_UNIX;
	strcpy(doorman->address.sun_path, path);
	doorman->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (doorman->fd < 0)
		return PLUG_ESYS;
	remove_stale(path);
	if (bind(doorman->fd, (struct sockaddr *)&doorman->address, sizeof(doorman->address)) < 0 ||
	    listen(doorman->fd, BACKLOG) < 0)
		return PLUG_ESYS;
	return PLUG_OK;
}

plug_err
doorman_open(const struct doorman_config *config, struct doorman **ret)
{
	struct doorman *doorman = calloc(1, sizeof(*doorman));
	plug_err err;

	if (!doorman)
		return PLUG_ENOMEM;
	doorman->config = *config;
	doorman->fd = -1;
	list_init(&doorman->clients);
	list_init(&doorman->closing);
	err = listen_at(doorman, config->path);
	if (err) {
		if (doorman->fd >= 0)
			close(doorman->fd);
		free(doorman);
		return err;
	}
	ev_io_init(&doorman->accept_w, on_acceptable, doorman->fd, EV_READ);
	ev_timer_init(&doorman->accept_pause, on_accept_pause, 1., 1.);
	ev_check_init(&doorman->reap_w, on_reap);
	doorman->accept_w.data = doorman->accept_pause.data = doorman->reap_w.data = doorman;
	ev_io_start(config->loop, &doorman->accept_w);
	*ret = doorman;
	return PLUG_OK;
}

void
doorman_close(struct doorman *doorman)
{
	if (!doorman)
		return;
	ev_io_stop(doorman->config.loop, &doorman->accept_w);
	ev_timer_stop(doorman->config.loop, &doorman->accept_pause);
	close(doorman->fd);
	unlink(doorman->address.sun_path);
	LIST_FOREACH_SAFE (client, &doorman->clients, struct client, node)
		client_close(client, NULL);
	LIST_FOREACH_SAFE (client, &doorman->closing, struct client, node)
		client_free(client);
	ev_clear_pending(doorman->config.loop, &doorman->reap_w);
	free(doorman);
}

void
doorman_set_limits(struct doorman *doorman, const struct doorman_limits *limits)
{
	doorman->config.limits = *limits;
}

unsigned
doorman_client_count(const struct doorman *doorman)
{
	return doorman->count;
}
