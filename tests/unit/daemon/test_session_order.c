/* What a session keeps: order, acknowledgement, resume. */
#include "failing.h"
#include "session_fixture.h"

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
	/* whoever was told of the loss is told of its end: there is nothing left to wait for */
	assert_int_equal(t.lost, 1);
	assert_int_equal(t.resumed, 1);
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

static bool
was_lost_once(void *context)
{
	(void)context;
	return t.lost > 0;
}

/* Neither skipped, which would look like the plugin's fault, nor taken for no message: the
 * connection is given up, and the plugin sends it again. */
static void
test_a_message_that_there_is_no_memory_for(void **state)
{
	(void)state;
	shake_hands();
	say_message(1, 1, 0);
	run_until_messages(1);
	say_message(2, 2, 0);
	failing_begin(0, FAILING_ONE);
	wire_run_until(was_lost_once, NULL);
	assert_true(failing_end());
	assert_int_equal(t.messages, 1);
	assert_int_equal(t.violations, 0);
	close(t.fd);
	connect_plugin();
	say_resume(0);
	expect_welcome(1);
	say_message(2, 2, 0);
	run_until_messages(2);
	assert_int_equal(t.resumed, 1);
	assert_int_equal(t.ids[1], 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
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
		TEST(test_a_message_that_there_is_no_memory_for),
	};

	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
