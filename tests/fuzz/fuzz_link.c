/*
 * A plugin's private session, from the bytes on its socket up: the real link and session, over a
 * real socket, with a plugin that does what the input says.  Steps are listed in `steps`.
 */
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "ipc/session.h"
#include "peer.h"
#include "script.h"

#define GENERATION    7
#define UNACKED_BYTES 20000u
#define RESERVE_BYTES (1024u * 1024)
#define TURNS         4

static const uint8_t token[PLUG_TOKEN_BYTES] = "fifteen letters";

static struct {
	struct ev_loop *loop;
	char dir[32], path[48];
	struct session *session;
	struct peer plugin, second;
	uint8_t nonce[PLUG_NONCE_BYTES];

	/* what the callbacks have seen */
	bool lost, violated;
	uint64_t last_seq; /* taken by the session */
	uint64_t sent;     /* by the session */
	bool refuse;
} t;

/* ---- above the session ---- */

static void
on_hello(void *user, const Plug__Hello *hello)
{
	Plug__Welcome welcome = PLUG__WELCOME__INIT;

	(void)user;
	CHECK(!t.violated && !t.last_seq && !session_connected(t.session));
	CHECK(hello->token.len == sizeof(token) &&
	      !memcmp(hello->token.data, token, sizeof(token)));
	if (t.refuse)
		session_refuse(t.session, PLUG_EINVAL, "not today");
	else
		CHECK(session_welcome(t.session, &welcome) == PLUG_OK);
}

static void
on_message(void *user, const Plug__Envelope *env)
{
	(void)user;
	CHECK(!t.violated && !t.lost && session_connected(t.session));
	CHECK(env->body_case != PLUG__ENVELOPE__BODY__NOT_SET);
	if (env->body_case == PLUG__ENVELOPE__BODY_PONG)
		return;
	CHECK(env->seq == t.last_seq + 1 && env->generation == GENERATION);
	t.last_seq = env->seq;
}

static void
on_lost(void *user)
{
	(void)user;
	CHECK(!t.lost && !t.violated);
	t.lost = true;
}

static void
on_resumed(void *user)
{
	(void)user;
	CHECK(t.lost && !t.violated);
	t.lost = false;
}

static void
on_violation(void *user, plug_err err, const char *reason)
{
	(void)user;
	CHECK(!t.violated && err != PLUG_OK && *reason);
	t.violated = true;
}

static const struct session_ops ops = {on_hello, on_message, on_lost, on_resumed, on_violation};

/* ---- the plugin's end ---- */

/* A WELCOME's nonce is what a resume needs; all else that plugd says only has to be right. */
static void
hear(void *user, const Plug__Envelope *env)
{
	(void)user;
	if (env->body_case == PLUG__ENVELOPE__BODY_WELCOME) {
		CHECK(env->welcome->nonce.len == sizeof(t.nonce));
		memcpy(t.nonce, env->welcome->nonce.data, sizeof(t.nonce));
	}
	CHECK(env->ack <= t.last_seq && env->seq <= t.sent);
}

static void
listen_to_plugd(void)
{
	peer_listen(&t.plugin, hear, NULL);
}

/* ---- steps ---- */

static void
turn(void)
{
	for (int i = 0; i < TURNS; i++)
		ev_run(t.loop, EVRUN_NOWAIT);
}

static void
step_dial(struct script *script)
{
	uint8_t how = script_byte(script);

	peer_hang_up(&t.plugin);
	if (how & 1)
		turn(); /* the end is seen before the new one comes */
	peer_dial(&t.plugin, t.path);
	peer_put(&t.plugin, peer_greeting,
		 how & 2 ? how % PEER_GREETING_BYTES : PEER_GREETING_BYTES);
}

static void
step_cut(struct script *script)
{
	(void)script;
	peer_hang_up(&t.plugin);
}

static void
step_second(struct script *script)
{
	uint8_t how = script_byte(script);

	peer_hang_up(&t.second);
	if (how & 1)
		return;
	peer_dial(&t.second, t.path);
	peer_put(&t.second, peer_greeting, how % (PEER_GREETING_BYTES + 1));
}

static void
step_bytes(struct script *script)
{
	size_t size;
	const uint8_t *bytes = script_bytes(script, script_byte(script), &size);

	peer_put(&t.plugin, bytes, size);
}

static void
step_frame(struct script *script)
{
	size_t size;
	const uint8_t *bytes = script_bytes(script, script_byte(script), &size);

	peer_put_frame(&t.plugin, bytes, size);
}

static void
step_hello(struct script *script)
{
	Plug__Hello hello = PLUG__HELLO__INIT;
	Plug__Resume resume = PLUG__RESUME__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	uint8_t how = script_byte(script);

	hello.protocol_min = how & 1 ? script_byte(script) : PLUG_PROTOCOL_MIN;
	hello.protocol_max = how & 2 ? script_byte(script) : PLUG_PROTOCOL_MAX;
	hello.token.data = (uint8_t *)(uintptr_t)token;
	hello.token.len = how & 4 ? script_byte(script) % (sizeof(token) + 1) : sizeof(token);
	hello.name = (char *)"fake";
	if (how & 8) {
		hello.resume = &resume;
		resume.generation = how & 16 ? script_byte(script) : GENERATION;
		resume.nonce.data = t.nonce;
		resume.nonce.len = sizeof(t.nonce);
		resume.received = how & 32 ? script_byte(script) : t.sent;
	}
	t.refuse = how & 64;
	env.body_case = PLUG__ENVELOPE__BODY_HELLO;
	env.hello = &hello;
	peer_put_envelope(&t.plugin, &env);
}

/* Whatever body the bytes are, as the next message of the stream, or nearly. */
static void
step_message(struct script *script)
{
	uint8_t how = script_byte(script);
	size_t size;
	const uint8_t *bytes = script_bytes(script, script_byte(script), &size);
	Plug__Envelope *env = NULL;

	if (plug_envelope_unpack(bytes, size, &env) != PLUG_OK)
		return;
	env->generation = GENERATION;
	env->seq = t.last_seq + 1;
	env->ack = t.sent;
	if (how & 1)
		env->seq += (uint64_t)(int64_t)(int8_t)script_byte(script);
	if (how & 2)
		env->ack = script_byte(script);
	peer_put_envelope(&t.plugin, env);
	plug_envelope_free(env);
}

static void
step_send(struct script *script)
{
	static uint8_t bytes[PLUG_MESSAGE_BYTES];
	Plug__Chunk chunk = PLUG__CHUNK__INIT;
	Plug__Cancel cancel = PLUG__CANCEL__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	unsigned size = script_word(script);
	plug_err err;

	env.id = 1;
	env.body_case = size & 1 ? PLUG__ENVELOPE__BODY_CHUNK : PLUG__ENVELOPE__BODY_CANCEL;
	if (size & 1)
		env.chunk = &chunk;
	else
		env.cancel = &cancel;
	chunk.data.data = bytes;
	chunk.data.len = size;
	err = session_send(t.session, &env);
	t.sent += err == PLUG_OK;
	CHECK(err == PLUG_OK || err == PLUG_ESTATE || err == PLUG_EOVERLOADED ||
	      err == PLUG_ETOOLARGE);
	CHECK(err != PLUG_OK || session_welcomed(t.session));
}

static void
step_tick(struct script *script)
{
	session_tick(t.session);
	if (script_byte(script) & 1)
		session_ping(t.session, 1);
}

static void
step_listen(struct script *script)
{
	(void)script;
	listen_to_plugd();
}

static void
step_nothing(struct script *script)
{
	(void)script; /* what was sent stays together with what comes next */
}

static const struct {
	void (*run)(struct script *script);
	bool turns;
} steps[] = {
	{step_dial, true},    {step_hello, true},    {step_message, true}, {step_bytes, true},
	{step_frame, true},   {step_send, true},     {step_cut, true},     {step_second, true},
	{step_listen, false}, {step_tick, false},    {step_bytes, false},  {step_frame, false},
	{step_hello, false},  {step_message, false}, {step_cut, false},    {step_nothing, true},
};

#define STEPS (sizeof(steps) / sizeof(steps[0]))

/* ---- one input ---- */

static void
make_place(void)
{
	if (t.loop)
		return;
	t.loop = ev_loop_new(EVFLAG_NOENV);
	strcpy(t.dir, "/tmp/fuzz-link-XXXXXX");
	CHECK(t.loop && mkdtemp(t.dir));
	snprintf(t.path, sizeof(t.path), "%s/s", t.dir);
}

static void
begin(void)
{
	struct session_config config = {.loop = t.loop,
					.path = t.path,
					.generation = GENERATION,
					.unacked_bytes = UNACKED_BYTES,
					.ops = &ops};

	peer_init(&t.plugin);
	peer_init(&t.second);
	t.last_seq = t.sent = 0;
	t.lost = t.violated = t.refuse = false;
	memset(t.nonce, 0, sizeof(t.nonce));
	memcpy(config.token, token, sizeof(token));
	CHECK(session_open(&config, &t.session) == PLUG_OK);
}

static void __attribute__((destructor)) end(void)
{
	if (t.loop)
		rmdir(t.dir);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script script = {data, size};
	int free_before;

	make_place();
	free_before = peer_free_descriptor();
	begin();
	while (script.left) {
		uint8_t step = script_byte(&script) % STEPS;

		steps[step].run(&script);
		if (steps[step].turns)
			turn();
		CHECK(session_unacked_bytes(t.session) <= UNACKED_BYTES + RESERVE_BYTES);
		CHECK(!t.violated || !session_connected(t.session));
	}
	turn();
	listen_to_plugd();
	peer_hang_up(&t.plugin);
	peer_hang_up(&t.second);
	turn();
	session_close(t.session);
	CHECK(access(t.path, F_OK) < 0);
	CHECK(peer_free_descriptor() == free_before);
	return 0;
}

/* ---- seeds ---- */

/* DIAL, HELLO and MESSAGE as they are most often; LISTEN. */
#define DIAL_     "\0\0"
#define HELLO_    "\1\0\x08"
#define RESUME_   "\1\x08\x08"
#define READY_    "\2\0\2\x6a\0"
#define PONG_     "\2\0\3\x92\1\0"
#define LOG_      "\2\0\3\x9a\1\0"
#define CHUNK_17_ "\5\0\x11"
#define CANCEL_   "\5\0\0"
#define CUT_      "\6"
#define SEED(text)                     \
	{                              \
		text, sizeof(text) - 1 \
	}

static const struct {
	const char *bytes;
	size_t size;
} seeds[] = {
	SEED(DIAL_ HELLO_ READY_ LOG_ PONG_ "\x09\1\x08"),
	SEED(DIAL_ HELLO_ READY_ CHUNK_17_ CANCEL_ "\x08" LOG_ LOG_ "\x09\0\x08"),
	/* a cut, a resume, what was sent meanwhile; then another one, at another place */
	SEED(DIAL_ HELLO_ READY_ CHUNK_17_ CUT_ CHUNK_17_ DIAL_ RESUME_ LOG_ CUT_ DIAL_
	     "\1\x28\1\x08"),
	/* a second peer, a half greeting, a new one without a cut */
	SEED("\0\2" DIAL_ HELLO_ "\7\x08\7\4\7\1" DIAL_ "\1\x18\6\x08"),
	/* no nng; a frame that is too long; one without a header; a hop count */
	SEED(DIAL_ "\3\4GET " DIAL_ "\3\x09\1\0\0\0\0\xff\xff\xff\xff" DIAL_
		   "\3\x09\1\0\0\0\0\0\0\0\1" DIAL_ "\3\x0d\1\0\0\0\0\0\0\0\4\0\0\1\0"),
	/* a frame in two parts; another one that is no Envelope */
	SEED(DIAL_ HELLO_ "\3\7\1\0\0\0\0\0\0\3\x06\0\x08\0\0\0\1\x6a\0\4\2\xff\xff"),
	/* more than may wait */
	SEED(DIAL_ HELLO_ "\5\x4f\xff\5\x4f\xff" CANCEL_ "\x08\x09\1\x08"),
	/* other versions, a wrong token, refused, two greetings in one piece */
	SEED(DIAL_ "\1\3\x09\x09\x08" DIAL_ "\1\4\3\x08"),
	SEED(DIAL_ "\1\x40\x08" DIAL_ "\x0c\0\x0c\0\x0f"),
	/* wrong numbers: acknowledged, in the stream */
	SEED(DIAL_ HELLO_ "\2\2\x09\2\x6a\0"),
	SEED(DIAL_ HELLO_ READY_ "\2\1\2\x6a\0\xff"
				 "\2\1\2\x6a\0\1"),
};

size_t
fuzz_seed(unsigned number, uint8_t *buf, size_t capacity)
{
	if (number >= sizeof(seeds) / sizeof(seeds[0]))
		return 0;
	CHECK(seeds[number].size <= capacity);
	memcpy(buf, seeds[number].bytes, seeds[number].size);
	return seeds[number].size;
}
