/*
 * Clients at plugd's door: packets, with and without descriptors, in any order, from several
 * connections, while the plugin behind answers in any way.  Door, router, control, channels and
 * registry are the real ones (door_world.h).
 *
 * An input is a script: the lower half of a step's byte says what (`steps`), the upper half whose.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "channel.h"
#include "door_world.h"
#include "fuzz.h"
#include "ipc/packet.h"
#include "script.h"

#define CLIENTS 4
#define IDS     256

/* What a client is owed for an id of its own: one end for each beginning. */
struct owed {
	unsigned begun, ended;
	bool final; /* the Reply whose Chunks come is the last; another may end it before they do */
	bool open;  /* not all of the payload was sent, or it follows something */
};

struct visitor {
	int fd; /* -1: not connected */
	bool welcome;
	struct owed owed[IDS];
};

static struct visitor visitors[CLIENTS];

/* ---- what a client sends ---- */

static void
note_beginning(struct visitor *v, const void *bytes, size_t size)
{
	Plug__Envelope *env = NULL;
	struct owed *owed;

	if (plug_envelope_unpack(bytes, size, &env) != PLUG_OK)
		return;
	owed = &v->owed[env->id % IDS];
	switch (env->body_case) {
	case PLUG__ENVELOPE__BODY_CALL:
		owed->begun++;
		owed->open = owed->open || env->call->more;
		break;
	case PLUG__ENVELOPE__BODY_REQUEST:
	case PLUG__ENVELOPE__BODY_CHANNEL_REQUEST:
		owed->begun++;
		owed->open = true;
		break;
	default:
		break;
	}
	plug_envelope_free(env);
}

/* A packet that the socket does not take was not sent. */
static void
send_packet(struct visitor *v, const void *bytes, size_t size, const int *fds, size_t count)
{
	if (v->fd < 0)
		return;
	if (packet_send(v->fd, bytes, size, fds, count) == (ssize_t)size)
		note_beginning(v, bytes, size);
	else
		CHECK(errno == EAGAIN || errno == EPIPE || errno == ECONNRESET ||
		      errno == ENOTCONN);
}

static void
send_envelope(struct visitor *v, const Plug__Envelope *env, int fd)
{
	static uint8_t bytes[PLUG_MESSAGE_BYTES];
	size_t size;

	if (plug_envelope_pack(env, bytes, sizeof(bytes), &size) == PLUG_OK)
		send_packet(v, bytes, size, &fd, fd >= 0);
}

/* ---- what it gets ---- */

static void
check_message(struct visitor *v, const Plug__Envelope *env)
{
	struct owed *owed = &v->owed[env->id % IDS];

	switch (env->body_case) {
	case PLUG__ENVELOPE__BODY_CLIENT_WELCOME:
		CHECK(!v->welcome);
		v->welcome = true;
		return;
	case PLUG__ENVELOPE__BODY_REFUSED:
		return;
	case PLUG__ENVELOPE__BODY_REPLY:
		owed->final = !env->reply->partial;
		owed->ended += owed->final && !env->reply->more;
		break;
	case PLUG__ENVELOPE__BODY_RESPONSE:
		owed->ended += !env->response->more;
		break;
	case PLUG__ENVELOPE__BODY_CHANNEL_GRANT:
		owed->ended++;
		break;
	default:
		CHECK(env->body_case == PLUG__ENVELOPE__BODY_CHUNK);
		owed->ended += owed->final && env->chunk->last;
	}
	CHECK(v->welcome && owed->ended <= owed->begun);
}

/* With descriptors of which each is closed.  False when there is no more. */
static bool
read_one(struct visitor *v)
{
	static uint8_t bytes[PLUG_MESSAGE_BYTES + 1];
	Plug__Envelope *env = NULL;
	size_t count;
	int fd;
	ssize_t size = packet_receive(v->fd, bytes, sizeof(bytes), &fd, &count);

	if (fd >= 0)
		close(fd);
	if (size <= 0)
		return false;
	CHECK(plug_envelope_unpack(bytes, (size_t)size, &env) == PLUG_OK);
	CHECK(!count || (count == 3 && env->body_case == PLUG__ENVELOPE__BODY_CHANNEL_GRANT));
	check_message(v, env);
	plug_envelope_free(env);
	return true;
}

static void
read_all(struct visitor *v)
{
	while (v->fd >= 0 && read_one(v))
		;
}

/* ---- steps ---- */

static void
leave(struct visitor *v)
{
	if (v->fd >= 0)
		close(v->fd);
	*v = (struct visitor){.fd = -1};
}

static void
say_hello(struct visitor *v, uint8_t how)
{
	Plug__ClientHello hello = PLUG__CLIENT_HELLO__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	struct instance *in = world_instance();

	hello.protocol_min = how & 4 ? 9 : PLUG_PROTOCOL_MIN;
	hello.protocol_max = how & 8 ? 0 : PLUG_PROTOCOL_MAX;
	hello.name = (char *)(how & 16 ? "v\xff\n" : "visitor");
	if (how & 2 && in) {
		hello.token.data = in->client_token;
		hello.token.len = sizeof(in->client_token) - (how & 32 ? 1 : 0);
	}
	env.body_case = PLUG__ENVELOPE__BODY_CLIENT_HELLO;
	env.client_hello = &hello;
	send_envelope(v, &env, -1);
}

static void
step_come(struct visitor *v, struct script *script)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	uint8_t how = script_byte(script);

	leave(v);
	strcpy(address.sun_path, world.daemon.host.socket_path);
	v->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CHECK(v->fd >= 0);
	if (connect(v->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		leave(v);
	else if (!(how & 1))
		say_hello(v, how);
}

static void
step_leave(struct visitor *v, struct script *script)
{
	(void)script;
	leave(v);
}

static void
step_packet(struct visitor *v, struct script *script)
{
	size_t size;
	const uint8_t *bytes = script_bytes(script, script_byte(script), &size);

	if (size)
		send_packet(v, bytes, size, NULL, 0);
}

/* Of which kind, and how many. */
static size_t
make_fds(uint8_t how, int fds[PACKET_FDS_SENT])
{
	size_t count = 1 + (how >> 4) % PACKET_FDS_SENT;

	for (size_t i = 0; i < count; i++) {
		int pair[2];

		if (how % 4 == 1) {
			CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
			fds[i] = pair[0];
			close(pair[1]);
		} else if (how % 4 == 2) {
			fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		} else {
			fds[i] = dup(world.region_fd);
		}
		CHECK(fds[i] >= 0);
	}
	return count;
}

static void
step_packet_with_fds(struct visitor *v, struct script *script)
{
	uint8_t how = script_byte(script);
	size_t size;
	const uint8_t *bytes = script_bytes(script, script_byte(script), &size);
	int fds[PACKET_FDS_SENT];
	size_t count;

	if (!size)
		return;
	count = make_fds(how, fds);
	send_packet(v, bytes, size, fds, count);
	while (count)
		close(fds[--count]);
}

static void
step_call(struct visitor *v, struct script *script)
{
	static const char *const plugins[] = {"live", "live", "still", "liev"};
	static const char *const methods[] = {"echo", "stream", "extra", "none"};
	static const uint8_t payload[256];
	Plug__Call call = PLUG__CALL__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	uint8_t how = script_byte(script);

	env.id = script_byte(script);
	call.plugin = (char *)plugins[how % 4];
	call.method = (char *)methods[how / 4 % 4];
	call.more = how & 16;
	call.again = how & 32;
	call.timeout_us = how & 64 ? 1 : 0;
	call.payload.data = (uint8_t *)(uintptr_t)payload;
	call.payload.len = script_byte(script);
	env.body_case = PLUG__ENVELOPE__BODY_CALL;
	env.call = &call;
	send_envelope(v, &env, -1);
}

static void
step_chunk(struct visitor *v, struct script *script)
{
	static const uint8_t payload[256];
	Plug__Chunk chunk = PLUG__CHUNK__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	uint8_t how;

	env.id = script_byte(script);
	how = script_byte(script);
	chunk.last = how & 1;
	chunk.data.data = (uint8_t *)(uintptr_t)payload;
	chunk.data.len = how;
	env.body_case = PLUG__ENVELOPE__BODY_CHUNK;
	env.chunk = &chunk;
	send_envelope(v, &env, -1);
}

static void
step_cancel(struct visitor *v, struct script *script)
{
	Plug__Cancel cancel = PLUG__CANCEL__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	env.id = script_byte(script);
	env.body_case = PLUG__ENVELOPE__BODY_CANCEL;
	env.cancel = &cancel;
	send_envelope(v, &env, -1);
}

static void
step_channel(struct visitor *v, struct script *script)
{
	Plug__ChannelRequest request = PLUG__CHANNEL_REQUEST__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	uint8_t how = script_byte(script);

	env.id = script_byte(script);
	request.plugin = (char *)(how & 1 ? "still" : "live");
	request.region_bytes = how & 2 ? 4096 : PLUG_REGION_BYTES_MIN;
	env.body_case = PLUG__ENVELOPE__BODY_CHANNEL_REQUEST;
	env.channel_request = &request;
	send_envelope(v, &env, how & 4 ? -1 : world.region_fd);
}

static void
step_read(struct visitor *v, struct script *script)
{
	(void)script;
	read_all(v);
}

static void
step_answer(struct visitor *v, struct script *script)
{
	uint8_t how = script_byte(script);

	(void)v;
	plugin_listen();
	plugin_answer(how >> 6, how);
}

static void
step_offer(struct visitor *v, struct script *script)
{
	uint8_t how = script_byte(script);

	(void)v;
	plugin_listen();
	if (how & 2)
		plugin_close_channel(how);
	else
		plugin_answer_offer(how);
}

static void
step_plugin_says(struct visitor *v, struct script *script)
{
	size_t size;
	const uint8_t *bytes = script_bytes(script, script_byte(script), &size);

	(void)v;
	plugin_listen();
	plugin_say(bytes, size);
}

static void
step_broker_says(struct visitor *v, struct script *script)
{
	uint8_t how = script_byte(script);
	size_t size;
	const uint8_t *bytes = script_bytes(script, script_byte(script), &size);

	(void)v;
	if (size)
		plugin_say_on_broker(bytes, size, how & 1 ? world.region_fd : -1);
}

static void
step_nothing(struct visitor *v, struct script *script)
{
	(void)v;
	(void)script;
}

static const struct {
	void (*run)(struct visitor *v, struct script *script);
	bool turns;
} steps[16] = {
	{step_come, true},        {step_call, true},
	{step_packet, true},      {step_read, false},
	{step_answer, true},      {step_chunk, true},
	{step_cancel, true},      {step_channel, true},
	{step_offer, true},       {step_packet_with_fds, true},
	{step_leave, true},       {step_plugin_says, true},
	{step_broker_says, true}, {step_call, false},
	{step_packet, false},     {step_nothing, true},
};

/* ---- one input ---- */

/* Whoever is still there has got what it is owed. */
static void
check_all_ended(struct visitor *v)
{
	char byte;

	read_all(v);
	if (v->fd < 0 || recv(v->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN)
		return;
	for (unsigned id = 1; id < IDS; id++) {
		const struct owed *owed = &v->owed[id];

		if (!owed->open && owed->ended != owed->begun)
			fprintf(stderr, "id %u: %u begun, %u ended\n", id, owed->begun,
				owed->ended);
		CHECK(owed->open || owed->ended == owed->begun);
	}
}

static void
settle(void)
{
	for (int i = 0; i < 8; i++) {
		plugin_listen();
		plugin_answer_all();
		world_turn();
	}
	for (int i = 0; i < CLIENTS && world_instance(); i++)
		check_all_ended(&visitors[i]);
	for (int i = 0; i < CLIENTS; i++)
		leave(&visitors[i]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script script = {data, size};

	world_begin();
	for (int i = 0; i < CLIENTS; i++)
		visitors[i] = (struct visitor){.fd = -1};
	while (script.left) {
		uint8_t step = script_byte(&script);

		steps[step & 15].run(&visitors[step >> 4 & 3], &script);
		if (steps[step & 15].turns)
			world_turn();
	}
	settle();
	world_end();
	return 0;
}
