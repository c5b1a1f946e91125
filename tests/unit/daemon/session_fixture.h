/* What the tests of the session share: every file has its own copy. */
#ifndef SESSION_FIXTURE_H
#define SESSION_FIXTURE_H

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

/* Not every file needs all of it. */
#define FIXTURE       static __attribute__((unused))

#define GENERATION    7
#define UNACKED_BYTES 20000

FIXTURE const uint8_t token[PLUG_TOKEN_BYTES] = "fifteen letters";

FIXTURE struct {
	struct session *session;
	int fd; /* the plugin's end; -1: none */
	uint8_t nonce[PLUG_NONCE_BYTES];
	unsigned hellos, messages, lost, resumed, violations;
	plug_err err;
	char reason[256];
	uint64_t ids[512]; /* of the messages, in order */
	bool refuse;
} t;

FIXTURE void
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

FIXTURE void
on_message(void *user, const Plug__Envelope *env)
{
	(void)user;
	assert_true(t.messages < 512);
	t.ids[t.messages++] = env->id;
}

FIXTURE void
on_lost(void *user)
{
	(void)user;
	t.lost++;
}

FIXTURE void
on_resumed(void *user)
{
	(void)user;
	t.resumed++;
}

FIXTURE void
on_violation(void *user, plug_err err, const char *reason)
{
	(void)user;
	t.violations++;
	t.err = err;
	snprintf(t.reason, sizeof(t.reason), "%s", reason);
}

FIXTURE const struct session_ops ops = {on_hello, on_message, on_lost, on_resumed, on_violation};

FIXTURE int
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

FIXTURE int
teardown(void **state)
{
	session_close(t.session);
	if (t.fd >= 0)
		close(t.fd);
	return wire_teardown(state);
}

/* ---- the plugin's end ---- */

FIXTURE void
say(const Plug__Envelope *env)
{
	static uint8_t body[PLUG_MESSAGE_BYTES], frame[sizeof(body) + WIRE_HEAD_BYTES];
	size_t size = 0;

	assert_int_equal(plug_envelope_pack(env, body, sizeof(body), &size), PLUG_OK);
	wire_send(t.fd, frame, wire_frame(body, size, frame));
}

/* What plugd says next; freed by the caller. */
FIXTURE Plug__Envelope *
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

FIXTURE void
connect_plugin(void)
{
	t.fd = wire_dial(SOCK_STREAM);
	wire_send(t.fd, wire_greeting, sizeof(wire_greeting));
	wire_expect_greeting(t.fd);
}

FIXTURE bool
was_lost(void *context)
{
	return t.lost > *(unsigned *)context;
}

FIXTURE void
cut(void)
{
	unsigned before = t.lost;

	close(t.fd);
	wire_run_until(was_lost, &before);
	assert_false(session_connected(t.session));
}

FIXTURE Plug__Hello
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

FIXTURE void
say_hello(Plug__Hello *hello)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	env.body_case = PLUG__ENVELOPE__BODY_HELLO;
	env.hello = hello;
	say(&env);
}

FIXTURE void
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

FIXTURE void
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

FIXTURE void
shake_hands(void)
{
	Plug__Hello hello = good_hello();

	connect_plugin();
	say_hello(&hello);
	expect_welcome(0);
}

/* A CANCEL: the smallest message that is acknowledged. */
FIXTURE void
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

FIXTURE void
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

FIXTURE plug_err
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

FIXTURE void
expect_chunk(uint64_t id, uint64_t seq)
{
	Plug__Envelope *env = hear();

	assert_int_equal(env->body_case, PLUG__ENVELOPE__BODY_CHUNK);
	assert_int_equal(env->id, id);
	assert_int_equal(env->seq, seq);
	assert_int_equal(env->generation, GENERATION);
	plug_envelope_free(env);
}

FIXTURE void
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

FIXTURE bool
was_violated(void *context)
{
	(void)context;
	return t.violations > 0;
}

FIXTURE void
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
