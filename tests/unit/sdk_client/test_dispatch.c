/* The same calls in a caller's own event loop. */
#include "loop.h"

#include <poll.h>

/* ---- order ---- */

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
		loop_send_call(client, &request, &outcomes[i]);
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

/* ---- a full queue ---- */

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
		err = plug_client_send(client, &request, NULL, loop_on_done, &outcome, NULL);
		if (err != PLUG_OK)
			break;
		accepted++;
	}
	assert_int_equal(err, PLUG_EOVERLOADED);
	assert_int_equal(accepted, 5); /* what waits when the fifth comes is just below 4 MiB */
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
	loop_send_call(client, &big, &outcome);
	/* The long one alone is above the bound, so make room as a loop would. */
	while (plug_client_send(client, &small, NULL, loop_on_done, &other, NULL) ==
	       PLUG_EOVERLOADED) {
		struct pollfd ready = {.fd = plug_client_fd(client),
				       .events = plug_client_events(client)};

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

/* ---- a flood ---- */

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
	loop_send_call(client, &request, &outcome);
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
		cmocka_unit_test(test_flood_does_not_keep_dispatch),
	};

	return cmocka_run_group_tests_name("client_dispatch", tests, NULL, NULL);
}
