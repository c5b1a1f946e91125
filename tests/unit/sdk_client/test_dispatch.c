/* The same calls in a caller's own event loop. */
#include "peer.h"

#include <poll.h>
#include <sys/socket.h>

struct outcome {
	int done, pieces;
	uint64_t done_at_ms;
	plug_err err;
	char text[64], message[256];
	size_t size;
};

static bool
on_piece(const struct plug_payload *piece, void *user)
{
	struct outcome *outcome = user;

	(void)piece;
	outcome->pieces++;
	return true;
}

static void
on_done(const struct plug_reply *reply, void *user)
{
	struct outcome *outcome = user;

	outcome->done++;
	outcome->done_at_ms = now_ms();
	outcome->err = reply->outcome;
	outcome->size = reply->payload.size;
	snprintf(outcome->text, sizeof(outcome->text), "%.*s", (int)reply->payload.size,
		 (const char *)reply->payload.data);
	snprintf(outcome->message, sizeof(outcome->message), "%s", reply->message);
}

/* As an event loop would, until *flag is `wanted` or nothing happened for long. */
static plug_err
loop_until(struct plug_client *client, const int *flag, int wanted)
{
	uint64_t give_up = now_ms() + PEER_WAIT_MS;
	plug_err err = PLUG_OK;

	while (*flag < wanted) {
		struct pollfd ready = {.fd = plug_client_fd(client),
				       .events = plug_client_events(client)};
		int wait_ms = plug_client_timeout_ms(client);

		if (wait_ms < 0 || wait_ms > 1000)
			wait_ms = 1000;
		assert_true(poll(&ready, 1, wait_ms) >= 0);
		err = plug_client_dispatch(client);
		if (now_ms() > give_up)
			fail_msg("nothing came for %d ms", PEER_WAIT_MS);
	}
	return err;
}

static void
send_call(struct plug_client *client, const struct plug_request *request, struct outcome *outcome)
{
	assert_int_equal(plug_client_send(client, request, on_piece, on_done, outcome, NULL),
			 PLUG_OK);
}

/* ---- order
 * ---------------------------------------------------------------------------------------- */

#define MANY 50

/* Takes all calls, answers the last first, long ones in chunks that mix with the others'. */
static void
answer_backwards(struct peer *peer)
{
	uint64_t ids[MANY];
	char text[32];

	peer_welcome(peer);
	for (int i = 0; i < MANY; i++) {
		Plug__Envelope *env = peer_expect(peer, PLUG__ENVELOPE__BODY_CALL);

		ids[i] = env->id;
		plug_envelope_free(env);
	}
	for (int i = MANY - 1; i >= 0; i--)
		peer_reply(peer, (struct peer_reply){.id = ids[i], .text = "p", .partial = true});
	for (int i = MANY - 1; i >= 0; i--)
		peer_reply(peer,
			   (struct peer_reply){.id = ids[i], .text = "number ", .more = true});
	for (int i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "%d", i);
		peer_chunk(peer, ids[i], text, strlen(text), true);
	}
	MUST(!peer_receive(peer));
}

static void
test_replies_out_of_order(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	struct outcome outcomes[MANY] = {0};
	struct plug_client *client;
	struct peer peer;
	char text[32];

	(void)state;
	peer_start(&peer, answer_backwards, NULL);
	client = peer_client(&peer);
	assert_int_equal(plug_client_events(client), POLLIN);
	assert_int_equal(plug_client_timeout_ms(client), -1);
	for (int i = 0; i < MANY; i++)
		send_call(client, &request, &outcomes[i]);
	for (int i = 0; i < MANY; i++) {
		loop_until(client, &outcomes[i].done, 1);
		snprintf(text, sizeof(text), "number %d", i);
		assert_string_equal(outcomes[i].text, text);
		assert_int_equal(outcomes[i].pieces, 1);
	}
	for (int i = 0; i < MANY; i++)
		assert_int_equal(outcomes[i].done, 1);
	plug_client_close(client);
	peer_stop(&peer);
}

/* ---- a full queue
 * ------------------------------------------------------------------------------------ */

#define BIG (1024 * 1024)

static void
read_when_told(struct peer *peer)
{
	int *go = peer->arg;
	uint64_t ids[16];
	size_t received[16] = {0}, known = 0, complete = 0;
	char c;

	peer_welcome(peer);
	MUST(read(go[0], &c, 1) == 1);
	while (complete < 5 || known < 5) {
		Plug__Envelope *env = peer_receive(peer);
		size_t at;

		MUST(env);
		if (env->body_case == PLUG__ENVELOPE__BODY_CALL) {
			ids[known] = env->id;
			received[known++] = env->call->payload.len;
		} else {
			MUST(env->body_case == PLUG__ENVELOPE__BODY_CHUNK);
			for (at = 0; at < known && ids[at] != env->id; at++)
				;
			MUST(at < known);
			received[at] += env->chunk->data.len;
			if (env->chunk->last) {
				MUST(received[at] == BIG);
				complete++;
				peer_reply(peer, (struct peer_reply){.id = env->id, .text = "got"});
			}
		}
		plug_envelope_free(env);
	}
	MUST(!peer_receive(peer));
}

static void
test_queue_is_bounded(void **state)
{
	void *data = pattern(BIG, 3);
	struct plug_request request = request_of("echo", data, BIG);
	struct outcome outcome = {0};
	struct plug_client *client;
	struct peer peer;
	plug_err err = PLUG_OK;
	int go[2], accepted = 0;

	(void)state;
	assert_int_equal(pipe(go), 0);
	peer_start(&peer, read_when_told, go);
	client = peer_client(&peer);
	while (accepted < 20) {
		err = plug_client_send(client, &request, NULL, on_done, &outcome, NULL);
		if (err != PLUG_OK)
			break;
		accepted++;
	}
	assert_int_equal(err, PLUG_EOVERLOADED);
	assert_int_equal(accepted, 5); /* what waits when the fifth comes is just below 4 MiB */
	assert_true(plug_client_events(client) & POLLOUT);
	assert_int_equal(write(go[1], "x", 1), 1);
	loop_until(client, &outcome.done, accepted);
	assert_int_equal(outcome.err, PLUG_OK);
	assert_int_equal(plug_client_events(client), POLLIN);
	plug_client_close(client);
	peer_stop(&peer);
	close(go[0]);
	close(go[1]);
	free(data);
}

/* A short call is not held up by a long one before it. */
static void
short_first(struct peer *peer)
{
	Plug__Envelope *env;
	uint64_t first;
	bool other = false;

	peer_welcome(peer);
	env = peer_expect(peer, PLUG__ENVELOPE__BODY_CALL);
	first = env->id;
	for (bool more = true; more;) {
		plug_envelope_free(env);
		env = peer_receive(peer);
		MUST(env);
		if (env->body_case == PLUG__ENVELOPE__BODY_CALL) {
			other = true;
			peer_reply(peer, (struct peer_reply){.id = env->id, .text = "short"});
		}
		more = env->body_case == PLUG__ENVELOPE__BODY_CALL || !env->chunk->last;
	}
	plug_envelope_free(env);
	MUST(other);
	peer_reply(peer, (struct peer_reply){.id = first, .text = "long"});
	MUST(!peer_receive(peer));
}

static void
test_long_call_does_not_hold_up_a_short_one(void **state)
{
	void *data = pattern(8 * BIG, 3);
	struct plug_request big = request_of("echo", data, 8 * BIG),
			    small = request_of("echo", "x", 1);
	struct outcome outcome = {0}, other = {0};
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start(&peer, short_first, NULL);
	client = peer_client(&peer);
	send_call(client, &big, &outcome);
	/* The long one alone is above the bound, so make room as a loop would. */
	while (plug_client_send(client, &small, NULL, on_done, &other, NULL) == PLUG_EOVERLOADED) {
		struct pollfd ready = {.fd = plug_client_fd(client), .events = POLLOUT};

		assert_true(poll(&ready, 1, PEER_WAIT_MS) == 1);
		assert_int_equal(plug_client_dispatch(client), PLUG_OK);
	}
	loop_until(client, &outcome.done, 1);
	assert_int_equal(other.done, 1);
	assert_string_equal(outcome.text, "long");
	plug_client_close(client);
	peer_stop(&peer);
	free(data);
}

/* ---- cancel, close, deadlines
 * -------------------------------------------------------------------------- */

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
	assert_int_equal(plug_client_send(client, &request, NULL, on_done, &outcome, &id), PLUG_OK);
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
		send_call(client, &request, &outcomes[i]);
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
	assert_int_equal(plug_client_send(client, &request, refuse_piece, on_done, &outcome, NULL),
			 PLUG_OK);
	loop_until(client, &outcome.done, 1);
	assert_int_equal(outcome.err, PLUG_ECANCELLED);
	plug_client_close(client);
	peer_stop(&peer);
}

/* ---- lost connections
 * ------------------------------------------------------------------------------------- */

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
	send_call(client, &request, &outcome);
	send_call(client, &request, &outcome);
	assert_int_equal(loop_until(client, &outcome.done, 2), PLUG_EUNREACHABLE);
	assert_int_equal(outcome.err, PLUG_EGONE);
	assert_int_equal(plug_client_fd(client), -1);
	assert_int_equal(plug_client_events(client), 0);
	assert_int_equal(plug_client_timeout_ms(client), -1);
	assert_int_equal(plug_client_dispatch(client), PLUG_OK); /* nothing to do */
	send_call(client, &request, &next);
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
	send_call(client, &request, &outcome);
	loop_until(client, &outcome.done, 1);
	send_call(client, &request, &next);
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
	assert_int_equal(plug_client_send(client, &request, NULL, on_done, &outcome, NULL),
			 PLUG_EUNREACHABLE);
	assert_non_null(strstr(plug_client_error_text(client), "No such file"));
	plug_client_close(client);
	assert_int_equal(outcome.done, 0);
	close(peer.listener);
	rmdir(peer.dir);
}

/* ---- a flood
 * --------------------------------------------------------------------------------------------------
 */

#define FLOOD 20000

static void
flood(struct peer *peer)
{
	Plug__Envelope *env;
	uint64_t id;

	peer_welcome(peer);
	env = peer_expect(peer, PLUG__ENVELOPE__BODY_CALL);
	id = env->id;
	plug_envelope_free(env);
	for (int i = 0; i < FLOOD; i++)
		peer_reply(peer, (struct peer_reply){.id = id, .text = "x", .partial = true});
	peer_reply(peer, (struct peer_reply){.id = id, .text = "end"});
	MUST(!peer_receive(peer));
}

static void
test_flood_does_not_keep_dispatch(void **state)
{
	struct plug_request request = request_of("stream", NULL, 0);
	struct outcome outcome = {0};
	struct plug_client *client;
	struct peer peer;
	int before, most = 0;

	(void)state;
	peer_start(&peer, flood, NULL);
	client = peer_client(&peer);
	send_call(client, &request, &outcome);
	while (!outcome.done) {
		before = outcome.pieces;
		plug_client_dispatch(client);
		most = outcome.pieces - before > most ? outcome.pieces - before : most;
	}
	assert_int_equal(outcome.pieces, FLOOD);
	assert_in_range(most, 1, 64);
	plug_client_close(client);
	peer_stop(&peer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replies_out_of_order),
		cmocka_unit_test(test_queue_is_bounded),
		cmocka_unit_test(test_long_call_does_not_hold_up_a_short_one),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_close_ends_every_call),
		cmocka_unit_test(test_deadlines_of_many),
		cmocka_unit_test(test_piece_callback_cancels),
		cmocka_unit_test(test_reconnect_with_the_next_call),
		cmocka_unit_test(test_refused_when_reconnecting),
		cmocka_unit_test(test_send_without_plugd),
		cmocka_unit_test(test_flood_does_not_keep_dispatch),
	};

	return cmocka_run_group_tests_name("client_dispatch", tests, NULL, NULL);
}
