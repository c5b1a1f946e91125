/* What clients do wrong, and what they are told. */
#include "doorman_fixture.h"

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
	const struct CMUnitTest tests[] = {
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
