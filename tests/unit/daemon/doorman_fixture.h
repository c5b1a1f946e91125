/* What the tests of the doorman share: every file has its own copy. */
#ifndef DOORMAN_FIXTURE_H
#define DOORMAN_FIXTURE_H

#include <errno.h>
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

#include "ipc/doorman.h"
#include "wire.h"
#include "wire_support.h"

/* Not every file needs all of it. */
#define FIXTURE     static __attribute__((unused))

#define CLIENTS     4
#define QUEUE_BYTES (1024 * 1024)

FIXTURE const uint8_t token[PLUG_TOKEN_BYTES] = "fifteen letters";

FIXTURE struct {
	struct doorman *doorman;
	struct client *last; /* who said something last */
	unsigned messages, gone;
	uint64_t sent[1024]; /* origins, in order */
	unsigned sent_count;
	bool close_at_message;
	int given_fd; /* copy of what came with a ChannelRequest, or -1 */
	bool keep_nothing;
} t;

FIXTURE void
on_message(void *user, struct client *client, const Plug__Envelope *env)
{
	(void)user;
	if (env->body_case == PLUG__ENVELOPE__BODY_CHANNEL_REQUEST)
		t.given_fd = client->given_fd < 0 || t.keep_nothing ? -1 : dup(client->given_fd);
	else
		assert_int_equal(env->body_case, PLUG__ENVELOPE__BODY_CANCEL);
	t.last = client;
	t.messages++;
	if (t.close_at_message)
		client_close(client, "as the test wants");
}

FIXTURE void
on_sent(void *user, const struct client_origin *origin)
{
	(void)user;
	assert_true(t.sent_count < 1024);
	t.sent[t.sent_count++] = origin->id;
}

FIXTURE void
on_gone(void *user, struct client *client)
{
	(void)user;
	if (t.last == client)
		t.last = NULL;
	t.gone++;
}

FIXTURE bool
has_token(void *user, struct client *client, const uint8_t *bytes, size_t size)
{
	(void)user;
	snprintf(client->plugin, sizeof(client->plugin), "echo");
	client->generation = 7;
	return size == sizeof(token) && !memcmp(bytes, token, size);
}

FIXTURE const struct doorman_ops ops = {on_message, on_sent, on_gone, has_token};

FIXTURE int
setup(void **state)
{
	struct doorman_config config = {
		.limits = {.clients = CLIENTS,
			   .clients_per_uid = 2,
			   .queue_bytes = QUEUE_BYTES,
			   .call_bytes = 12345},
		.ops = &ops,
	};

	if (wire_setup(state))
		return -1;
	memset(&t, 0, sizeof(t));
	config.loop = wire_loop;
	config.path = wire_path;
	return doorman_open(&config, &t.doorman);
}

FIXTURE int
teardown(void **state)
{
	doorman_close(t.doorman);
	t.doorman = NULL;
	return wire_teardown(state);
}

/* ---- the client's end ---- */

FIXTURE void
say(int fd, const Plug__Envelope *env)
{
	static uint8_t bytes[PLUG_MESSAGE_BYTES];
	size_t size = 0;

	assert_int_equal(plug_envelope_pack(env, bytes, sizeof(bytes), &size), PLUG_OK);
	assert_int_equal(send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL), size);
}

FIXTURE Plug__Envelope *
hear(int fd)
{
	static uint8_t bytes[PLUG_MESSAGE_BYTES];
	Plug__Envelope *env = NULL;
	ssize_t size;

	wire_wait_readable(fd);
	size = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	assert_true(size > 0);
	assert_int_equal(plug_envelope_unpack(bytes, (size_t)size, &env), PLUG_OK);
	return env;
}

FIXTURE void
say_hello(int fd, uint32_t min, uint32_t max, const uint8_t *bytes, size_t size)
{
	Plug__ClientHello hello = PLUG__CLIENT_HELLO__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	hello.protocol_min = min;
	hello.protocol_max = max;
	hello.name = (char *)"tester";
	hello.token.data = (uint8_t *)(uintptr_t)bytes;
	hello.token.len = size;
	env.body_case = PLUG__ENVELOPE__BODY_CLIENT_HELLO;
	env.client_hello = &hello;
	say(fd, &env);
}

FIXTURE void
say_message(int fd)
{
	Plug__Cancel cancel = PLUG__CANCEL__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	env.id = 1;
	env.body_case = PLUG__ENVELOPE__BODY_CANCEL;
	env.cancel = &cancel;
	say(fd, &env);
}

FIXTURE void
expect_welcome(int fd, const char *role)
{
	Plug__Envelope *env = hear(fd);

	assert_int_equal(env->body_case, PLUG__ENVELOPE__BODY_CLIENT_WELCOME);
	assert_string_equal(env->client_welcome->role, role);
	assert_int_equal(env->client_welcome->protocol, PLUG_PROTOCOL_MAX);
	assert_int_equal(env->client_welcome->limits->message_bytes, PLUG_MESSAGE_BYTES);
	assert_int_equal(env->client_welcome->limits->call_bytes, 12345);
	plug_envelope_free(env);
}

FIXTURE void
expect_refused(int fd, plug_err code)
{
	Plug__Envelope *env = hear(fd);

	assert_int_equal(env->body_case, PLUG__ENVELOPE__BODY_REFUSED);
	assert_int_equal(env->refused->code, code);
	assert_true(strlen(env->refused->message) > 0);
	plug_envelope_free(env);
	wire_expect_end(fd);
}

FIXTURE int
come_in(void)
{
	int fd = wire_dial(SOCK_SEQPACKET);

	say_hello(fd, PLUG_PROTOCOL_MIN, PLUG_PROTOCOL_MAX, NULL, 0);
	expect_welcome(fd, "admin");
	return fd;
}

FIXTURE bool
has_gone(void *context)
{
	return t.gone >= *(unsigned *)context;
}

FIXTURE void
run_until_gone(unsigned count)
{
	wire_run_until(has_gone, &count);
	assert_int_equal(t.gone, count);
}

FIXTURE bool
has_message(void *context)
{
	(void)context;
	return t.messages > 0;
}

/* A client that plugd knows, ready to be sent to. */
FIXTURE int
come_in_and_say(void)
{
	int fd = come_in();

	say_message(fd);
	wire_run_until(has_message, NULL);
	assert_non_null(t.last);
	return fd;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
