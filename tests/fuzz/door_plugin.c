/* The plugin `live` of door_world.h: its session over nng's wire, and its broker socket. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "door_world.h"
#include "fuzz.h"
#include "ipc/packet.h"

#define BROKER_TARGET 4 /* its number in the process */
#define CHANNELS_MAX  8

/* ---- saying ---- */

static void
say(Plug__Envelope *env, bool numbered)
{
	env->generation = world.generation;
	env->seq = numbered ? ++world.seq : 0;
	env->ack = world.received;
	peer_put_envelope(&world.link, env);
}

void
plugin_say(const uint8_t *bytes, size_t size)
{
	Plug__Envelope *env = NULL;

	if (plug_envelope_unpack(bytes, size, &env) != PLUG_OK)
		return;
	say(env, env->body_case != PLUG__ENVELOPE__BODY_PONG &&
			 env->body_case != PLUG__ENVELOPE__BODY_ONLY_ACK);
	plug_envelope_free(env);
}

void
plugin_say_on_broker(const uint8_t *bytes, size_t size, int fd)
{
	if (world.broker_fd >= 0)
		packet_send(world.broker_fd, bytes, size, &fd, fd >= 0);
}

static void
broker_put(Plug__Envelope *env, int fd)
{
	uint8_t bytes[1024];
	size_t size;

	env->generation = world.generation;
	CHECK(plug_envelope_pack(env, bytes, sizeof(bytes), &size) == PLUG_OK);
	plugin_say_on_broker(bytes, size, fd);
}

static void
say_reply(uint64_t id, Plug__Reply *reply)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	env.id = id;
	env.body_case = PLUG__ENVELOPE__BODY_REPLY;
	env.reply = reply;
	say(&env, true);
}

static void
say_chunk(uint64_t id, bool last)
{
	Plug__Chunk chunk = PLUG__CHUNK__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	chunk.last = last;
	chunk.data.data = (uint8_t *)(uintptr_t) "chunk";
	chunk.data.len = 5;
	env.id = id;
	env.body_case = PLUG__ENVELOPE__BODY_CHUNK;
	env.chunk = &chunk;
	say(&env, true);
}

/* ---- hearing ---- */

static void
remember_call(uint64_t id)
{
	CHECK(id);
	if (world.call_count < WORLD_CALLS)
		world.calls[world.call_count++] = (struct world_call){.id = id};
	else
		plugin_leave(); /* it would never be answered: a new world */
}

static void
on_message(void *user, const Plug__Envelope *env)
{
	Plug__Pong pong = PLUG__PONG__INIT;
	Plug__Envelope answer = PLUG__ENVELOPE__INIT;

	(void)user;
	if (env->seq) {
		CHECK(env->seq == world.received + 1);
		world.received = env->seq;
	}
	if (env->body_case == PLUG__ENVELOPE__BODY_CALL)
		remember_call(env->id);
	if (env->body_case != PLUG__ENVELOPE__BODY_PING)
		return;
	pong.stamp = env->ping->stamp;
	answer.body_case = PLUG__ENVELOPE__BODY_PONG;
	answer.pong = &pong;
	say(&answer, false);
}

static bool
hear_offer(void)
{
	static uint8_t bytes[PLUG_MESSAGE_BYTES];
	Plug__Envelope *env = NULL;
	size_t count;
	int fd;
	ssize_t size = packet_receive(world.broker_fd, bytes, sizeof(bytes), &fd, &count);

	if (fd >= 0)
		close(fd);
	if (size <= 0)
		return false;
	CHECK(plug_envelope_unpack(bytes, (size_t)size, &env) == PLUG_OK);
	CHECK(env->body_case == PLUG__ENVELOPE__BODY_CHANNEL_OFFER && count == 2);
	if (world.offer_count < WORLD_CALLS)
		world.offers[world.offer_count++] = env->channel_offer->channel;
	plug_envelope_free(env);
	return true;
}

void
plugin_listen(void)
{
	peer_listen(&world.link, on_message, NULL);
	while (world.broker_fd >= 0 && hear_offer())
		;
}

/* ---- answering ---- */

static void
forget_call(unsigned at)
{
	world.calls[at] = world.calls[--world.call_count];
}

enum { ANSWER, FAIL, PIECE, BEGIN, END };

void
plugin_answer(unsigned which, unsigned how)
{
	unsigned at = world.call_count ? which % world.call_count : 0;
	struct world_call *call = &world.calls[at];
	Plug__Reply reply = PLUG__REPLY__INIT;

	if (!world.call_count)
		return;
	reply.payload.data = (uint8_t *)(uintptr_t) "answer";
	reply.payload.len = how / 8 % 7;
	reply.content_type = (char *)"text/plain";
	reply.partial = how % 8 == PIECE;
	reply.more = how % 8 == BEGIN;
	if (how % 8 == FAIL) {
		reply.outcome = 1 + how / 8;
		reply.message = (char *)"it says \xff why";
	}
	if (call->begun) {
		bool last = how % 8 == END;

		say_chunk(call->id, last);
		if (last)
			forget_call(at);
		return;
	}
	say_reply(call->id, &reply);
	call->begun = reply.more;
	if (!reply.partial && !reply.more)
		forget_call(at);
}

void
plugin_answer_offer(unsigned how)
{
	Plug__ChannelAnswer answer = PLUG__CHANNEL_ANSWER__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	if (!world.offer_count)
		return;
	answer.channel = world.offers[--world.offer_count];
	answer.message = (char *)"no";
	answer.outcome = how % 2 ? PLUG_EOVERLOADED : PLUG_OK;
	env.body_case = PLUG__ENVELOPE__BODY_CHANNEL_ANSWER;
	env.channel_answer = &answer;
	if (!answer.outcome)
		world.channels[world.channel_count++] = answer.channel;
	broker_put(&env, answer.outcome ? -1 : world.region_fd);
}

void
plugin_close_channel(unsigned how)
{
	Plug__ChannelClosed closed = PLUG__CHANNEL_CLOSED__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	if (!world.channel_count)
		return;
	closed.channel = world.channels[--world.channel_count];
	closed.violated = how % 2;
	closed.reason = (char *)"it \xc3 lies";
	env.body_case = PLUG__ENVELOPE__BODY_CHANNEL_CLOSED;
	env.channel_closed = &closed;
	broker_put(&env, -1);
}

void
plugin_answer_all(void)
{
	while (world.call_count)
		plugin_answer(0, world.calls[0].begun ? END : ANSWER);
	while (world.offer_count)
		plugin_answer_offer(1);
	while (world.channel_count)
		plugin_close_channel(0);
}

/* ---- coming and going ---- */

/* The process's own end of its broker socket; -1 where that is not allowed: then it has no data
 * plane. */
static int
take_broker_end(const struct instance *in)
{
	return (int)syscall(SYS_pidfd_getfd, in->pidfd, BROKER_TARGET, 0);
}

static void
say_hello(const struct instance *in)
{
	static const struct {
		const char *name;
		bool stream;
	} offered[] = {{"echo", false}, {"stream", true}, {"extra", false}};
	Plug__Method methods[3], *list[3];
	Plug__Hello hello = PLUG__HELLO__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	for (size_t i = 0; i < 3; i++) {
		plug__method__init(&methods[i]);
		methods[i].name = (char *)offered[i].name;
		methods[i].stream = offered[i].stream;
		methods[i].timeout_ms = 3600000;
		list[i] = &methods[i];
	}
	hello.protocol_min = PLUG_PROTOCOL_MIN;
	hello.protocol_max = PLUG_PROTOCOL_MAX;
	hello.name = (char *)"live";
	hello.version = (char *)"1.0.0";
	hello.contract = (char *)"interface";
	hello.token.data = (uint8_t *)(uintptr_t)in->token;
	hello.token.len = sizeof(in->token);
	hello.n_methods = 3;
	hello.methods = list;
	hello.channels = world.broker_fd >= 0 ? CHANNELS_MAX : 0;
	env.body_case = PLUG__ENVELOPE__BODY_HELLO;
	env.hello = &hello;
	say(&env, false);
}

static void
say_ready(void)
{
	Plug__Ready ready = PLUG__READY__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	env.body_case = PLUG__ENVELOPE__BODY_READY;
	env.ready = &ready;
	say(&env, true);
}

/* Between the clone and the exec the process has not what it will have. */
static bool
has_begun(const struct instance *in)
{
	struct pollfd end = {.fd = in ? in->error_fd : -1};

	return in && poll(&end, 1, 0) == 1 && end.revents & POLLHUP;
}

static struct instance *
wait_for_process(void)
{
	struct plugin *plugin = registry_find(&world.daemon.registry, "live");

	for (uint64_t since_ms = clock_mono_ms();; world_wait(since_ms, "a process")) {
		struct instance *in = LIST_FIRST(&plugin->instances, struct instance, node);

		world_turn();
		if (has_begun(in))
			return in;
	}
}

void
plugin_come_up(void)
{
	char path[RUNDIR_PATH_BYTES];
	struct instance *in = wait_for_process();
	int page_fd;

	world.instance = in;
	world.generation = in->generation;
	world.seq = world.received = 0;
	world.call_count = world.offer_count = world.channel_count = 0;
	world.broker_fd = take_broker_end(in);
	CHECK(rundir_session_path(&world.daemon.rundir, &in->dir, "n", path, sizeof(path)) ==
	      PLUG_OK);
	peer_init(&world.link);
	peer_dial(&world.link, path);
	peer_put(&world.link, peer_greeting, sizeof(peer_greeting));
	say_hello(in);
	say_ready();
	/* made with the first channel, and kept: now, so that no input leaves more than it found */
	CHECK(broker_status_page(&in->broker, &page_fd) == PLUG_OK);
	for (uint64_t since_ms = clock_mono_ms(); !world_instance();
	     world_wait(since_ms, "the plugin to be ready")) {
		world_turn();
		plugin_listen();
	}
}

void
plugin_leave(void)
{
	peer_hang_up(&world.link);
	if (world.broker_fd >= 0)
		close(world.broker_fd);
	world.broker_fd = -1;
	world.instance = NULL;
}
