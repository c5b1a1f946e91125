/* What a link sends, and how it ends. */
#include "link_fixture.h"

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
	const struct CMUnitTest tests[] = {
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
