/* Streamed replies to blocking calls. */
#include "peer.h"

static void
stream(struct peer *peer)
{
	uint8_t *data;
	size_t size;
	uint64_t id;
	void *big = pattern(100000, 5);

	peer_welcome(peer);
	id = peer_take_call(peer, &data, &size);
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
	id = peer_take_call(peer, &data, &size);
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
	next = peer_take_call(peer, &data, &size);
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
	outer = peer_take_call(peer, &data, &size);
	free(data);
	peer_reply(peer, (struct peer_reply){.id = outer, .text = "p", .partial = true});
	inner = peer_take_call(peer, &data, &size);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stream_in_pieces),
		cmocka_unit_test(test_stream_joined),
		cmocka_unit_test(test_piece_callback_cancels),
		cmocka_unit_test(test_call_from_a_piece_callback),
	};

	return cmocka_run_group_tests_name("client_streams", tests, NULL, NULL);
}
