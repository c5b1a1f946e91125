/* How a session begins. */
#include "session_fixture.h"

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

int
main(void)
{
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
	};

	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
