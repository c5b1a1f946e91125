#include "peer.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

static void *
run(void *arg)
{
	struct peer *peer = arg;

	peer->script(peer);
	peer_close(peer);
	return NULL;
}

void
peer_start(struct peer *peer, peer_script script, void *arg)
{
	peer_start_limited(peer, script, arg, 0);
}

void
peer_start_limited(struct peer *peer, peer_script script, void *arg, uint64_t call_bytes)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	memset(peer, 0, sizeof(*peer));
	peer->fd = -1;
	peer->script = script;
	peer->arg = arg;
	peer->call_bytes = call_bytes;
	strcpy(peer->dir, "/tmp/plug-test-XXXXXX");
	MUST(mkdtemp(peer->dir));
	snprintf(peer->path, sizeof(peer->path), "%s/%s", peer->dir, PLUG_SOCKET_NAME);
	peer->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	MUST(peer->listener >= 0);
	strcpy(sun.sun_path, peer->path);
	MUST(bind(peer->listener, (struct sockaddr *)&sun, sizeof(sun)) == 0);
	MUST(listen(peer->listener, 4) == 0);
	MUST(pthread_create(&peer->thread, NULL, run, peer) == 0);
}

void
peer_stop(struct peer *peer)
{
	pthread_join(peer->thread, NULL);
	close(peer->listener);
	unlink(peer->path);
	rmdir(peer->dir);
}

struct plug_client *
peer_client_with(struct peer *peer, struct plug_client_config config)
{
	struct plug_client *client = NULL;
	plug_err err;

	config.size = sizeof(config);
	config.runtime_dir = peer->dir;
	config.name = "test";
	err = plug_client_open(&config, &client);
	if (err != PLUG_OK)
		fail_msg("open: %s: %s", plug_err_name(err), plug_client_error_text(NULL));
	return client;
}

struct plug_client *
peer_client(struct peer *peer)
{
	return peer_client_with(peer, (struct plug_client_config){.size = 0});
}

static void
wait_for(int fd, short events)
{
	struct pollfd ready = {.fd = fd, .events = events};

	MUST(poll(&ready, 1, PEER_WAIT_MS) == 1);
}

void
peer_accept(struct peer *peer)
{
	peer_close(peer);
	wait_for(peer->listener, POLLIN);
	peer->fd = accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC);
	MUST(peer->fd >= 0);
}

void
peer_welcome(struct peer *peer)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__ClientWelcome welcome = PLUG__CLIENT_WELCOME__INIT;
	Plug__Limits limits = PLUG__LIMITS__INIT;
	static char version[] = "9.8.7", role[] = "admin";

	peer_accept(peer);
	plug_envelope_free(peer_expect(peer, PLUG__ENVELOPE__BODY_CLIENT_HELLO));
	env.body_case = PLUG__ENVELOPE__BODY_CLIENT_WELCOME;
	env.client_welcome = &welcome;
	welcome.protocol = PLUG_PROTOCOL_MAX;
	welcome.plugd = version;
	welcome.role = role;
	limits.call_bytes = peer->call_bytes;
	if (peer->call_bytes)
		welcome.limits = &limits;
	peer_send(peer, &env);
}

void
peer_close(struct peer *peer)
{
	if (peer->fd >= 0)
		close(peer->fd);
	peer->fd = -1;
}

static Plug__Envelope *
receive_one(struct peer *peer)
{
	static uint8_t buf[PLUG_MESSAGE_BYTES + 1];
	Plug__Envelope *env = NULL;
	ssize_t size;

	wait_for(peer->fd, POLLIN);
	size = recv(peer->fd, buf, sizeof(buf), 0);
	/* A client that closes with something unread is reported once, before what it sent. */
	if (size < 0 && errno == ECONNRESET)
		size = recv(peer->fd, buf, sizeof(buf), 0);
	if (size <= 0)
		return NULL;
	MUST(plug_envelope_unpack(buf, (size_t)size, &env) == PLUG_OK);
	return env;
}

/* As of a plugin without a data plane.  The client may have closed meanwhile. */
static void
refuse_channel(struct peer *peer, uint64_t id)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__ChannelGrant grant = PLUG__CHANNEL_GRANT__INIT;
	uint8_t buf[256];
	size_t size;

	env.id = id;
	env.body_case = PLUG__ENVELOPE__BODY_CHANNEL_GRANT;
	env.channel_grant = &grant;
	grant.outcome = PLUG_ESTATE;
	MUST(plug_envelope_pack(&env, buf, sizeof(buf), &size) == PLUG_OK);
	MUST(send(peer->fd, buf, size, MSG_NOSIGNAL) == (ssize_t)size || errno == EPIPE ||
	     errno == ECONNRESET);
}

static bool
is_readable(const struct peer *peer)
{
	struct pollfd ready = {.fd = peer->fd, .events = POLLIN};

	return poll(&ready, 1, 0) == 1;
}

static bool
is_channel_request(const struct peer *peer)
{
	static uint8_t buf[PLUG_MESSAGE_BYTES + 1];
	Plug__Envelope *env = NULL;
	ssize_t size = recv(peer->fd, buf, sizeof(buf), MSG_PEEK);
	bool is_one;

	if (size <= 0 || plug_envelope_unpack(buf, (size_t)size, &env) != PLUG_OK)
		return false;
	is_one = env->body_case == PLUG__ENVELOPE__BODY_CHANNEL_REQUEST;
	plug_envelope_free(env);
	return is_one;
}

bool
peer_has_more(struct peer *peer)
{
	while (is_readable(peer) && is_channel_request(peer)) {
		Plug__Envelope *env = receive_one(peer);

		refuse_channel(peer, env->id);
		plug_envelope_free(env);
	}
	return is_readable(peer);
}

Plug__Envelope *
peer_receive(struct peer *peer)
{
	Plug__Envelope *env = receive_one(peer);

	while (env && env->body_case == PLUG__ENVELOPE__BODY_CHANNEL_REQUEST) {
		refuse_channel(peer, env->id);
		plug_envelope_free(env);
		env = receive_one(peer);
	}
	return env;
}

Plug__Envelope *
peer_expect(struct peer *peer, Plug__Envelope__BodyCase kind)
{
	Plug__Envelope *env = peer_receive(peer);

	MUST(env);
	MUST(env->body_case == kind);
	return env;
}

void
peer_send_bytes(struct peer *peer, const void *data, size_t size)
{
	wait_for(peer->fd, POLLOUT);
	MUST(send(peer->fd, data, size, MSG_NOSIGNAL) == (ssize_t)size);
}

void
peer_send(struct peer *peer, const Plug__Envelope *env)
{
	static uint8_t buf[PLUG_MESSAGE_BYTES];
	size_t size;

	MUST(plug_envelope_pack(env, buf, sizeof(buf), &size) == PLUG_OK);
	peer_send_bytes(peer, buf, size);
}

uint64_t
peer_take_call(struct peer *peer, uint8_t **ret_data, size_t *ret_size)
{
	Plug__Envelope *env = peer_expect(peer, PLUG__ENVELOPE__BODY_CALL);
	uint64_t id = env->id;
	bool more = env->call->more;
	uint8_t *data = malloc(PLUG_CALL_BYTES);
	size_t size = env->call->payload.len;

	if (size)
		memcpy(data, env->call->payload.data, size);
	plug_envelope_free(env);
	while (more) {
		env = peer_expect(peer, PLUG__ENVELOPE__BODY_CHUNK);
		memcpy(data + size, env->chunk->data.data, env->chunk->data.len);
		size += env->chunk->data.len;
		more = !env->chunk->last;
		plug_envelope_free(env);
	}
	*ret_data = data;
	*ret_size = size;
	return id;
}

static void
send_reply(struct peer *peer, const struct peer_reply *from, const void *data, size_t size)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__Reply reply = PLUG__REPLY__INIT;

	env.id = from->id;
	env.body_case = PLUG__ENVELOPE__BODY_REPLY;
	env.reply = &reply;
	reply.outcome = from->outcome;
	reply.content_type = (char *)(from->type ? from->type : "text/plain");
	reply.message = (char *)(from->message ? from->message : "");
	reply.payload = (ProtobufCBinaryData){size, (uint8_t *)data};
	reply.more = from->more;
	reply.partial = from->partial;
	peer_send(peer, &env);
}

void
peer_reply(struct peer *peer, struct peer_reply reply)
{
	send_reply(peer, &reply, reply.text, reply.text ? strlen(reply.text) : 0);
}

void
peer_chunk(struct peer *peer, uint64_t id, const void *data, size_t size, bool last)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__Chunk chunk = PLUG__CHUNK__INIT;

	env.id = id;
	env.body_case = PLUG__ENVELOPE__BODY_CHUNK;
	env.chunk = &chunk;
	chunk.data = (ProtobufCBinaryData){size, (uint8_t *)data};
	chunk.last = last;
	peer_send(peer, &env);
}

void
peer_reply_long(struct peer *peer, uint64_t id, const void *data, size_t size, size_t piece,
		bool partial)
{
	struct peer_reply head = {.id = id, .more = size > piece, .partial = partial};
	size_t sent = size < piece ? size : piece, now;

	send_reply(peer, &head, data, sent);
	for (; sent < size; sent += now) {
		now = size - sent < piece ? size - sent : piece;
		peer_chunk(peer, id, (const char *)data + sent, now, sent + now == size);
	}
}

void *
pattern(size_t size, unsigned seed)
{
	uint8_t *data = malloc(size + 1);
	uint32_t x = seed * 2654435761u + 1;

	MUST(data);
	for (size_t i = 0; i < size; i++) {
		x = x * 1664525u + 1013904223u;
		data[i] = (uint8_t)(x >> 24);
	}
	data[size] = 0;
	return data;
}

uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
