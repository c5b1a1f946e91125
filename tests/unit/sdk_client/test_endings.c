/* How calls end in a caller's own event loop other than by their reply. */
#include "loop.h"

static void
confirm_cancel(struct peer *peer)
{
	Plug__Envelope *env;

	peer_welcome(peer);
	plug_envelope_free(peer_expect(peer, PLUG__ENVELOPE__BODY_CALL));
	env = peer_expect(peer, PLUG__ENVELOPE__BODY_CANCEL);
	peer_reply(peer, (struct peer_reply){
				 .id = env->id, .outcome = PLUG_ECANCELLED, .message = "as asked"});
	plug_envelope_free(env);
	MUST(!peer_receive(peer));
}

static void
ignore_cancel(struct peer *peer)
{
	peer_welcome(peer);
	plug_envelope_free(peer_expect(peer, PLUG__ENVELOPE__BODY_CALL));
	plug_envelope_free(peer_expect(peer, PLUG__ENVELOPE__BODY_CANCEL));
	MUST(!peer_receive(peer));
}

static void
cancel_with(peer_script script, uint64_t least_ms, const char *message)
{
	struct plug_request request = request_of("echo", "x", 1);
	struct outcome outcome = {0};
	struct plug_client *client;
	struct peer peer;
	uint64_t id, before;

	peer_start(&peer, script, NULL);
	client = peer_client(&peer);
	assert_int_equal(plug_client_send(client, &request, NULL, loop_on_done, &outcome, &id),
			 PLUG_OK);
	assert_int_equal(plug_client_cancel(client, id + 1), PLUG_ENOTFOUND);
	before = now_ms();
	assert_int_equal(plug_client_cancel(client, id), PLUG_OK);
	assert_int_equal(plug_client_cancel(client, id), PLUG_OK); /* again: nothing more is sent */
	assert_int_equal(outcome.done, 0);
	loop_until(client, &outcome.done, 1);
	assert_in_range(now_ms() - before, least_ms, PEER_WAIT_MS);
	assert_int_equal(outcome.err, PLUG_ECANCELLED);
	assert_non_null(strstr(outcome.message, message));
	assert_int_equal(plug_client_cancel(client, id), PLUG_ENOTFOUND);
	plug_client_close(client);
	peer_stop(&peer);
}

static void
test_cancel(void **state)
{
	(void)state;
	cancel_with(confirm_cancel, 0, "as asked");
	cancel_with(ignore_cancel, 1000, "did not confirm");
}

static void
take_and_wait(struct peer *peer)
{
	peer_welcome(peer);
	while (true) {
		Plug__Envelope *env = peer_receive(peer);

		if (!env)
			return;
		plug_envelope_free(env);
	}
}

struct closing {
	struct plug_client *client;
	int done;
	plug_err again;
};

static void
send_again(const struct plug_reply *reply, void *user)
{
	struct plug_request request = request_of("echo", "x", 1);
	struct closing *closing = user;

	assert_int_equal(reply->outcome, PLUG_ECANCELLED);
	closing->again =
		plug_client_send(closing->client, &request, NULL, send_again, closing, NULL);
	closing->done++;
}

static void
test_close_ends_every_call(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	struct closing closing = {0};
	struct peer peer;

	(void)state;
	peer_start(&peer, take_and_wait, NULL);
	closing.client = peer_client(&peer);
	for (int i = 0; i < 3; i++)
		assert_int_equal(plug_client_send(closing.client, &request, NULL, send_again,
						  &closing, NULL),
				 PLUG_OK);
	plug_client_close(closing.client);
	assert_int_equal(closing.done, 3);
	assert_int_equal(closing.again, PLUG_ESTATE);
	peer_stop(&peer);
}

static void
test_deadlines_of_many(void **state)
{
	static const uint64_t timeouts[] = {400, 100, 250};
	struct outcome outcomes[3] = {0};
	struct plug_client *client;
	struct peer peer;
	uint64_t before = now_ms();

	(void)state;
	peer_start(&peer, take_and_wait, NULL);
	client = peer_client(&peer);
	for (int i = 0; i < 3; i++) {
		struct plug_request request = request_of("echo", "x", 1);

		request.timeout_ms = timeouts[i];
		loop_send_call(client, &request, &outcomes[i]);
	}
	assert_in_range(plug_client_timeout_ms(client), 0, 1100); /* the shortest, with the grace */
	for (int i = 0; i < 3; i++) {
		loop_until(client, &outcomes[i].done, 1);
		assert_in_range(outcomes[i].done_at_ms - before, timeouts[i] + 1000, PEER_WAIT_MS);
	}
	assert_int_equal(plug_client_timeout_ms(client), -1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(outcomes[i].err, PLUG_ETIMEOUT);
	plug_client_close(client);
	peer_stop(&peer);
}

static bool
refuse_piece(const struct plug_payload *piece, void *user)
{
	(void)piece;
	(void)user;
	return false;
}

static void
one_piece(struct peer *peer)
{
	Plug__Envelope *env;
	uint64_t id;

	peer_welcome(peer);
	env = peer_expect(peer, PLUG__ENVELOPE__BODY_CALL);
	id = env->id;
	plug_envelope_free(env);
	peer_reply(peer, (struct peer_reply){.id = id, .text = "1", .partial = true});
	plug_envelope_free(peer_expect(peer, PLUG__ENVELOPE__BODY_CANCEL));
	MUST(!peer_receive(peer));
}

static void
test_piece_callback_cancels(void **state)
{
	struct plug_request request = request_of("stream", NULL, 0);
	struct outcome outcome = {0};
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start(&peer, one_piece, NULL);
	client = peer_client(&peer);
	assert_int_equal(
		plug_client_send(client, &request, refuse_piece, loop_on_done, &outcome, NULL),
		PLUG_OK);
	loop_until(client, &outcome.done, 1);
	assert_int_equal(outcome.err, PLUG_ECANCELLED);
	plug_client_close(client);
	peer_stop(&peer);
}

/* ---- lost connections ---- */

static void
die_with_calls(struct peer *peer)
{
	Plug__Envelope *env;

	peer_welcome(peer);
	plug_envelope_free(peer_expect(peer, PLUG__ENVELOPE__BODY_CALL));
	plug_envelope_free(peer_expect(peer, PLUG__ENVELOPE__BODY_CALL));
	peer_welcome(peer);
	env = peer_expect(peer, PLUG__ENVELOPE__BODY_CALL);
	peer_reply(peer, (struct peer_reply){.id = env->id, .text = "back"});
	plug_envelope_free(env);
	MUST(!peer_receive(peer));
}

static void
test_reconnect_with_the_next_call(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	struct outcome outcome = {0}, next = {0};
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start(&peer, die_with_calls, NULL);
	client = peer_client(&peer);
	loop_send_call(client, &request, &outcome);
	loop_send_call(client, &request, &outcome);
	assert_int_equal(loop_until(client, &outcome.done, 2), PLUG_EUNREACHABLE);
	assert_int_equal(outcome.err, PLUG_EGONE);
	assert_int_equal(plug_client_fd(client), -1);
	assert_int_equal(plug_client_events(client), 0);
	assert_int_equal(plug_client_timeout_ms(client), -1);
	assert_int_equal(plug_client_dispatch(client), PLUG_OK); /* nothing to do */
	loop_send_call(client, &request, &next);
	assert_true(plug_client_fd(client) >= 0);
	assert_int_equal(loop_until(client, &next.done, 1), PLUG_OK);
	assert_string_equal(next.text, "back");
	plug_client_close(client);
	peer_stop(&peer);
}

static void
refuse_second(struct peer *peer)
{
	static char why[] = "no more";
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__Refused refused = PLUG__REFUSED__INIT;

	peer_welcome(peer);
	plug_envelope_free(peer_expect(peer, PLUG__ENVELOPE__BODY_CALL));
	peer_accept(peer);
	plug_envelope_free(peer_expect(peer, PLUG__ENVELOPE__BODY_CLIENT_HELLO));
	env.body_case = PLUG__ENVELOPE__BODY_REFUSED;
	env.refused = &refused;
	refused.code = PLUG_EDENIED;
	refused.message = why;
	peer_send(peer, &env);
}

static void
test_refused_when_reconnecting(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	struct outcome outcome = {0}, next = {0};
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start(&peer, refuse_second, NULL);
	client = peer_client(&peer);
	loop_send_call(client, &request, &outcome);
	loop_until(client, &outcome.done, 1);
	loop_send_call(client, &request, &next);
	loop_until(client, &next.done, 1);
	assert_int_equal(next.err, PLUG_EDENIED);
	assert_non_null(strstr(next.message, "no more"));
	plug_client_close(client);
	peer_stop(&peer);
}

static void
leave(struct peer *peer)
{
	peer_welcome(peer);
	unlink(peer->path);
}

static void
test_send_without_plugd(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	struct outcome outcome = {0};
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start(&peer, leave, NULL);
	client = peer_client(&peer);
	pthread_join(peer.thread, NULL);
	while (plug_client_fd(client) >= 0)
		plug_client_dispatch(client);
	assert_int_equal(plug_client_send(client, &request, NULL, loop_on_done, &outcome, NULL),
			 PLUG_EUNREACHABLE);
	assert_non_null(strstr(plug_client_error_text(client), "No such file"));
	plug_client_close(client);
	assert_int_equal(outcome.done, 0);
	close(peer.listener);
	rmdir(peer.dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_close_ends_every_call),
		cmocka_unit_test(test_deadlines_of_many),
		cmocka_unit_test(test_piece_callback_cancels),
		cmocka_unit_test(test_reconnect_with_the_next_call),
		cmocka_unit_test(test_refused_when_reconnecting),
		cmocka_unit_test(test_send_without_plugd),
	};

	return cmocka_run_group_tests_name("client_endings", tests, NULL, NULL);
}
