/* Blocking calls with a peer that keeps to the protocol. */
#include "peer.h"

static void
echo_once(struct peer *peer)
{
	const size_t *piece = peer->arg;
	uint8_t *data;
	size_t size;
	uint64_t id;

	peer_welcome(peer);
	id = peer_take_call(peer, &data, &size);
	peer_reply_long(peer, id, data, size, piece ? *piece : PLUG_CHUNK_BYTES, false);
	free(data);
	MUST(!peer_receive(peer));
}

static void
test_sizes_come_back_whole(void **state)
{
	static const size_t sizes[] = {0,
				       1,
				       64,
				       PLUG_CHUNK_BYTES - 1,
				       PLUG_CHUNK_BYTES,
				       PLUG_CHUNK_BYTES + 1,
				       3 * PLUG_CHUNK_BYTES,
				       1000003,
				       PLUG_CALL_BYTES};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		void *data = pattern(sizes[i], (unsigned)i);
		struct plug_request request = request_of("echo", data, sizes[i]);
		struct plug_reply *reply = NULL;
		struct plug_client *client;
		struct peer peer;

		print_message("  %zu bytes\n", sizes[i]);
		peer_start(&peer, echo_once, NULL);
		client = peer_client(&peer);
		assert_string_equal(plug_client_server_version(client), "9.8.7");
		assert_int_equal(plug_client_call(client, &request, NULL, NULL, &reply), PLUG_OK);
		assert_int_equal(reply->payload.size, sizes[i]);
		assert_memory_equal(reply->payload.data, data, sizes[i]);
		assert_string_equal(reply->payload.content_type, "text/plain");
		assert_string_equal(reply->message, "");
		plug_reply_free(reply);
		plug_client_close(client);
		peer_stop(&peer);
		free(data);
	}
}

static void
test_reply_in_odd_pieces(void **state)
{
	static const size_t pieces[] = {1, 7, 4096, 60000};

	(void)state;
	for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
		char data[] = "a reply in many small messages is the same reply";
		struct plug_request request = request_of("echo", data, strlen(data));
		struct plug_reply *reply = NULL;
		struct plug_client *client;
		struct peer peer;

		peer_start(&peer, echo_once, (void *)&pieces[i]);
		client = peer_client(&peer);
		assert_int_equal(plug_client_call(client, &request, NULL, NULL, &reply), PLUG_OK);
		assert_int_equal(reply->payload.size, strlen(data));
		assert_memory_equal(reply->payload.data, data, strlen(data));
		plug_reply_free(reply);
		plug_client_close(client);
		peer_stop(&peer);
	}
}

static void
check_call_fields(struct peer *peer)
{
	Plug__Envelope *env;

	peer_welcome(peer);
	env = peer_expect(peer, PLUG__ENVELOPE__BODY_CALL);
	MUST(strcmp(env->call->plugin, "echo") == 0);
	MUST(strcmp(env->call->method, "m") == 0);
	MUST(strcmp(env->call->content_type, "application/json") == 0);
	MUST(env->call->timeout_us > 0 && env->call->timeout_us <= 20000000);
	MUST(env->id != 0);
	MUST(env->seq == 0);
	MUST(env->generation == 0);
	peer_reply(peer, (struct peer_reply){.id = env->id,
					     .outcome = PLUG_ENOMETHOD,
					     .text = "ignored",
					     .message = "no method \"m\"; it has: echo, fail"});
	plug_envelope_free(env);
	MUST(!peer_receive(peer));
}

static void
test_failure_has_message_and_no_payload(void **state)
{
	struct plug_request request = request_of("m", "{}", 2);
	struct plug_reply *reply = NULL;
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start(&peer, check_call_fields, NULL);
	client = peer_client(&peer);
	request.timeout_ms = 20000;
	assert_int_equal(plug_client_call(client, &request, NULL, NULL, &reply), PLUG_ENOMETHOD);
	assert_int_equal(reply->outcome, PLUG_ENOMETHOD);
	assert_int_equal(reply->payload.size, 0);
	assert_non_null(reply->payload.data);
	assert_non_null(reply->payload.content_type);
	assert_string_equal(reply->message, "no method \"m\"; it has: echo, fail");
	assert_string_equal(plug_client_error_text(client), reply->message);
	plug_reply_free(reply);
	plug_client_close(client);
	peer_stop(&peer);
}

static void
reject(struct peer *peer)
{
	peer_welcome(peer);
	MUST(!peer_receive(peer)); /* nothing refused here is ever sent */
}

static void
test_refused_before_sending(void **state)
{
	static char big[101], long_name[2000];
	struct plug_request request = request_of("echo", "{}", 2), wrong;
	struct plug_reply *reply = (struct plug_reply *)0x1;
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start_limited(&peer, reject, NULL, 100);
	client = peer_client(&peer);
	memset(long_name, 'x', sizeof(long_name) - 1);

	wrong = request;
	wrong.size = 3;
	assert_int_equal(plug_client_call(client, &wrong, NULL, NULL, &reply), PLUG_EINVAL);
	assert_null(reply);
	assert_int_equal(plug_client_call(client, NULL, NULL, NULL, NULL), PLUG_EINVAL);
	wrong = request;
	wrong.plugin = NULL;
	assert_int_equal(plug_client_call(client, &wrong, NULL, NULL, NULL), PLUG_EINVAL);
	wrong = request;
	wrong.method = "";
	assert_int_equal(plug_client_call(client, &wrong, NULL, NULL, NULL), PLUG_EINVAL);
	wrong = request;
	wrong.method = long_name;
	assert_int_equal(plug_client_call(client, &wrong, NULL, NULL, NULL), PLUG_EINVAL);
	wrong = request;
	wrong.payload.data = NULL;
	assert_int_equal(plug_client_call(client, &wrong, NULL, NULL, NULL), PLUG_EINVAL);
	wrong = request;
	wrong.payload.data = big;
	wrong.payload.size = sizeof(big);
	assert_int_equal(plug_client_call(client, &wrong, NULL, NULL, NULL), PLUG_ETOOLARGE);
	assert_non_null(strstr(plug_client_error_text(client), "101 bytes"));
	assert_non_null(strstr(plug_client_error_text(client), "at most 100"));
	plug_client_close(client);
	peer_stop(&peer);
}

/* ---- limits and deadlines ---- */

static void
too_much(struct peer *peer)
{
	uint8_t *data;
	size_t size;
	uint64_t id;
	Plug__Envelope *env;

	peer_welcome(peer);
	for (int partial = 0; partial < 2; partial++) {
		id = peer_take_call(peer, &data, &size);
		free(data);
		peer_reply(peer, (struct peer_reply){.id = id,
						     .text = "0123456789",
						     .more = true,
						     .partial = partial});
		peer_chunk(peer, id, "0123456789", 10, true);
		if (!partial)
			peer_chunk(peer, id, "0", 1, true); /* late: the client gave up before */
		env = peer_expect(peer, PLUG__ENVELOPE__BODY_CANCEL);
		MUST(env->id == id);
		plug_envelope_free(env);
	}
	MUST(!peer_receive(peer));
}

static void
test_reply_over_the_limit(void **state)
{
	struct plug_request request = request_of("echo", NULL, 0);
	struct plug_reply *reply = NULL;
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start_limited(&peer, too_much, NULL, 15);
	client = peer_client(&peer);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(plug_client_call(client, &request, NULL, NULL, &reply),
				 PLUG_ETOOLARGE);
		assert_non_null(strstr(reply->message, "15 bytes"));
		plug_reply_free(reply);
	}
	plug_client_close(client);
	peer_stop(&peer);
}

static void
silent_after_call(struct peer *peer)
{
	uint8_t *data;
	size_t size;
	uint64_t id;
	Plug__Envelope *env;

	peer_welcome(peer);
	id = peer_take_call(peer, &data, &size);
	free(data);
	env = peer_expect(peer, PLUG__ENVELOPE__BODY_CANCEL);
	MUST(env->id == id);
	MUST(env->cancel->reason == PLUG_ETIMEOUT);
	plug_envelope_free(env);
	MUST(!peer_receive(peer));
}

static void
test_deadline_of_a_silent_plugd(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	struct plug_reply *reply = NULL;
	struct plug_client *client;
	struct peer peer;
	uint64_t before;

	(void)state;
	peer_start(&peer, silent_after_call, NULL);
	client = peer_client(&peer);
	request.timeout_ms = 150;
	before = now_ms();
	assert_int_equal(plug_client_call(client, &request, NULL, NULL, &reply), PLUG_ETIMEOUT);
	assert_in_range(now_ms() - before, 1150, PEER_WAIT_MS);
	assert_non_null(strstr(reply->message, "150 ms"));
	plug_reply_free(reply);
	plug_client_close(client);
	peer_stop(&peer);
}

static void
test_deadline_that_never_comes(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start(&peer, echo_once, NULL);
	client = peer_client(&peer);
	request.timeout_ms = UINT64_MAX;
	assert_int_equal(plug_client_call(client, &request, NULL, NULL, NULL), PLUG_OK);
	plug_client_close(client);
	peer_stop(&peer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes_come_back_whole),
		cmocka_unit_test(test_reply_in_odd_pieces),
		cmocka_unit_test(test_failure_has_message_and_no_payload),
		cmocka_unit_test(test_refused_before_sending),
		cmocka_unit_test(test_reply_over_the_limit),
		cmocka_unit_test(test_deadline_of_a_silent_plugd),
		cmocka_unit_test(test_deadline_that_never_comes),
	};

	return cmocka_run_group_tests_name("client_calls", tests, NULL, NULL);
}
