/* The door for clients: caps, handshake, limits, and that nothing is left of those who went. */
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

#define CLIENTS     4
#define QUEUE_BYTES (1024 * 1024)

static const uint8_t token[PLUG_TOKEN_BYTES] = "fifteen letters";

static struct {
	struct doorman *doorman;
	struct client *last; /* who said something last */
	unsigned messages, gone;
	uint64_t sent[1024]; /* origins, in order */
	unsigned sent_count;
	bool close_at_message;
} t;

static void
on_message(void *user, struct client *client, const Plug__Envelope *env)
{
	(void)user;
	assert_int_equal(env->body_case, PLUG__ENVELOPE__BODY_CANCEL);
	t.last = client;
	t.messages++;
	if (t.close_at_message)
		client_close(client, "as the test wants");
}

static void
on_sent(void *user, const struct client_origin *origin)
{
	(void)user;
	assert_true(t.sent_count < 1024);
	t.sent[t.sent_count++] = origin->id;
}

static void
on_gone(void *user, struct client *client)
{
	(void)user;
	if (t.last == client)
		t.last = NULL;
	t.gone++;
}

static bool
has_token(void *user, const uint8_t *bytes, size_t size)
{
	(void)user;
	return size == sizeof(token) && !memcmp(bytes, token, size);
}

static const struct doorman_ops ops = {on_message, on_sent, on_gone, has_token};

static int
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

static int
teardown(void **state)
{
	doorman_close(t.doorman);
	t.doorman = NULL;
	return wire_teardown(state);
}

/* ---- the client's end ---- */

static void
say(int fd, const Plug__Envelope *env)
{
	static uint8_t bytes[PLUG_MESSAGE_BYTES];
	size_t size = 0;

	assert_int_equal(plug_envelope_pack(env, bytes, sizeof(bytes), &size), PLUG_OK);
	assert_int_equal(send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL), size);
}

static Plug__Envelope *
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

static void
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

static void
say_message(int fd)
{
	Plug__Cancel cancel = PLUG__CANCEL__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	env.id = 1;
	env.body_case = PLUG__ENVELOPE__BODY_CANCEL;
	env.cancel = &cancel;
	say(fd, &env);
}

static void
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

static void
expect_refused(int fd, plug_err code)
{
	Plug__Envelope *env = hear(fd);

	assert_int_equal(env->body_case, PLUG__ENVELOPE__BODY_REFUSED);
	assert_int_equal(env->refused->code, code);
	assert_true(strlen(env->refused->message) > 0);
	plug_envelope_free(env);
	wire_expect_end(fd);
}

static int
come_in(void)
{
	int fd = wire_dial(SOCK_SEQPACKET);

	say_hello(fd, PLUG_PROTOCOL_MIN, PLUG_PROTOCOL_MAX, NULL, 0);
	expect_welcome(fd, "admin");
	return fd;
}

static bool
has_gone(void *context)
{
	return t.gone >= *(unsigned *)context;
}

static void
run_until_gone(unsigned count)
{
	wire_run_until(has_gone, &count);
	assert_int_equal(t.gone, count);
}

static bool
has_message(void *context)
{
	(void)context;
	return t.messages > 0;
}

/* A client that plugd knows, ready to be sent to. */
static int
come_in_and_say(void)
{
	int fd = come_in();

	say_message(fd);
	wire_run_until(has_message, NULL);
	assert_non_null(t.last);
	return fd;
}

/* ---- the handshake ---- */

static void
test_who_comes_in(void **state)
{
	int fd = come_in_and_say(), instance = wire_dial(SOCK_SEQPACKET);

	(void)state;
	assert_string_equal(t.last->name, "tester");
	assert_int_equal(t.last->role, ROLE_ADMIN);
	assert_int_equal(t.last->uid, geteuid());
	assert_int_equal(t.last->pid, getpid());
	assert_int_equal(doorman_client_count(t.doorman), 1);
	say_hello(instance, PLUG_PROTOCOL_MIN, PLUG_PROTOCOL_MAX, token, sizeof(token));
	expect_welcome(instance, "instance");
	assert_int_equal(doorman_client_count(t.doorman), 2);
	close(instance);
	close(fd);
	run_until_gone(2);
	assert_int_equal(doorman_client_count(t.doorman), 0);
}

static void
test_who_is_refused(void **state)
{
	static const struct {
		uint32_t min, max;
		const char *token;
		size_t size;
		plug_err code;
	} cases[] = {
		{PLUG_PROTOCOL_MAX + 1, UINT32_MAX, "", 0, PLUG_EVERSION},
		{0, PLUG_PROTOCOL_MIN - 1, "", 0, PLUG_EVERSION},
		{PLUG_PROTOCOL_MIN, PLUG_PROTOCOL_MAX, "fifteen lettres", 16, PLUG_EDENIED},
		{PLUG_PROTOCOL_MIN, PLUG_PROTOCOL_MAX, "f", 1, PLUG_EDENIED},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int fd = wire_dial(SOCK_SEQPACKET);

		say_hello(fd, cases[i].min, cases[i].max, (const uint8_t *)cases[i].token,
			  cases[i].size);
		say_message(fd); /* what it said meanwhile does not hide the reason from it */
		expect_refused(fd, cases[i].code);
		close(fd);
		run_until_gone(i + 1);
	}
	assert_int_equal(t.messages, 0);
}

static void
test_a_message_before_hello(void **state)
{
	int fd = wire_dial(SOCK_SEQPACKET);

	(void)state;
	say_message(fd);
	wire_expect_end(fd);
	close(fd);
	run_until_gone(1);
	assert_int_equal(t.messages, 0);
}

static bool
is_counted(void *context)
{
	(void)context;
	return doorman_client_count(t.doorman) == 1;
}

/* It is sent away after five seconds, and not before it had them: the loop's own clock says so. */
static void
test_a_client_that_says_nothing(void **state)
{
	int fd = wire_dial(SOCK_SEQPACKET);
	double since;

	(void)state;
	wire_run_until(is_counted, NULL);
	since = ev_now(wire_loop);
	run_until_gone(1);
	assert_true(ev_now(wire_loop) - since > 4.5);
	wire_expect_end(fd);
	close(fd);
}

/* ---- caps ---- */

static void
test_as_many_as_allowed(void **state)
{
	int fds[CLIENTS], extra;

	(void)state;
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = come_in();
	extra = wire_dial(SOCK_SEQPACKET);
	expect_refused(extra, PLUG_EOVERLOADED);
	close(extra);
	run_until_gone(1);
	close(fds[0]);
	run_until_gone(2);
	fds[0] = come_in(); /* a place is free again */
	for (int i = 0; i < CLIENTS; i++)
		close(fds[i]);
	run_until_gone(2 + CLIENTS);
}

static void
test_new_limits_apply_at_once(void **state)
{
	struct doorman_limits limits = {.clients = 1, .queue_bytes = QUEUE_BYTES};
	int fd = come_in(), other;

	(void)state;
	doorman_set_limits(t.doorman, &limits);
	other = wire_dial(SOCK_SEQPACKET);
	expect_refused(other, PLUG_EOVERLOADED);
	close(other);
	say_message(fd); /* who is in stays in */
	wire_run_until(has_message, NULL);
	close(fd);
}

static void
test_a_hundred_come_and_vanish(void **state)
{
	int fds = wire_count_fds();

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		int fd = i % 2 ? come_in() : wire_dial(SOCK_SEQPACKET);

		if (i % 3 == 0)
			send(fd, "x", 1, MSG_NOSIGNAL);
		close(fd);
		run_until_gone(i + 1);
	}
	assert_int_equal(wire_count_fds(), fds);
	assert_int_equal(doorman_client_count(t.doorman), 0);
}

/* ---- what is malformed ---- */

static void
test_malformed_messages_end_that_client_only(void **state)
{
	static uint8_t bytes[PLUG_MESSAGE_BYTES + 100];
	static const size_t sizes[] = {1, 100, PLUG_MESSAGE_BYTES, PLUG_MESSAGE_BYTES + 1,
				       sizeof(bytes)};
	int other = come_in();

	(void)state;
	memset(bytes, 0xff, sizeof(bytes));
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		int fd = come_in();

		assert_int_equal(send(fd, bytes, sizes[i], MSG_NOSIGNAL), sizes[i]);
		wire_expect_end(fd);
		close(fd);
		run_until_gone(i + 1);
	}
	say_message(other);
	wire_run_until(has_message, NULL);
	close(other);
}

/* One byte more than allowed is not read as the message that its beginning is. */
static void
test_an_oversize_message_is_not_cut_to_a_valid_one(void **state)
{
	static uint8_t bytes[PLUG_MESSAGE_BYTES], packed[PLUG_MESSAGE_BYTES + 1];
	int fd = come_in();
	Plug__Chunk chunk = PLUG__CHUNK__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	size_t size = 0;

	(void)state;
	chunk.data.data = bytes;
	env.body_case = PLUG__ENVELOPE__BODY_CHUNK;
	env.chunk = &chunk;
	chunk.data.len = PLUG_MESSAGE_BYTES - 100;
	chunk.data.len += PLUG_MESSAGE_BYTES - plug_envelope_size(&env);
	assert_int_equal(plug_envelope_pack(&env, packed, sizeof(packed), &size), PLUG_OK);
	assert_int_equal(size, PLUG_MESSAGE_BYTES);
	assert_int_equal(send(fd, packed, size + 1, MSG_NOSIGNAL), size + 1);
	wire_expect_end(fd);
	close(fd);
	run_until_gone(1);
	assert_int_equal(t.messages, 0);
}

static void
test_closing_in_a_callback(void **state)
{
	int fd = come_in();

	(void)state;
	t.close_at_message = true;
	say_message(fd);
	say_message(fd);
	wire_expect_end(fd);
	run_until_gone(1);
	assert_int_equal(t.messages, 1);
	close(fd);
}

/* ---- replies ---- */

static plug_err
reply(uint64_t number)
{
	static uint8_t bytes[16384];
	struct client_origin origin = {.id = number, .payload = sizeof(bytes)};
	Plug__Chunk chunk = PLUG__CHUNK__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	chunk.data.data = bytes;
	chunk.data.len = sizeof(bytes);
	env.id = number;
	env.body_case = PLUG__ENVELOPE__BODY_CHUNK;
	env.chunk = &chunk;
	return client_send(t.last, &env, &origin);
}

static void
expect_reply(int fd, uint64_t number)
{
	Plug__Envelope *env = hear(fd);

	assert_int_equal(env->body_case, PLUG__ENVELOPE__BODY_CHUNK);
	assert_int_equal(env->id, number);
	assert_int_equal(env->chunk->data.len, 16384);
	plug_envelope_free(env);
}

/* More than the socket takes is queued, arrives in order, and each origin is told once. */
static void
test_queued_replies_arrive_in_order(void **state)
{
	int fd = come_in_and_say();
	uint64_t count = 0;

	(void)state;
	while (client_queued_bytes(t.last) < QUEUE_BYTES / 2)
		assert_int_equal(reply(++count), PLUG_OK);
	assert_true(t.sent_count < count);
	for (uint64_t i = 1; i <= count; i++)
		expect_reply(fd, i);
	wire_run_pending();
	assert_int_equal(t.sent_count, count);
	for (uint64_t i = 1; i <= count; i++)
		assert_int_equal(t.sent[i - 1], i);
	assert_int_equal(client_queued_bytes(t.last), 0);
	close(fd);
}

static void
test_a_client_that_does_not_read(void **state)
{
	int fd = come_in_and_say(), other = come_in();
	plug_err err = PLUG_OK;

	(void)state;
	for (uint64_t i = 1; !err; i++) {
		assert_true(i < 1000);
		assert_true(client_queued_bytes(t.last) <= QUEUE_BYTES);
		err = reply(i);
	}
	assert_int_equal(err, PLUG_EOVERLOADED);
	assert_int_equal(reply(1), PLUG_EGONE);
	run_until_gone(1);
	t.messages = 0;
	say_message(other);
	wire_run_until(has_message, NULL); /* nobody else notices */
	close(other);
	close(fd);
}

static void
test_close_with_clients_in_every_state(void **state)
{
	int silent = wire_dial(SOCK_SEQPACKET), fd = come_in_and_say(), fds;

	(void)state;
	while (client_queued_bytes(t.last) == 0)
		assert_int_equal(reply(1), PLUG_OK);
	fds = wire_count_fds();
	doorman_close(t.doorman);
	doorman_close(NULL);
	t.doorman = NULL;
	assert_int_equal(t.gone, 2);
	assert_int_equal(wire_count_fds(), fds - 3);
	assert_int_equal(access(wire_path, F_OK), -1);
	wire_run_pending();
	close(fd);
	close(silent);
}

/* A socket that a dead plugd left is replaced; a file is not ours to remove. */
static void
test_what_is_in_the_way(void **state)
{
	struct doorman_config config = {.loop = wire_loop, .path = wire_path, .ops = &ops};
	struct doorman *other = NULL;
	char file[128];
	FILE *made;

	(void)state;
	snprintf(file, sizeof(file), "%s.file", wire_path);
	made = fopen(file, "w");
	assert_non_null(made);
	fclose(made);
	config.path = file;
	assert_int_equal(doorman_open(&config, &other), PLUG_ESYS);
	assert_null(other);
	assert_int_equal(unlink(file), 0); /* it was still there */
	config.path = wire_path;
	assert_int_equal(doorman_open(&config, &other), PLUG_OK);
	doorman_close(other);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_who_comes_in),
		TEST(test_who_is_refused),
		TEST(test_a_message_before_hello),
		TEST(test_a_client_that_says_nothing),
		TEST(test_as_many_as_allowed),
		TEST(test_new_limits_apply_at_once),
		TEST(test_a_hundred_come_and_vanish),
		TEST(test_malformed_messages_end_that_client_only),
		TEST(test_an_oversize_message_is_not_cut_to_a_valid_one),
		TEST(test_closing_in_a_callback),
		TEST(test_queued_replies_arrive_in_order),
		TEST(test_a_client_that_does_not_read),
		TEST(test_close_with_clients_in_every_state),
		TEST(test_what_is_in_the_way),
	};

	return cmocka_run_group_tests_name("doorman", tests, NULL, NULL);
}
