/* Operators' requests: one or many responses, followed ones, failures. */
#include "peer.h"

#include "admin.h"

static void
respond(struct peer *peer, uint64_t id, bool more, plug_err outcome, const char *message)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__Response response = PLUG__RESPONSE__INIT;

	env.id = id;
	env.body_case = PLUG__ENVELOPE__BODY_RESPONSE;
	env.response = &response;
	response.more = more;
	response.outcome = outcome;
	response.message = (char *)message;
	peer_send(peer, &env);
}

static uint64_t
take_request(struct peer *peer)
{
	Plug__Envelope *env = peer_expect(peer, PLUG__ENVELOPE__BODY_REQUEST);
	uint64_t id = env->id;

	MUST(env->request->body_case == PLUG__REQUEST__BODY_LIST);
	plug_envelope_free(env);
	return id;
}

static bool
count(const Plug__Response *response, void *user)
{
	int *seen = user;

	(void)response;
	++*seen;
	return true;
}

static plug_err
ask(struct plug_client *client, uint64_t timeout_ms, plug_on_response on_response, int *seen)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__ListRequest list = PLUG__LIST_REQUEST__INIT;

	request.body_case = PLUG__REQUEST__BODY_LIST;
	request.list = &list;
	*seen = 0;
	return plug_client_request(client, &request, timeout_ms, on_response, seen);
}

static void
three_then_one_that_fails(struct peer *peer)
{
	uint64_t id;

	peer_welcome(peer);
	id = take_request(peer);
	respond(peer, id, true, PLUG_OK, "");
	respond(peer, id, true, PLUG_OK, "");
	respond(peer, id, false, PLUG_OK, "");
	id = take_request(peer);
	respond(peer, id, true, PLUG_OK, "");
	respond(peer, id, false, PLUG_ENOTFOUND, "no plugin \"x\"");
	MUST(!peer_receive(peer));
}

static void
test_responses(void **state)
{
	struct plug_client *client;
	struct peer peer;
	int seen;

	(void)state;
	peer_start(&peer, three_then_one_that_fails, NULL);
	client = peer_client(&peer);
	assert_int_equal(ask(client, 5000, count, &seen), PLUG_OK);
	assert_int_equal(seen, 3);
	assert_int_equal(ask(client, 5000, count, &seen), PLUG_ENOTFOUND);
	assert_int_equal(seen, 2);
	assert_string_equal(plug_client_error_text(client), "no plugin \"x\"");
	plug_client_close(client);
	peer_stop(&peer);
}

static bool
stop_at_third(const Plug__Response *response, void *user)
{
	int *seen = user;

	(void)response;
	return ++*seen < 3;
}

static void
follow(struct peer *peer)
{
	Plug__Envelope *env;
	uint64_t id;

	peer_welcome(peer);
	id = take_request(peer);
	for (int i = 0; i < 5; i++)
		respond(peer, id, true, PLUG_OK, "");
	env = peer_expect(peer, PLUG__ENVELOPE__BODY_CANCEL);
	MUST(env->id == id);
	plug_envelope_free(env);
	respond(peer, id, false, PLUG_ECANCELLED, ""); /* late, and no violation */
	respond(peer, take_request(peer), false, PLUG_OK, "");
	MUST(!peer_receive(peer));
}

static void
test_stop_following(void **state)
{
	struct plug_client *client;
	struct peer peer;
	int seen;

	(void)state;
	peer_start(&peer, follow, NULL);
	client = peer_client(&peer);
	assert_int_equal(ask(client, 5000, stop_at_third, &seen), PLUG_ECANCELLED);
	assert_int_equal(seen, 3);
	assert_int_equal(ask(client, 5000, count, &seen), PLUG_OK);
	plug_client_close(client);
	peer_stop(&peer);
}

/* 8 responses 500 ms apart take longer than the 2000 ms and the grace that one may take. */
static void
slow_but_alive(struct peer *peer)
{
	uint64_t id;

	peer_welcome(peer);
	id = take_request(peer);
	for (int i = 0; i < 8; i++) {
		usleep(500 * 1000);
		respond(peer, id, i < 7, PLUG_OK, "");
	}
	plug_envelope_free(peer_expect(peer, PLUG__ENVELOPE__BODY_REQUEST));
	plug_envelope_free(peer_expect(peer, PLUG__ENVELOPE__BODY_CANCEL));
	MUST(!peer_receive(peer));
}

static void
test_timeout_is_between_responses(void **state)
{
	struct plug_client *client;
	struct peer peer;
	int seen;

	(void)state;
	peer_start(&peer, slow_but_alive, NULL);
	client = peer_client(&peer);
	assert_int_equal(ask(client, 2000, count, &seen), PLUG_OK);
	assert_int_equal(seen, 8);
	assert_int_equal(ask(client, 200, count, &seen), PLUG_ETIMEOUT);
	plug_client_close(client);
	peer_stop(&peer);
}

static void
reply_to_request(struct peer *peer)
{
	peer_welcome(peer);
	peer_reply(peer, (struct peer_reply){.id = take_request(peer), .text = "?"});
	MUST(!peer_receive(peer));
}

static void
test_reply_to_a_request_is_a_violation(void **state)
{
	struct plug_client *client;
	struct peer peer;
	int seen;

	(void)state;
	peer_start(&peer, reply_to_request, NULL);
	client = peer_client(&peer);
	assert_int_equal(ask(client, 5000, count, &seen), PLUG_EPROTO);
	assert_int_equal(seen, 0);
	plug_client_close(client);
	peer_stop(&peer);
}

static void
vanish(struct peer *peer)
{
	peer_welcome(peer);
	respond(peer, take_request(peer), true, PLUG_OK, "");
}

static void
test_plugd_ends_while_followed(void **state)
{
	struct plug_client *client;
	struct peer peer;
	int seen;

	(void)state;
	peer_start(&peer, vanish, NULL);
	client = peer_client(&peer);
	assert_int_equal(ask(client, 0, count, &seen), PLUG_EGONE);
	assert_int_equal(seen, 1);
	plug_client_close(client);
	peer_stop(&peer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_responses),
		cmocka_unit_test(test_stop_following),
		cmocka_unit_test(test_timeout_is_between_responses),
		cmocka_unit_test(test_reply_to_a_request_is_a_violation),
		cmocka_unit_test(test_plugd_ends_while_followed),
	};

	return cmocka_run_group_tests_name("client_requests", tests, NULL, NULL);
}
