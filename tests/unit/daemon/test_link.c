/* What a link takes, and whom. */
#include "link_fixture.h"

/* ---- what arrives ---- */

/* Greeting and three frames, one of them empty, cut in two at every byte. */
static void
test_cut_at_every_byte(void **state)
{
	uint8_t bytes[128];
	size_t size = sizeof(wire_greeting);

	(void)state;
	memcpy(bytes, wire_greeting, size);
	size += wire_frame("first", 5, bytes + size);
	size += wire_frame("", 0, bytes + size);
	size += wire_frame("the third", 9, bytes + size);
	for (size_t cut = 1; cut <= size; cut++) {
		int fd = wire_dial(SOCK_STREAM);

		wire_send(fd, bytes, cut);
		wire_run_pending();
		wire_send(fd, bytes + cut, size - cut);
		run_until_frames(3);
		assert_int_equal(heard.sizes[0], 5);
		assert_memory_equal(heard.bodies[0], "first", 5);
		assert_int_equal(heard.sizes[1], 0);
		assert_int_equal(heard.sizes[2], 9);
		assert_memory_equal(heard.bodies[2], "the third", 9);
		assert_int_equal(heard.garbage, 0);
		wire_expect_greeting(fd);
		close(fd);
		wire_run_until(was_lost, NULL);
		forget_heard();
	}
}

static void
test_one_byte_at_a_time(void **state)
{
	uint8_t bytes[64];
	size_t size = sizeof(wire_greeting);

	(void)state;
	memcpy(bytes, wire_greeting, size);
	size += wire_frame("hello", 5, bytes + size);
	size += wire_frame("again", 5, bytes + size);
	heard.fd = wire_dial(SOCK_STREAM);
	for (size_t i = 0; i < size; i++) {
		wire_send(heard.fd, bytes + i, 1);
		wire_run_pending();
	}
	run_until_frames(2);
	assert_memory_equal(heard.bodies[1], "again", 5);
}

static void
test_largest_frame(void **state)
{
	uint8_t *body = malloc(MAX_BYTES), *frame = malloc(MAX_BYTES + WIRE_HEAD_BYTES);

	(void)state;
	for (size_t i = 0; i < MAX_BYTES; i++)
		body[i] = (uint8_t)(i * 7 + i / 256);
	heard.fd = dial_and_greet();
	wire_send(heard.fd, frame, wire_frame(body, MAX_BYTES, frame));
	run_until_frames(1);
	assert_int_equal(heard.sizes[0], MAX_BYTES);
	assert_memory_equal(heard.bodies[0], body, MAX_BYTES);
	free(body);
	free(frame);
}

/* ---- garbage ---- */

static const struct {
	const char *name, *bytes;
	size_t size;
	bool greeted; /* a right greeting goes before */
	const char *what;
} garbage[] = {
	{"text", "GET / HTTP/1.0\r\n\r\n", 18, false, "a peer that is not an nng pair1 socket"},
	{"another protocol (pair0)", "\0SP\0\0\x10\0\0", 8, false,
	 "a peer that is not an nng pair1 socket"},
	{"req0", "\0SP\0\0\x30\0\0", 8, false, "a peer that is not an nng pair1 socket"},
	{"another version", "\0SP\1\0\x11\0\0", 8, false, "a peer that is not an nng pair1 socket"},
	{"reserved bytes", "\0SP\0\0\x11\0\1", 8, false, "a peer that is not an nng pair1 socket"},
	{"type 0", "\0\0\0\0\0\0\0\0\4\0\0\0\1", 13, true, "bytes that are no nng frame"},
	{"type 2", "\2\0\0\0\0\0\0\0\4\0\0\0\1", 13, true, "bytes that are no nng frame"},
	{"a second greeting", "\0SP\0\0\x11\0\0\0", 9, true, "bytes that are no nng frame"},
	{"no length", "\1\0\0\0\0\0\0\0\0\0\0\0\1", 13, true,
	 "an nng frame without the pair1 header"},
	{"length 3", "\1\0\0\0\0\0\0\0\3\0\0\1", 12, true, "an nng frame without the pair1 header"},
	{"one byte above the limit", "\1\0\0\0\0\0\4\0\5", 9, true, "a frame above the limit"},
	{"the largest length", "\1\xff\xff\xff\xff\xff\xff\xff\xff", 9, true,
	 "a frame above the limit"},
	{"256 hops", "\1\0\0\0\0\0\0\0\4\0\0\1\0", 13, true,
	 "an nng frame with an impossible hop count"},
	{"all bits of the hops", "\1\0\0\0\0\0\0\0\4\xff\xff\xff\xff", 13, true,
	 "an nng frame with an impossible hop count"},
};

/* Each ends its connection, says why, and the next peer is served. */
static void
test_garbage_ends_the_connection(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(garbage) / sizeof(*garbage); i++) {
		uint8_t frame[32];
		int fd = wire_dial(SOCK_STREAM);

		if (garbage[i].greeted)
			wire_send(fd, wire_greeting, sizeof(wire_greeting));
		wire_send(fd, garbage[i].bytes, garbage[i].size);
		wire_run_until(was_lost, NULL);
		if (heard.garbage != 1 || strcmp(heard.what, garbage[i].what) != 0)
			fail_msg("%s: \"%s\"", garbage[i].name, heard.what);
		assert_int_equal(heard.frames, 0);
		assert_int_equal(heard.connection_at_loss, 0);
		wire_expect_greeting(fd);
		wire_expect_end(fd);
		close(fd);
		forget_heard();

		fd = dial_and_greet();
		wire_send(fd, frame, wire_frame("fine", 4, frame));
		run_until_frames(1);
		close(fd);
		wire_run_until(was_lost, NULL);
		forget_heard();
	}
}

static void
test_255_hops_are_taken(void **state)
{
	uint8_t frame[32];
	size_t size = wire_frame("far", 3, frame);

	(void)state;
	frame[12] = 255;
	heard.fd = dial_and_greet();
	wire_send(heard.fd, frame, size);
	run_until_frames(1);
	assert_int_equal(heard.garbage, 0);
}

/* Frames before the bad one count. */
static void
test_frames_before_garbage_are_handed_on(void **state)
{
	uint8_t bytes[64];
	size_t size = wire_frame("good", 4, bytes);

	(void)state;
	bytes[size++] = 9;
	memset(bytes + size, 0, 12);
	heard.fd = dial_and_greet();
	wire_send(heard.fd, bytes, size + 12);
	wire_run_until(was_lost, NULL);
	assert_int_equal(heard.frames, 1);
	assert_int_equal(heard.garbage, 1);
}

/* ---- who is at the door ---- */

static void
test_a_peer_that_never_greets_is_replaced(void **state)
{
	int silent = wire_dial(SOCK_STREAM), half = wire_dial(SOCK_STREAM);
	uint8_t frame[32];

	(void)state;
	wire_run_pending();
	wire_send(half, wire_greeting, 7);
	heard.fd = dial_and_greet();
	wire_send(heard.fd, frame, wire_frame("me", 2, frame));
	run_until_frames(1);
	wire_expect_greeting(silent);
	wire_expect_end(silent);
	wire_expect_greeting(half);
	wire_expect_end(half);
	close(silent);
	close(half);
}

static void
test_a_second_peer_is_turned_away_with_a_greeting(void **state)
{
	uint8_t frame[32];
	uint64_t connection;

	(void)state;
	heard.fd = dial_and_greet();
	connection = link_connection(heard.link);
	for (int i = 0; i < 5; i++) {
		int other = wire_dial(SOCK_STREAM);

		wire_expect_greeting(other);
		wire_expect_end(other);
		close(other);
	}
	assert_int_equal(heard.lost, 0);
	assert_true(link_connection(heard.link) == connection);
	wire_send(heard.fd, frame, wire_frame("still", 5, frame));
	run_until_frames(1);
}

/* The first peer may flood: a second one at the door does not make its bytes be read at once. */
static void
test_a_second_peer_does_not_disturb_a_flood(void **state)
{
	uint8_t bytes[8 * 17];
	size_t size = 0;
	int other;

	(void)state;
	heard.fd = dial_and_greet();
	for (int i = 0; i < 8; i++)
		size += wire_frame("1234", 4, bytes + size);
	wire_send(heard.fd, bytes, size - 3);
	other = wire_dial(SOCK_STREAM);
	wire_expect_greeting(other);
	wire_expect_end(other);
	close(other);
	wire_send(heard.fd, bytes + size - 3, 3);
	run_until_frames(8);
	assert_int_equal(heard.lost, 0);
	for (int i = 0; i < 8; i++)
		assert_memory_equal(heard.bodies[i], "1234", 4);
}

static void
test_each_connection_has_its_number(void **state)
{
	uint64_t last = 0;

	(void)state;
	assert_int_equal(link_connection(heard.link), 0);
	for (int i = 0; i < 5; i++) {
		int fd = dial_and_greet();

		assert_true(link_connection(heard.link) > last);
		last = link_connection(heard.link);
		close(fd);
		wire_run_until(was_lost, NULL);
		assert_int_equal(link_connection(heard.link), 0);
		assert_int_equal(heard.connection_at_loss, 0);
		heard.lost = 0;
	}
}

/* It closes and dials again before the loop has read its end: nothing of the old one is lost. */
static void
test_a_peer_that_is_back_before_its_end_was_read(void **state)
{
	uint8_t frame[32];
	int fd = dial_and_greet();
	uint64_t connection = link_connection(heard.link);

	(void)state;
	wire_send(fd, frame, wire_frame("old", 3, frame));
	close(fd);
	heard.fd = dial_and_greet();
	wire_send(heard.fd, frame, wire_frame("new", 3, frame));
	run_until_frames(2);
	assert_memory_equal(heard.bodies[0], "old", 3);
	assert_memory_equal(heard.bodies[1], "new", 3);
	assert_int_equal(heard.lost, 1);
	assert_int_equal(heard.frames_at_loss, 1);
	assert_true(heard.connection_at_frame > connection);
}

static void
test_the_end_comes_after_the_data(void **state)
{
	uint8_t bytes[40 * 20];
	size_t size = 0;

	(void)state;
	heard.fd = dial_and_greet();
	for (int i = 0; i < 40; i++)
		size += wire_frame("data", 4, bytes + size);
	wire_send(heard.fd, bytes, size);
	wire_send(heard.fd, "\1\0\0", 3); /* and the beginning of another */
	close(heard.fd);
	heard.fd = -1;
	wire_run_until(was_lost, NULL);
	assert_int_equal(heard.frames_at_loss, 40);
	assert_int_equal(heard.garbage, 0);
}

static void
test_a_peer_that_ends_its_sending_sees_the_end(void **state)
{
	(void)state;
	heard.fd = dial_and_greet();
	shutdown(heard.fd, SHUT_WR);
	wire_run_until(was_lost, NULL);
	wire_expect_end(heard.fd);
}

/* Our end of a connection that its peer has closed may stay, but of one at a time. */
static void
test_peers_that_leave_hold_one_descriptor(void **state)
{
	int before = wire_count_fds();

	(void)state;
	for (int i = 0; i < 50; i++) {
		close(dial_and_greet());
		wire_run_until(was_lost, NULL);
		forget_heard();
		assert_in_range(wire_count_fds(), before, before + 1);
	}
	heard.fd = dial_and_greet();
	assert_int_equal(wire_count_fds(), before + 2); /* its two ends, and nothing of the last */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_cut_at_every_byte),
		TEST(test_one_byte_at_a_time),
		TEST(test_largest_frame),
		TEST(test_garbage_ends_the_connection),
		TEST(test_255_hops_are_taken),
		TEST(test_frames_before_garbage_are_handed_on),
		TEST(test_a_peer_that_never_greets_is_replaced),
		TEST(test_a_second_peer_is_turned_away_with_a_greeting),
		TEST(test_a_second_peer_does_not_disturb_a_flood),
		TEST(test_each_connection_has_its_number),
		TEST(test_a_peer_that_is_back_before_its_end_was_read),
		TEST(test_the_end_comes_after_the_data),
		TEST(test_a_peer_that_ends_its_sending_sees_the_end),
		TEST(test_peers_that_leave_hold_one_descriptor),
	};

	return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}
