/* Blocking calls with a peer that keeps to the protocol. */
#include "peer.h"

/* Takes a whole call.  *ret_data is the caller's. */
static uint64_t
take_call(struct peer *peer, uint8_t **ret_data, size_t *ret_size)
{
	Plug__Envelope *env = peer_expect(peer, PLUG__ENVELOPE__BODY_CALL);
	uint64_t id = env->id;
	bool more = env->call->more;
	uint8_t *data = malloc(PLUG_CALL_BYTES);
	size_t size = env->call->payload.len;

	if (size)
		memcpy(data, env->call->payload.data, size);
	plug_envelope_free(env);
	while (more) {
		env = peer_expect(peer, PLUG__ENVELOPE__BODY_CHUNK);
		memcpy(data + size, env->chunk->data.data, env->chunk->data.len);
		size += env->chunk->data.len;
		more = !env->chunk->last;
		plug_envelope_free(env);
	}
	*ret_data = data;
	*ret_size = size;
	return id;
}

static void
echo_once(struct peer *peer)
{
	const size_t *piece = peer->arg;
	uint8_t *data;
	size_t size;
	uint64_t id;

	peer_welcome(peer);
	id = take_call(peer, &data, &size);
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

/* ---- streams ---- */

static void
stream(struct peer *peer)
{
	uint8_t *data;
	size_t size;
	uint64_t id;
	void *big = pattern(100000, 5);

	peer_welcome(peer);
	id = take_call(peer, &data, &size);
	free(data);
	peer_reply(peer, (struct peer_reply){.id = id, .text = "one ", .partial = true});
	peer_reply(peer, (struct peer_reply){.id = id, .text = "", .partial = true});
	peer_reply(peer, (struct peer_reply){.id = id, .text = "two ", .partial = true});
	peer_reply_long(peer, id, big, 100000, PLUG_CHUNK_BYTES, true);
	peer_reply(peer, (struct peer_reply){.id = id, .type = "", .text = "end"});
	free(big);
	MUST(!peer_receive(peer));
}

struct seen {
	size_t pieces, bytes;
	char text[16];
};

static bool
count_piece(const struct plug_payload *piece, void *user)
{
	struct seen *seen = user;

	assert_non_null(piece->data);
	assert_string_equal(piece->content_type, "text/plain");
	if (piece->size < 10)
		strncat(seen->text, piece->data, piece->size);
	seen->pieces++;
	seen->bytes += piece->size;
	return true;
}

static void
test_stream_in_pieces(void **state)
{
	struct plug_request request = request_of("stream", NULL, 0);
	struct plug_reply *reply = NULL;
	struct seen seen = {0};
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start(&peer, stream, NULL);
	client = peer_client(&peer);
	assert_int_equal(plug_client_call(client, &request, count_piece, &seen, &reply), PLUG_OK);
	assert_int_equal(seen.pieces, 4);
	assert_int_equal(seen.bytes, 8 + 100000);
	assert_string_equal(seen.text, "one two ");
	assert_int_equal(reply->payload.size, 3);
	plug_reply_free(reply);
	plug_client_close(client);
	peer_stop(&peer);
}

static void
test_stream_joined(void **state)
{
	struct plug_request request = request_of("stream", NULL, 0);
	struct plug_reply *reply = NULL;
	void *big = pattern(100000, 5);
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start(&peer, stream, NULL);
	client = peer_client(&peer);
	assert_int_equal(plug_client_call(client, &request, NULL, NULL, &reply), PLUG_OK);
	assert_int_equal(reply->payload.size, 8 + 100000 + 3);
	assert_memory_equal(reply->payload.data, "one two ", 8);
	assert_memory_equal((const char *)reply->payload.data + 8, big, 100000);
	assert_memory_equal((const char *)reply->payload.data + 100008, "end", 3);
	assert_string_equal(reply->payload.content_type, "text/plain"); /* of the pieces */
	plug_reply_free(reply);
	plug_client_close(client);
	peer_stop(&peer);
	free(big);
}

static void
stream_until_cancelled(struct peer *peer)
{
	uint8_t *data;
	size_t size;
	uint64_t id, next;
	Plug__Envelope *env;

	peer_welcome(peer);
	id = take_call(peer, &data, &size);
	free(data);
	for (int i = 0; i < 3; i++)
		peer_reply(peer, (struct peer_reply){.id = id, .text = "x", .partial = true});
	env = peer_expect(peer, PLUG__ENVELOPE__BODY_CANCEL);
	MUST(env->id == id);
	MUST(env->cancel->reason == PLUG_ECANCELLED);
	plug_envelope_free(env);
	/* What was under way when the cancel came is no violation. */
	peer_reply(peer, (struct peer_reply){.id = id, .text = "late", .partial = true});
	peer_reply(peer, (struct peer_reply){.id = id, .outcome = PLUG_ECANCELLED});
	next = take_call(peer, &data, &size);
	free(data);
	peer_reply(peer, (struct peer_reply){.id = next, .text = "next"});
	MUST(!peer_receive(peer));
}

static bool
stop_at_second(const struct plug_payload *piece, void *user)
{
	int *count = user;

	(void)piece;
	return ++*count < 2;
}

static void
test_piece_callback_cancels(void **state)
{
	struct plug_request request = request_of("stream", NULL, 0);
	struct plug_reply *reply = NULL;
	struct plug_client *client;
	struct peer peer;
	int count = 0;

	(void)state;
	peer_start(&peer, stream_until_cancelled, NULL);
	client = peer_client(&peer);
	assert_int_equal(plug_client_call(client, &request, stop_at_second, &count, &reply),
			 PLUG_ECANCELLED);
	assert_int_equal(count, 2);
	plug_reply_free(reply);
	assert_int_equal(plug_client_call(client, &request, NULL, NULL, &reply), PLUG_OK);
	assert_memory_equal(reply->payload.data, "next", 4);
	plug_reply_free(reply);
	plug_client_close(client);
	peer_stop(&peer);
}

static void
nested(struct peer *peer)
{
	uint8_t *data;
	size_t size;
	uint64_t outer, inner;

	peer_welcome(peer);
	outer = take_call(peer, &data, &size);
	free(data);
	peer_reply(peer, (struct peer_reply){.id = outer, .text = "p", .partial = true});
	inner = take_call(peer, &data, &size);
	free(data);
	peer_reply(peer, (struct peer_reply){.id = outer, .text = "outer"});
	peer_reply(peer, (struct peer_reply){.id = inner, .text = "inner"});
	MUST(!peer_receive(peer));
}

static bool
call_again(const struct plug_payload *piece, void *user)
{
	struct plug_request request = request_of("inner", NULL, 0);
	struct plug_reply *reply = NULL;

	(void)piece;
	assert_int_equal(plug_client_call(user, &request, NULL, NULL, &reply), PLUG_OK);
	assert_memory_equal(reply->payload.data, "inner", 5);
	plug_reply_free(reply);
	return true;
}

static void
test_call_from_a_piece_callback(void **state)
{
	struct plug_request request = request_of("outer", NULL, 0);
	struct plug_reply *reply = NULL;
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start(&peer, nested, NULL);
	client = peer_client(&peer);
	assert_int_equal(plug_client_call(client, &request, call_again, client, &reply), PLUG_OK);
	assert_memory_equal(reply->payload.data, "outer", 5);
	plug_reply_free(reply);
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
		id = take_call(peer, &data, &size);
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
	id = take_call(peer, &data, &size);
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
		cmocka_unit_test(test_stream_in_pieces),
		cmocka_unit_test(test_stream_joined),
		cmocka_unit_test(test_piece_callback_cancels),
		cmocka_unit_test(test_call_from_a_piece_callback),
		cmocka_unit_test(test_reply_over_the_limit),
		cmocka_unit_test(test_deadline_of_a_silent_plugd),
		cmocka_unit_test(test_deadline_that_never_comes),
	};

	return cmocka_run_group_tests_name("client_calls", tests, NULL, NULL);
}
