/* Who comes through the door, and how many. */
#include "doorman_fixture.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_who_comes_in),
		TEST(test_who_is_refused),
		TEST(test_a_message_before_hello),
		TEST(test_a_client_that_says_nothing),
		TEST(test_as_many_as_allowed),
		TEST(test_new_limits_apply_at_once),
		TEST(test_a_hundred_come_and_vanish),
	};

	return cmocka_run_group_tests_name("doorman", tests, NULL, NULL);
}
