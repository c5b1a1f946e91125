/* The session of one generation, against a plugin that says what it likes over a raw socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "ipc/session.h"
#include "wire.h"
#include "wire_support.h"

#define GENERATION    7
#define UNACKED_BYTES 20000

static const uint8_t token[PLUG_TOKEN_BYTES] = "fifteen letters";

static struct {
	struct session *session;
	int fd; /* the plugin's end; -1: none */
	uint8_t nonce[PLUG_NONCE_BYTES];
	unsigned hellos, messages, lost, resumed, violations;
	plug_err err;
	char reason[256];
	uint64_t ids[512]; /* of the messages, in order */
	bool refuse;
} t;

static void
on_hello(void *user, const Plug__Hello *hello)
{
	Plug__Welcome welcome = PLUG__WELCOME__INIT;

	(void)user;
	assert_string_equal(hello->name, "fake");
	t.hellos++;
	if (t.refuse)
		session_refuse(t.session, PLUG_EINVAL, "not today");
	else
		assert_int_equal(session_welcome(t.session, &welcome), PLUG_OK);
}

static void
on_message(void *user, const Plug__Envelope *env)
{
	(void)user;
	assert_true(t.messages < 512);
	t.ids[t.messages++] = env->id;
}

static void
on_lost(void *user)
{
	(void)user;
	t.lost++;
}

static void
on_resumed(void *user)
{
	(void)user;
	t.resumed++;
}

static void
on_violation(void *user, plug_err err, const char *reason)
{
	(void)user;
	t.violations++;
	t.err = err;
	snprintf(t.reason, sizeof(t.reason), "%s", reason);
}

static const struct session_ops ops = {on_hello, on_message, on_lost, on_resumed, on_violation};

static int
setup(void **state)
{
	struct session_config config = {
		.generation = GENERATION, .unacked_bytes = UNACKED_BYTES, .ops = &ops};

	if (wire_setup(state))
		return -1;
	memset(&t, 0, sizeof(t));
	t.fd = -1;
	memcpy(config.token, token, sizeof(token));
	config.loop = wire_loop;
	config.path = wire_path;
	return session_open(&config, &t.session);
}

static int
teardown(void **state)
{
	session_close(t.session);
	if (t.fd >= 0)
		close(t.fd);
	return wire_teardown(state);
}

/* ---- the plugin's end ---- */

static void
say(const Plug__Envelope *env)
{
	static uint8_t body[PLUG_MESSAGE_BYTES], frame[sizeof(body) + WIRE_HEAD_BYTES];
	size_t size = 0;

	assert_int_equal(plug_envelope_pack(env, body, sizeof(body), &size), PLUG_OK);
	wire_send(t.fd, frame, wire_frame(body, size, frame));
}

/* What plugd says next; freed by the caller. */
static Plug__Envelope *
hear(void)
{
	static uint8_t body[PLUG_MESSAGE_BYTES];
	uint8_t head[WIRE_HEAD_BYTES];
	Plug__Envelope *env = NULL;
	size_t size;

	wire_expect(t.fd, head, sizeof(head));
	size = ((size_t)head[6] << 16 | (size_t)head[7] << 8 | head[8]) - 4;
	assert_true(size <= sizeof(body));
	wire_expect(t.fd, body, size);
	assert_int_equal(plug_envelope_unpack(body, size, &env), PLUG_OK);
	return env;
}

static void
connect_plugin(void)
{
	t.fd = wire_dial(SOCK_STREAM);
	wire_send(t.fd, wire_greeting, sizeof(wire_greeting));
	wire_expect_greeting(t.fd);
}

static bool
was_lost(void *context)
{
	return t.lost > *(unsigned *)context;
}

static void
cut(void)
{
	unsigned before = t.lost;

	close(t.fd);
	wire_run_until(was_lost, &before);
	assert_false(session_connected(t.session));
}

static Plug__Hello
good_hello(void)
{
	Plug__Hello hello = PLUG__HELLO__INIT;

	hello.protocol_min = PLUG_PROTOCOL_MIN;
	hello.protocol_max = PLUG_PROTOCOL_MAX;
	hello.name = (char *)"fake";
	hello.token.data = (uint8_t *)(uintptr_t)token;
	hello.token.len = sizeof(token);
	return hello;
}

static void
say_hello(Plug__Hello *hello)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	env.body_case = PLUG__ENVELOPE__BODY_HELLO;
	env.hello = hello;
	say(&env);
}

static void
say_resume(uint64_t received)
{
	Plug__Hello hello = good_hello();
	Plug__Resume resume = PLUG__RESUME__INIT;

	resume.generation = GENERATION;
	resume.nonce.data = t.nonce;
	resume.nonce.len = sizeof(t.nonce);
	resume.received = received;
	hello.resume = &resume;
	say_hello(&hello);
}

static void
expect_welcome(uint64_t received)
{
	Plug__Envelope *env = hear();

	assert_int_equal(env->body_case, PLUG__ENVELOPE__BODY_WELCOME);
	assert_int_equal(env->seq, 0);
	assert_int_equal(env->welcome->protocol, PLUG_PROTOCOL_MAX);
	assert_int_equal(env->welcome->generation, GENERATION);
	assert_int_equal(env->welcome->received, received);
	assert_int_equal(env->welcome->nonce.len, sizeof(t.nonce));
	memcpy(t.nonce, env->welcome->nonce.data, sizeof(t.nonce));
	plug_envelope_free(env);
}

static void
shake_hands(void)
{
	Plug__Hello hello = good_hello();

	connect_plugin();
	say_hello(&hello);
	expect_welcome(0);
}

/* A CANCEL: the smallest message that is acknowledged. */
static void
say_message(uint64_t id, uint64_t seq, uint64_t ack)
{
	Plug__Cancel cancel = PLUG__CANCEL__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	env.id = id;
	env.seq = seq;
	env.ack = ack;
	env.generation = GENERATION;
	env.body_case = PLUG__ENVELOPE__BODY_CANCEL;
	env.cancel = &cancel;
	say(&env);
}

static void
say_ack(uint64_t ack)
{
	Plug__Ack body = PLUG__ACK__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	env.ack = ack;
	env.generation = GENERATION;
	env.body_case = PLUG__ENVELOPE__BODY_ONLY_ACK;
	env.only_ack = &body;
	say(&env);
}

static plug_err
send_chunk(uint64_t id, size_t size)
{
	static uint8_t bytes[PLUG_MESSAGE_BYTES];
	Plug__Chunk chunk = PLUG__CHUNK__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	chunk.data.data = bytes;
	chunk.data.len = size;
	env.id = id;
	env.body_case = PLUG__ENVELOPE__BODY_CHUNK;
	env.chunk = &chunk;
	return session_send(t.session, &env);
}

static void
expect_chunk(uint64_t id, uint64_t seq)
{
	Plug__Envelope *env = hear();

	assert_int_equal(env->body_case, PLUG__ENVELOPE__BODY_CHUNK);
	assert_int_equal(env->id, id);
	assert_int_equal(env->seq, seq);
	assert_int_equal(env->generation, GENERATION);
	plug_envelope_free(env);
}

static void
expect_refused(plug_err code)
{
	Plug__Envelope *env = hear();

	assert_int_equal(env->body_case, PLUG__ENVELOPE__BODY_REFUSED);
	assert_int_equal(env->refused->code, code);
	assert_int_equal(env->refused->protocol_min, PLUG_PROTOCOL_MIN);
	assert_int_equal(env->refused->protocol_max, PLUG_PROTOCOL_MAX);
	assert_true(strlen(env->refused->message) > 0);
	plug_envelope_free(env);
}

static bool
was_violated(void *context)
{
	(void)context;
	return t.violations > 0;
}

static void
expect_violation(plug_err err, const char *part)
{
	wire_run_until(was_violated, NULL);
	wire_run_pending();
	assert_int_equal(t.violations, 1);
	assert_int_equal(t.err, err);
	if (!strstr(t.reason, part))
		fail_msg("\"%s\" does not say \"%s\"", t.reason, part);
	assert_false(session_connected(t.session));
	assert_int_equal(send_chunk(1, 1), PLUG_ESTATE);
}

/* ---- handshake ---- */

static void
test_handshake(void **state)
{
	(void)state;
	assert_false(session_welcomed(t.session));
	assert_int_equal(send_chunk(1, 1), PLUG_ESTATE);
	shake_hands();
	assert_true(session_welcomed(t.session) && session_connected(t.session));
	assert_int_equal(session_protocol(t.session), PLUG_PROTOCOL_MAX);
	assert_int_equal(t.hellos, 1);
	assert_int_equal(t.resumed, 0);
}

static void
test_the_owner_refuses(void **state)
{
	Plug__Hello hello = good_hello();

	(void)state;
	t.refuse = true;
	connect_plugin();
	say_hello(&hello);
	expect_refused(PLUG_EINVAL);
	assert_false(session_welcomed(t.session));
	assert_int_equal(t.violations, 0);
}

static void
test_wrong_tokens(void **state)
{
	uint8_t wrong[PLUG_TOKEN_BYTES + 1] = {0};
	static const size_t sizes[] = {0, PLUG_TOKEN_BYTES - 1, PLUG_TOKEN_BYTES,
				       PLUG_TOKEN_BYTES + 1};

	memcpy(wrong, token, sizeof(token));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		Plug__Hello hello = good_hello();

		wrong[0] = sizes[i] == PLUG_TOKEN_BYTES ? 'F' : token[0];
		hello.token.data = wrong;
		hello.token.len = sizes[i];
		connect_plugin();
		say_hello(&hello);
		expect_refused(PLUG_EDENIED);
		expect_violation(PLUG_EDENIED, "token");
		assert_int_equal(t.hellos, 0);
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

static void
test_versions(void **state)
{
	static const struct {
		uint32_t min, max;
		bool common;
	} cases[] = {
		{PLUG_PROTOCOL_MIN, PLUG_PROTOCOL_MAX, true},
		{0, PLUG_PROTOCOL_MAX + 5, true},
		{PLUG_PROTOCOL_MAX, UINT32_MAX, true},
		{PLUG_PROTOCOL_MAX + 1, PLUG_PROTOCOL_MAX + 2, false},
		{0, PLUG_PROTOCOL_MIN - 1, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		Plug__Hello hello = good_hello();

		hello.protocol_min = cases[i].min;
		hello.protocol_max = cases[i].max;
		connect_plugin();
		say_hello(&hello);
		if (cases[i].common) {
			expect_welcome(0);
		} else {
			expect_refused(PLUG_EVERSION);
			expect_violation(PLUG_EVERSION, "update the older side");
		}
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

static void
test_a_message_before_hello(void **state)
{
	(void)state;
	connect_plugin();
	say_message(1, 1, 0);
	expect_violation(PLUG_EPROTO, "not HELLO");
}

static void
test_a_second_hello(void **state)
{
	Plug__Hello hello = good_hello();

	(void)state;
	shake_hands();
	say_hello(&hello);
	expect_violation(PLUG_EPROTO, "second HELLO");
}

static void
test_no_envelope(void **state)
{
	uint8_t frame[64];

	(void)state;
	shake_hands();
	wire_send(t.fd, frame, wire_frame("\xff\xff\xff", 3, frame));
	expect_violation(PLUG_EPROTO, "not an Envelope");
}

static void
test_a_message_above_the_limit(void **state)
{
	static uint8_t body[PLUG_MESSAGE_BYTES + 1], frame[sizeof(body) + WIRE_HEAD_BYTES];

	(void)state;
	shake_hands();
	wire_send(t.fd, frame, wire_frame(body, sizeof(body), frame));
	expect_violation(PLUG_ETOOLARGE, "64 KiB");
}

static void
test_garbage_after_welcome(void **state)
{
	(void)state;
	shake_hands();
	wire_send(t.fd, "garbage, garbage", 16);
	expect_violation(PLUG_EPROTO, "no nng frame");
}

/* A stranger that never said HELLO is turned away; the plugin still gets in. */
static void
test_garbage_before_hello_harms_nobody(void **state)
{
	int stranger = wire_dial(SOCK_STREAM);

	(void)state;
	wire_send(stranger, "GET / HTTP/1.0\r\n\r\n", 18);
	wire_run_pending();
	close(stranger);
	shake_hands();
	assert_int_equal(t.violations, 0);
}

/* ---- order ---- */

static bool
got_messages(void *context)
{
	return t.messages >= *(unsigned *)context;
}

static void
run_until_messages(unsigned count)
{
	wire_run_until(got_messages, &count);
}

static void
test_order(void **state)
{
	static const struct {
		const char *name;
		uint64_t seq;
		bool taken, violates;
	} cases[] = {
		{"the next one", 4, true, false},        {"a gap", 5, false, true},
		{"the last one again", 3, false, false}, {"the first again", 1, false, false},
		{"without a number", 0, false, true},    {"far ahead", UINT64_MAX, false, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		shake_hands();
		for (uint64_t seq = 1; seq <= 3; seq++)
			say_message(seq * 10, seq, 0);
		run_until_messages(3);
		say_message(99, cases[i].seq, 0);
		wire_run_pending();
		if (cases[i].violates)
			expect_violation(PLUG_EPROTO, "out of order");
		else
			assert_int_equal(t.violations, 0);
		if (t.messages != (cases[i].taken ? 4u : 3u))
			fail_msg("%s: %u messages", cases[i].name, t.messages);
		assert_int_equal(t.ids[2], 30);
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

static void
test_another_generation(void **state)
{
	Plug__Ready ready = PLUG__READY__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	(void)state;
	shake_hands();
	env.seq = 1;
	env.generation = GENERATION + 1;
	env.body_case = PLUG__ENVELOPE__BODY_READY;
	env.ready = &ready;
	say(&env);
	expect_violation(PLUG_EPROTO, "generation");
	assert_int_equal(t.messages, 0);
}

/* ---- acknowledgement ---- */

static void
test_acks_free_what_is_kept(void **state)
{
	size_t one;

	(void)state;
	shake_hands();
	assert_int_equal(send_chunk(1, 100), PLUG_OK);
	one = session_unacked_bytes(t.session);
	assert_true(one > 100);
	for (uint64_t id = 2; id <= 4; id++)
		assert_int_equal(send_chunk(id, 100), PLUG_OK);
	assert_int_equal(session_unacked_bytes(t.session), 4 * one);
	for (uint64_t id = 1; id <= 4; id++)
		expect_chunk(id, id);
	say_ack(1);
	wire_run_pending();
	assert_int_equal(session_unacked_bytes(t.session), 3 * one);
	say_message(1, 1, 3); /* any message acknowledges */
	run_until_messages(1);
	assert_int_equal(session_unacked_bytes(t.session), one);
	say_ack(2); /* an older one changes nothing */
	say_ack(4);
	wire_run_pending();
	assert_int_equal(session_unacked_bytes(t.session), 0);
	assert_int_equal(t.violations, 0);
}

static void
test_an_ack_of_what_was_never_sent(void **state)
{
	(void)state;
	shake_hands();
	assert_int_equal(send_chunk(1, 1), PLUG_OK);
	say_ack(2);
	expect_violation(PLUG_EPROTO, "never sent");
}

/* After 64 messages without one, plugd acknowledges by itself; before, only when it is asked to. */
static void
test_acks_come_after_64_messages(void **state)
{
	Plug__Envelope *env;

	(void)state;
	shake_hands();
	for (uint64_t seq = 1; seq < PLUG_ACK_MESSAGES; seq++)
		say_message(seq, seq, 0);
	run_until_messages(PLUG_ACK_MESSAGES - 1);
	wire_expect_silence(t.fd);
	say_message(1, PLUG_ACK_MESSAGES, 0);
	env = hear();
	assert_int_equal(env->body_case, PLUG__ENVELOPE__BODY_ONLY_ACK);
	assert_int_equal(env->ack, PLUG_ACK_MESSAGES);
	assert_int_equal(env->seq, 0);
	plug_envelope_free(env);
	wire_expect_silence(t.fd);
}

static void
test_a_tick_acknowledges_once(void **state)
{
	Plug__Envelope *env;

	(void)state;
	shake_hands();
	session_tick(t.session);
	wire_expect_silence(t.fd);
	say_message(1, 1, 0);
	run_until_messages(1);
	session_tick(t.session);
	env = hear();
	assert_int_equal(env->body_case, PLUG__ENVELOPE__BODY_ONLY_ACK);
	assert_int_equal(env->ack, 1);
	plug_envelope_free(env);
	session_tick(t.session);
	wire_expect_silence(t.fd);
}

static void
test_what_is_kept_is_bounded(void **state)
{
	uint64_t id = 0;

	(void)state;
	shake_hands();
	assert_int_equal(send_chunk(1, PLUG_MESSAGE_BYTES), PLUG_ETOOLARGE);
	while (send_chunk(id + 1, 1000) == PLUG_OK)
		assert_true(++id < 100);
	assert_int_equal(send_chunk(id + 1, 1000), PLUG_EOVERLOADED);
	assert_true(session_unacked_bytes(t.session) <= UNACKED_BYTES);
	assert_true(session_unacked_bytes(t.session) + 1100 > UNACKED_BYTES);
	for (uint64_t i = 1; i <= id; i++)
		expect_chunk(i, i);
	say_ack(id);
	wire_run_pending();
	assert_int_equal(send_chunk(id + 1, 1000), PLUG_OK);
	expect_chunk(id + 1, id + 1); /* a refused message took no number */
}

static void
test_ping(void **state)
{
	Plug__Pong pong = PLUG__PONG__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT, *heard;

	(void)state;
	session_ping(t.session, 5); /* nobody is there: nothing happens */
	shake_hands();
	session_ping(t.session, 77);
	heard = hear();
	assert_int_equal(heard->body_case, PLUG__ENVELOPE__BODY_PING);
	assert_int_equal(heard->ping->stamp, 77);
	assert_int_equal(heard->seq, 0);
	plug_envelope_free(heard);
	env.id = 5;
	env.body_case = PLUG__ENVELOPE__BODY_PONG;
	env.pong = &pong;
	say(&env);
	run_until_messages(1);
	assert_int_equal(t.ids[0], 5);
}

/* ---- cut and resume ---- */

/* Of five messages two were received: three come again, with what was sent meanwhile. */
static void
test_resume_sends_what_was_not_received(void **state)
{
	(void)state;
	shake_hands();
	say_message(11, 1, 0);
	run_until_messages(1);
	for (uint64_t id = 1; id <= 5; id++)
		assert_int_equal(send_chunk(id, 10), PLUG_OK);
	cut();
	assert_int_equal(send_chunk(6, 10), PLUG_OK); /* kept */
	connect_plugin();
	say_resume(2);
	expect_welcome(1);
	for (uint64_t id = 3; id <= 6; id++)
		expect_chunk(id, id);
	wire_expect_silence(t.fd);
	assert_int_equal(t.resumed, 1);
	assert_int_equal(t.hellos, 1);
	say_message(11, 1, 6); /* known: dropped */
	say_message(12, 2, 6);
	run_until_messages(2);
	assert_int_equal(t.ids[1], 12);
	assert_int_equal(session_unacked_bytes(t.session), 0);
}

/* At every position, ten times over: none lost, none doubled. */
static void
test_resume_at_every_position(void **state)
{
	(void)state;
	shake_hands();
	for (uint64_t id = 1; id <= 10; id++)
		assert_int_equal(send_chunk(id, 10), PLUG_OK);
	for (uint64_t received = 0; received <= 10; received++) {
		cut();
		connect_plugin();
		say_resume(received);
		expect_welcome(0);
		for (uint64_t id = received + 1; id <= 10; id++)
			expect_chunk(id, id);
		wire_expect_silence(t.fd);
	}
	assert_int_equal(t.resumed, 11);
	assert_int_equal(session_unacked_bytes(t.session), 0);
}

static void
test_wrong_resumes(void **state)
{
	static const struct {
		const char *name, *part;
		uint64_t received;
		bool wrong_nonce;
		plug_err err;
	} cases[] = {
		{"a wrong nonce", "nonce", 3, true, PLUG_EDENIED},
		{"beyond what was sent", "never sent", 4, false, PLUG_EPROTO},
		{"before what was acknowledged", "never sent", 1, false, PLUG_EPROTO},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		shake_hands();
		for (uint64_t id = 1; id <= 3; id++)
			assert_int_equal(send_chunk(id, 10), PLUG_OK);
		say_ack(2);
		wire_run_pending();
		cut();
		if (cases[i].wrong_nonce)
			t.nonce[3] ^= 1;
		connect_plugin();
		say_resume(cases[i].received);
		expect_violation(cases[i].err, cases[i].part);
		assert_int_equal(t.resumed, 0);
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

/* The connection was lost before the plugin had WELCOME: it says HELLO again, without resume. */
static void
test_hello_again_before_anything_was_received(void **state)
{
	Plug__Hello hello = good_hello();

	(void)state;
	shake_hands();
	assert_int_equal(send_chunk(1, 10), PLUG_OK);
	cut();
	connect_plugin();
	say_hello(&hello);
	expect_welcome(0);
	expect_chunk(1, 1);
	assert_int_equal(t.hellos, 2);
	assert_int_equal(t.violations, 0);
}

static void
test_hello_again_after_messages(void **state)
{
	Plug__Hello hello = good_hello();

	(void)state;
	shake_hands();
	say_message(1, 1, 0);
	run_until_messages(1);
	cut();
	connect_plugin();
	say_hello(&hello);
	expect_violation(PLUG_EPROTO, "without resume");
	assert_int_equal(t.hellos, 1);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_handshake),
		TEST(test_the_owner_refuses),
		TEST(test_wrong_tokens),
		TEST(test_versions),
		TEST(test_a_message_before_hello),
		TEST(test_a_second_hello),
		TEST(test_no_envelope),
		TEST(test_a_message_above_the_limit),
		TEST(test_garbage_after_welcome),
		TEST(test_garbage_before_hello_harms_nobody),
		TEST(test_order),
		TEST(test_another_generation),
		TEST(test_acks_free_what_is_kept),
		TEST(test_an_ack_of_what_was_never_sent),
		TEST(test_acks_come_after_64_messages),
		TEST(test_a_tick_acknowledges_once),
		TEST(test_what_is_kept_is_bounded),
		TEST(test_ping),
		TEST(test_resume_sends_what_was_not_received),
		TEST(test_resume_at_every_position),
		TEST(test_wrong_resumes),
		TEST(test_hello_again_before_anything_was_received),
		TEST(test_hello_again_after_messages),
	};

	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
