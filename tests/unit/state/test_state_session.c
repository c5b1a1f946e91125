/* A session over an upgrade: in whatever state it is, the plugin's end does not notice. */
#include "../daemon/session_fixture.h"

#include "ipc/session_saved.h"
#include "state_support.h"

/* As a new plugd in the same process: another loop, the same descriptors. */
static void
move(void)
{
	struct session_config config = {.ops = &ops};
	struct ev_loop *before = wire_loop;
	Plugd__SavedSession *saved;
	struct state_out out;
	struct state_in in;
	Plugd__Saved *all;

	state_out_init(&out);
	all = state_out_message(&out, &plugd__saved__descriptor);
	saved = session_save(t.session, &out);
	/* Any message that may hold one. */
	Plugd__SavedInstance *instance =
		state_out_message(&out, &plugd__saved_instance__descriptor);
	Plugd__SavedPlugin *plugin = state_out_message(&out, &plugd__saved_plugin__descriptor);

	instance->session = saved;
	state_out_append(&out, &plugin->n_instances, &plugin->instances, instance);
	state_out_append(&out, &all->n_plugins, &all->plugins, plugin);
	state_through(&out, all, false, &in);
	state_abandon(t.session);
	wire_loop = config.loop = ev_loop_new(EVFLAG_AUTO);
	t.session = session_restore(&config, in.saved->plugins[0]->instances[0]->session, &in);
	if (in.failed)
		fail_msg("%s", in.why);
	state_in_fini(&in);
	ev_loop_destroy(before);
}

static void
test_before_anybody_came(void **state)
{
	(void)state;
	move();
	shake_hands();
	assert_true(session_connected(t.session));
	assert_int_equal(t.hellos, 1);
}

static void
test_between_greeting_and_hello(void **state)
{
	Plug__Hello hello = good_hello();

	(void)state;
	connect_plugin();
	move();
	say_hello(&hello);
	expect_welcome(0);
}

static void
test_numbers_go_on(void **state)
{
	(void)state;
	shake_hands();
	assert_int_equal(send_chunk(10, 5), PLUG_OK);
	expect_chunk(10, 1);
	say_message(20, 1, 0);
	wire_run_pending();
	assert_int_equal(t.messages, 1);
	move();
	assert_int_equal(session_unacked_bytes(t.session) > 0, true);
	assert_int_equal(send_chunk(11, 5), PLUG_OK);
	expect_chunk(11, 2);
	say_message(20, 1, 1); /* known */
	say_message(21, 2, 2);
	wire_run_pending();
	assert_int_equal(t.messages, 2);
	assert_int_equal(t.ids[1], 21);
	assert_int_equal(session_unacked_bytes(t.session), 0);
	assert_int_equal(t.violations + t.lost + t.resumed, 0);
}

static void
test_what_was_not_acknowledged_is_sent_again_after_a_cut(void **state)
{
	(void)state;
	shake_hands();
	for (uint64_t id = 1; id <= 3; id++)
		assert_int_equal(send_chunk(id, 100), PLUG_OK);
	for (uint64_t id = 1; id <= 3; id++)
		expect_chunk(id, id);
	move();
	cut();
	move();
	connect_plugin();
	say_resume(1);
	expect_welcome(0);
	expect_chunk(2, 2);
	expect_chunk(3, 3);
	assert_int_equal(t.resumed, 1);
}

static void
test_a_wrong_nonce_is_still_wrong(void **state)
{
	(void)state;
	shake_hands();
	move();
	cut();
	t.nonce[0] ^= 1;
	connect_plugin();
	say_resume(0);
	expect_refused(PLUG_EDENIED);
	expect_violation(PLUG_EDENIED, "nonce");
}

/* Half a frame has come; the rest comes to the next plugd. */
static void
test_a_frame_in_two_halves(void **state)
{
	uint8_t body[PLUG_MESSAGE_BYTES], frame[sizeof(body) + WIRE_HEAD_BYTES];
	Plug__Cancel cancel = PLUG__CANCEL__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	size_t size;

	(void)state;
	shake_hands();
	env.id = 5;
	env.seq = 1;
	env.generation = GENERATION;
	env.body_case = PLUG__ENVELOPE__BODY_CANCEL;
	env.cancel = &cancel;
	assert_int_equal(plug_envelope_pack(&env, body, sizeof(body), &size), PLUG_OK);
	size = wire_frame(body, size, frame);
	for (size_t at = 0; at < size; at++) {
		wire_send(t.fd, frame + at, 1);
		wire_run_pending();
		move();
	}
	wire_run_pending();
	assert_int_equal(t.messages, 1);
	assert_int_equal(t.ids[0], 5);
}

/* The socket is full: half a frame is out, others wait. */
static void
test_what_could_not_be_written_yet(void **state)
{
	uint64_t sent = 0;

	(void)state;
	session_close(t.session);
	struct session_config config = {.loop = wire_loop,
					.path = wire_path,
					.generation = GENERATION,
					.unacked_bytes = 4000000,
					.ops = &ops};
	memcpy(config.token, token, sizeof(token));
	assert_int_equal(session_open(&config, &t.session), PLUG_OK);
	shake_hands();
	while (sent < 60 && send_chunk(sent + 1, 40000) == PLUG_OK)
		sent++;
	assert_int_equal(sent, 60);
	move();
	for (uint64_t id = 1; id <= sent; id++) {
		expect_chunk(id, id);
		if (id == sent / 2)
			move();
	}
}

static void
test_a_violation_stays_one(void **state)
{
	(void)state;
	shake_hands();
	say_message(1, 7, 0);
	expect_violation(PLUG_EPROTO, "order");
	move();
	wire_run_pending();
	assert_false(session_connected(t.session));
	assert_int_equal(t.violations, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_before_anybody_came),
		TEST(test_between_greeting_and_hello),
		TEST(test_numbers_go_on),
		TEST(test_what_was_not_acknowledged_is_sent_again_after_a_cut),
		TEST(test_a_wrong_nonce_is_still_wrong),
		TEST(test_a_frame_in_two_halves),
		TEST(test_what_could_not_be_written_yet),
		TEST(test_a_violation_stays_one),
	};

	return cmocka_run_group_tests_name("state_session", tests, NULL, NULL);
}
