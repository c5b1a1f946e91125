/* plugd's side of nng's wire, over real sockets, against a far end that sends what it likes. */
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

#include "ipc/link.h"
#include "wire_support.h"

#define MAX_BYTES (256u * 1024)
#define HEARD_MAX 64

/* What the link said. */
static struct {
	struct link *link;
	unsigned frames, lost, writable, garbage;
	unsigned frames_at_loss;
	uint64_t connection_at_frame, connection_at_loss;
	char what[128];
	uint8_t *bodies[HEARD_MAX];
	size_t sizes[HEARD_MAX];
	bool mute_at_frame;
	int fd; /* the far end */
} heard;

static void
on_frame(void *user, const uint8_t *body, size_t size)
{
	assert_ptr_equal(user, &heard);
	assert_true(heard.frames < HEARD_MAX);
	heard.bodies[heard.frames] = malloc(size ? size : 1);
	memcpy(heard.bodies[heard.frames], body, size);
	heard.sizes[heard.frames++] = size;
	heard.connection_at_frame = link_connection(heard.link);
	if (heard.mute_at_frame)
		link_mute(heard.link);
}

static void
on_lost(void *user)
{
	assert_ptr_equal(user, &heard);
	heard.lost++;
	heard.frames_at_loss = heard.frames;
	heard.connection_at_loss = link_connection(heard.link);
}

static void
on_writable(void *user)
{
	assert_ptr_equal(user, &heard);
	heard.writable++;
}

static void
on_garbage(void *user, const char *what)
{
	assert_ptr_equal(user, &heard);
	assert_int_equal(heard.lost, 0); /* on_lost follows */
	heard.garbage++;
	snprintf(heard.what, sizeof(heard.what), "%s", what);
}

static const struct link_ops ops = {on_frame, on_lost, on_writable, on_garbage};

static void
forget_heard(void)
{
	struct link *link = heard.link;

	for (unsigned i = 0; i < heard.frames; i++)
		free(heard.bodies[i]);
	memset(&heard, 0, sizeof(heard));
	heard.link = link;
	heard.fd = -1;
}

static int
setup(void **state)
{
	struct link_config config = {.max_bytes = MAX_BYTES, .ops = &ops, .user = &heard};

	if (wire_setup(state))
		return -1;
	heard.link = NULL;
	forget_heard();
	config.loop = wire_loop;
	config.path = wire_path;
	return link_open(&config, &heard.link);
}

static int
teardown(void **state)
{
	link_close(heard.link);
	heard.link = NULL;
	if (heard.fd >= 0)
		close(heard.fd);
	forget_heard();
	return wire_teardown(state);
}

static bool
was_lost(void *context)
{
	(void)context;
	return heard.lost > 0;
}

static bool
heard_frames(void *context)
{
	return heard.frames >= *(unsigned *)context;
}

static void
run_until_frames(unsigned count)
{
	wire_run_until(heard_frames, &count);
}

static int
dial_and_greet(void)
{
	int fd = wire_dial(SOCK_STREAM);

	wire_send(fd, wire_greeting, sizeof(wire_greeting));
	wire_expect_greeting(fd);
	wire_run_pending();
	return fd;
}

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

/* ---- what is sent ---- */

static void
test_sending_needs_a_greeted_peer(void **state)
{
	(void)state;
	assert_int_equal(link_send(heard.link, "x", 1), PLUG_EGONE);
	heard.fd = wire_dial(SOCK_STREAM);
	wire_run_pending();
	assert_int_equal(link_send(heard.link, "x", 1), PLUG_EGONE);
	wire_send(heard.fd, wire_greeting, sizeof(wire_greeting));
	wire_run_pending();
	assert_int_equal(link_send(heard.link, "x", 1), PLUG_OK);
	close(heard.fd);
	heard.fd = -1;
	wire_run_until(was_lost, NULL);
	assert_int_equal(link_send(heard.link, "x", 1), PLUG_EGONE);
}

static void
test_a_sent_frame_on_the_wire(void **state)
{
	static const uint8_t expected[] = {1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1, 'a', 'b', 'c'};
	uint8_t bytes[sizeof(expected)];

	(void)state;
	heard.fd = dial_and_greet();
	assert_int_equal(link_send(heard.link, "abc", 3), PLUG_OK);
	wire_expect(heard.fd, bytes, sizeof(bytes));
	assert_memory_equal(bytes, expected, sizeof(expected));
	assert_int_equal(link_send(heard.link, "", 0), PLUG_OK);
	wire_expect(heard.fd, bytes, WIRE_HEAD_BYTES);
	assert_int_equal(bytes[8], 4);
}

#define PRESSED_BYTES 40000

static void
fill(uint8_t *body, unsigned number)
{
	for (size_t i = 0; i < PRESSED_BYTES; i++)
		body[i] = (uint8_t)(number * 17 + i * 3 + i / 256);
}

static bool
became_writable(void *context)
{
	(void)context;
	return heard.writable > 0;
}

/* Send until refused; the number of those that were taken. */
static unsigned
press(unsigned from, uint8_t *body)
{
	plug_err err;

	for (unsigned number = from;; number++) {
		fill(body, number);
		err = link_send(heard.link, body, PRESSED_BYTES);
		if (err) {
			assert_int_equal(err, PLUG_EAGAIN);
			return number;
		}
		assert_true(number < 10000); /* nobody reads: it must end */
	}
}

static void
expect_pressed(unsigned number, uint8_t *body)
{
	static uint8_t frame[PRESSED_BYTES + WIRE_HEAD_BYTES], expected[sizeof(frame)];

	fill(body, number);
	wire_frame(body, PRESSED_BYTES, expected);
	wire_expect(heard.fd, frame, sizeof(frame));
	assert_memory_equal(frame, expected, sizeof(frame));
}

/* The peer does not read, three times: refused, then writable, and every byte is there in order. */
static void
test_back_pressure(void **state)
{
	static uint8_t body[PRESSED_BYTES];
	unsigned sent = 0, received = 0;

	(void)state;
	heard.fd = dial_and_greet();
	for (int round = 0; round < 3; round++) {
		unsigned before = sent;

		sent = press(sent, body);
		assert_true(sent > before);
		wire_run_pending();
		assert_int_equal(link_send(heard.link, body, 1), PLUG_EAGAIN);
		assert_int_equal(heard.writable, 0);
		while (received < sent)
			expect_pressed(received++, body);
		wire_run_until(became_writable, NULL);
		heard.writable = 0;
	}
	wire_expect_silence(heard.fd);
	assert_int_equal(heard.lost, 0);
}

/* A peer that vanishes with bytes unsent: lost once, no spinning, and the next one starts clean. */
static void
test_a_peer_that_vanishes_under_pressure(void **state)
{
	static uint8_t body[PRESSED_BYTES];
	uint8_t bytes[WIRE_HEAD_BYTES + 3];

	(void)state;
	heard.fd = dial_and_greet();
	press(0, body);
	close(heard.fd);
	wire_run_until(was_lost, NULL);
	wire_run_pending();
	assert_int_equal(heard.lost, 1);
	heard.fd = dial_and_greet();
	assert_int_equal(link_send(heard.link, "new", 3), PLUG_OK);
	wire_expect(heard.fd, bytes, sizeof(bytes));
	assert_memory_equal(bytes + WIRE_HEAD_BYTES, "new", 3);
}

/* ---- muting and closing ---- */

static void
test_mute_in_the_middle_of_frames(void **state)
{
	uint8_t bytes[64];
	size_t size;

	(void)state;
	heard.mute_at_frame = true;
	heard.fd = dial_and_greet();
	size = wire_frame("one", 3, bytes);
	size += wire_frame("two", 3, bytes + size);
	wire_send(heard.fd, bytes, size);
	run_until_frames(1);
	wire_send(heard.fd, bytes, size);
	wire_run_pending();
	assert_int_equal(heard.frames, 1);
	assert_int_equal(heard.lost, 0);
	assert_int_equal(link_send(heard.link, "last", 4), PLUG_OK); /* a last word is possible */
	wire_expect(heard.fd, bytes, WIRE_HEAD_BYTES + 4);
	assert_memory_equal(bytes + WIRE_HEAD_BYTES, "last", 4);
}

static void
test_a_muted_link_takes_nobody_in(void **state)
{
	int fd;

	(void)state;
	link_mute(heard.link);
	fd = wire_dial(SOCK_STREAM); /* waits in the backlog */
	wire_expect_silence(fd);
	assert_int_equal(link_connection(heard.link), 0);
	close(fd);
}

static void
leave_nothing(void)
{
}

static void
leave_ungreeted(void)
{
	heard.fd = wire_dial(SOCK_STREAM);
	wire_run_pending();
}

static void
leave_waiting_at_the_door(void)
{
	heard.fd = wire_dial(SOCK_STREAM);
}

static void
leave_greeted(void)
{
	heard.fd = dial_and_greet();
}

static void
leave_half_a_frame(void)
{
	heard.fd = dial_and_greet();
	wire_send(heard.fd, "\1\0\0\0\0\0\0\1\0half", 13);
	wire_run_pending();
}

static void
leave_pressed(void)
{
	static uint8_t body[PRESSED_BYTES];

	heard.fd = dial_and_greet();
	press(0, body);
}

static void
leave_muted(void)
{
	heard.fd = dial_and_greet();
	link_mute(heard.link);
}

static void
leave_lost(void)
{
	heard.fd = dial_and_greet();
	close(heard.fd);
	heard.fd = -1;
	wire_run_until(was_lost, NULL);
	heard.lost = 0;
}

/* Closed in any state: no callback, no descriptor, no socket, and the far end sees its end. */
static void
test_close_in_every_state(void **state)
{
	static void (*const leave[])(void) = {
		leave_nothing, leave_ungreeted,    leave_waiting_at_the_door,
		leave_greeted, leave_half_a_frame, leave_pressed,
		leave_muted,   leave_lost,
	};
	struct link_config config = {.loop = wire_loop,
				     .path = wire_path,
				     .max_bytes = MAX_BYTES,
				     .ops = &ops,
				     .user = &heard};
	int fds;

	(void)state;
	link_close(heard.link);
	link_close(NULL);
	fds = wire_count_fds();
	for (size_t i = 0; i < sizeof(leave) / sizeof(*leave); i++) {
		assert_int_equal(link_open(&config, &heard.link), PLUG_OK);
		leave[i]();
		link_close(heard.link);
		wire_run_pending();
		assert_int_equal(access(wire_path, F_OK), -1);
		assert_int_equal(heard.lost + heard.garbage + heard.writable, 0);
		if (heard.fd >= 0)
			close(heard.fd);
		heard.fd = -1;
		assert_int_equal(wire_count_fds(), fds);
	}
	heard.link = NULL;
}

static void
test_open_refuses(void **state)
{
	char longer[200];
	struct link_config config = {.loop = wire_loop,
				     .path = wire_path,
				     .max_bytes = MAX_BYTES,
				     .ops = &ops,
				     .user = &heard};
	struct link *untouched = heard.link;
	int fds = wire_count_fds();

	(void)state;
	assert_int_equal(link_open(&config, &untouched), PLUG_ESYS); /* it is there already */
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	config.path = longer;
	assert_int_equal(link_open(&config, &untouched), PLUG_ETOOLARGE);
	assert_ptr_equal(untouched, heard.link);
	assert_int_equal(wire_count_fds(), fds);
	close(dial_and_greet()); /* the first is undisturbed */
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
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
		TEST(test_sending_needs_a_greeted_peer),
		TEST(test_a_sent_frame_on_the_wire),
		TEST(test_back_pressure),
		TEST(test_a_peer_that_vanishes_under_pressure),
		TEST(test_mute_in_the_middle_of_frames),
		TEST(test_a_muted_link_takes_nobody_in),
		TEST(test_close_in_every_state),
		TEST(test_open_refuses),
	};

	return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}
