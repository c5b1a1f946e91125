/* A plugd that says what it must not, or goes away.  Every call still ends once, with the right
 * outcome, and the handle can be used on. */
#include "peer.h"

#include <sys/socket.h>

static uint64_t
call_id(struct peer *peer)
{
	Plug__Envelope *env = peer_expect(peer, PLUG__ENVELOPE__BODY_CALL);
	uint64_t id = env->id;

	plug_envelope_free(env);
	return id;
}

static void
answer(struct peer *peer)
{
	peer_reply(peer, (struct peer_reply){.id = call_id(peer), .text = "fine"});
}

/* ---- malformed ---- */

static void
say_garbage(struct peer *peer, uint64_t id)
{
	(void)id;
	peer_send_bytes(peer, "\xff\xff\xff\xff\xff\xff", 6);
}

static void
say_too_long(struct peer *peer, uint64_t id)
{
	void *data = pattern(PLUG_MESSAGE_BYTES + 1, 1);

	(void)id;
	peer_send_bytes(peer, data, PLUG_MESSAGE_BYTES + 1);
	free(data);
}

static void
say_nothing_known(struct peer *peer, uint64_t id)
{
	(void)id;
	peer_send_bytes(peer, "\x08\x01", 2); /* an Envelope with an id and no body */
}

static void
say_call(struct peer *peer, uint64_t id)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__Call call = PLUG__CALL__INIT;

	env.id = id;
	env.body_case = PLUG__ENVELOPE__BODY_CALL;
	env.call = &call;
	peer_send(peer, &env);
}

static void
say_welcome_again(struct peer *peer, uint64_t id)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__ClientWelcome welcome = PLUG__CLIENT_WELCOME__INIT;

	(void)id;
	env.body_case = PLUG__ENVELOPE__BODY_CLIENT_WELCOME;
	env.client_welcome = &welcome;
	welcome.protocol = PLUG_PROTOCOL_MAX;
	peer_send(peer, &env);
}

static void
say_chunk_first(struct peer *peer, uint64_t id)
{
	peer_chunk(peer, id, "x", 1, false);
}

static void
say_reply_within_reply(struct peer *peer, uint64_t id)
{
	peer_reply(peer, (struct peer_reply){.id = id, .text = "half", .more = true});
	peer_reply(peer, (struct peer_reply){.id = id, .text = "other"});
}

static void
say_response_to_call(struct peer *peer, uint64_t id)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__Response response = PLUG__RESPONSE__INIT;

	env.id = id;
	env.body_case = PLUG__ENVELOPE__BODY_RESPONSE;
	env.response = &response;
	peer_send(peer, &env);
}

static const struct {
	const char *label;
	void (*say)(struct peer *peer, uint64_t id);
} violations[] = {
	{"garbage", say_garbage},
	{"a packet above 64 KiB", say_too_long},
	{"an envelope without a body", say_nothing_known},
	{"a call", say_call},
	{"a second welcome", say_welcome_again},
	{"a chunk of nothing", say_chunk_first},
	{"a reply inside a reply", say_reply_within_reply},
	{"a response to a call", say_response_to_call},
};

static void
violate_then_behave(struct peer *peer)
{
	const size_t *which = peer->arg;

	peer_welcome(peer);
	violations[*which].say(peer, call_id(peer));
	MUST(!peer_receive(peer)); /* the client closes */
	peer_welcome(peer);
	answer(peer);
	MUST(!peer_receive(peer));
}

static void
test_violation_ends_the_connection_only(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(violations) / sizeof(*violations); i++) {
		struct plug_request request = request_of("echo", "x", 1);
		struct plug_reply *reply = NULL;
		struct plug_client *client;
		struct peer peer;

		print_message("  %s\n", violations[i].label);
		peer_start(&peer, violate_then_behave, &i);
		client = peer_client(&peer);
		assert_int_equal(plug_client_call(client, &request, NULL, NULL, &reply),
				 PLUG_EPROTO);
		assert_true(*reply->message);
		plug_reply_free(reply);
		assert_int_equal(plug_client_call(client, &request, NULL, NULL, &reply), PLUG_OK);
		assert_memory_equal(reply->payload.data, "fine", 4);
		plug_reply_free(reply);
		plug_client_close(client);
		peer_stop(&peer);
	}
}

static void
unknown_ids(struct peer *peer)
{
	uint64_t id;

	peer_welcome(peer);
	id = call_id(peer);
	peer_reply(peer, (struct peer_reply){.id = id + 1000, .text = "not yours"});
	peer_reply(peer, (struct peer_reply){.id = 0, .text = "nobody's"});
	peer_chunk(peer, id + 1000, "x", 1, true);
	peer_reply(peer, (struct peer_reply){.id = id, .text = "fine"});
	MUST(!peer_receive(peer));
}

static void
test_unknown_ids_are_ignored(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	struct plug_reply *reply = NULL;
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start(&peer, unknown_ids, NULL);
	client = peer_client(&peer);
	assert_int_equal(plug_client_call(client, &request, NULL, NULL, &reply), PLUG_OK);
	assert_memory_equal(reply->payload.data, "fine", 4);
	plug_reply_free(reply);
	plug_client_close(client);
	peer_stop(&peer);
}

/* ---- death ---- */

static void
die_after_call(struct peer *peer)
{
	peer_welcome(peer);
	call_id(peer);
	peer_welcome(peer); /* closes first */
	answer(peer);
	MUST(!peer_receive(peer));
}

static void
test_death_after_the_call_is_gone(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	struct plug_reply *reply = NULL;
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start(&peer, die_after_call, NULL);
	client = peer_client(&peer);
	assert_int_equal(plug_client_call(client, &request, NULL, NULL, &reply), PLUG_EGONE);
	assert_non_null(strstr(reply->message, "may have been executed"));
	plug_reply_free(reply);
	assert_int_equal(plug_client_call(client, &request, NULL, NULL, NULL), PLUG_OK);
	plug_client_close(client);
	peer_stop(&peer);
}

static void
restart_while_idle(struct peer *peer)
{
	int *went = peer->arg;

	peer_welcome(peer);
	answer(peer);
	peer_close(peer);
	MUST(write(went[1], "x", 1) == 1);
	peer_welcome(peer);
	answer(peer);
	MUST(!peer_receive(peer));
}

static void
test_restart_between_calls_is_not_noticed(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	struct plug_client *client;
	struct peer peer;
	int went[2];
	char c;

	(void)state;
	assert_int_equal(pipe(went), 0);
	peer_start(&peer, restart_while_idle, went);
	client = peer_client(&peer);
	assert_int_equal(plug_client_call(client, &request, NULL, NULL, NULL), PLUG_OK);
	assert_int_equal(read(went[0], &c, 1), 1);
	assert_int_equal(plug_client_call(client, &request, NULL, NULL, NULL), PLUG_OK);
	plug_client_close(client);
	peer_stop(&peer);
	close(went[0]);
	close(went[1]);
}

static void
leave_for_good(struct peer *peer)
{
	peer_welcome(peer);
	answer(peer);
	unlink(peer->path);
}

static void
test_no_plugd_any_more(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	struct plug_reply *reply = NULL;
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start(&peer, leave_for_good, NULL);
	client = peer_client(&peer);
	assert_int_equal(plug_client_call(client, &request, NULL, NULL, NULL), PLUG_OK);
	pthread_join(peer.thread, NULL);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(plug_client_call(client, &request, NULL, NULL, &reply),
				 PLUG_EUNREACHABLE);
		assert_non_null(strstr(reply->message, "No such file"));
		plug_reply_free(reply);
	}
	plug_client_close(client);
	close(peer.listener);
	rmdir(peer.dir);
}

/* The reply and the end come together: the reply counts. */
static void
answer_and_die(struct peer *peer)
{
	peer_welcome(peer);
	answer(peer);
}

static void
test_reply_before_the_end_is_not_lost(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++) {
		struct plug_request request = request_of("echo", "x", 1);
		struct plug_client *client;
		struct peer peer;

		peer_start(&peer, answer_and_die, NULL);
		client = peer_client(&peer);
		assert_int_equal(plug_client_call(client, &request, NULL, NULL, NULL), PLUG_OK);
		plug_client_close(client);
		peer_stop(&peer);
	}
}

/* Refuses a long call by its first message and closes with the rest unread: the kernel reports
 * ECONNRESET before the reply. */
static void
answer_early_and_die(struct peer *peer)
{
	peer_welcome(peer);
	peer_reply(peer, (struct peer_reply){.id = call_id(peer),
					     .outcome = PLUG_ENOTFOUND,
					     .message = "no plugin \"echo\""});
}

static void
test_early_refusal_before_the_end_is_not_lost(void **state)
{
	void *data = pattern(PLUG_CALL_BYTES, 1);

	(void)state;
	for (int i = 0; i < 50; i++) {
		struct plug_request request = request_of("echo", data, PLUG_CALL_BYTES);
		struct plug_client *client;
		struct peer peer;

		peer_start(&peer, answer_early_and_die, NULL);
		client = peer_client(&peer);
		assert_int_equal(plug_client_call(client, &request, NULL, NULL, NULL),
				 PLUG_ENOTFOUND);
		plug_client_close(client);
		peer_stop(&peer);
	}
	free(data);
}

/* Dies in the middle of a long call, which it therefore cannot have executed: sent again. */
static void
die_in_the_middle(struct peer *peer)
{
	Plug__Envelope *env;
	size_t size;

	peer_welcome(peer);
	call_id(peer);
	peer_welcome(peer);
	env = peer_expect(peer, PLUG__ENVELOPE__BODY_CALL);
	MUST(env->call->more);
	size = env->call->payload.len;
	for (bool more = true; more;) {
		uint64_t id = env->id;

		plug_envelope_free(env);
		env = peer_expect(peer, PLUG__ENVELOPE__BODY_CHUNK);
		MUST(env->id == id);
		size += env->chunk->data.len;
		more = !env->chunk->last;
	}
	MUST(size == PLUG_CALL_BYTES);
	peer_reply(peer, (struct peer_reply){.id = env->id, .text = "whole"});
	plug_envelope_free(env);
	MUST(!peer_receive(peer));
}

static void
test_half_sent_call_is_sent_again(void **state)
{
	void *data = pattern(PLUG_CALL_BYTES, 1);
	struct plug_request request = request_of("echo", data, PLUG_CALL_BYTES);
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start(&peer, die_in_the_middle, NULL);
	client = peer_client(&peer);
	assert_int_equal(plug_client_call(client, &request, NULL, NULL, NULL), PLUG_OK);
	plug_client_close(client);
	peer_stop(&peer);
	free(data);
}

/* Once: a plugd that dies of it every time is not fed for ever. */
static void
die_of_it_always(struct peer *peer)
{
	for (int i = 0; i < 2; i++) {
		peer_welcome(peer);
		call_id(peer);
	}
}

static void
test_half_sent_call_is_sent_again_once(void **state)
{
	void *data = pattern(PLUG_CALL_BYTES, 1);
	struct plug_request request = request_of("echo", data, PLUG_CALL_BYTES);
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start(&peer, die_of_it_always, NULL);
	client = peer_client(&peer);
	assert_int_equal(plug_client_call(client, &request, NULL, NULL, NULL), PLUG_EUNREACHABLE);
	plug_client_close(client);
	peer_stop(&peer);
	free(data);
}

static void
wrong_protocol(struct peer *peer)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__ClientWelcome welcome = PLUG__CLIENT_WELCOME__INIT;

	peer_accept(peer);
	plug_envelope_free(peer_receive(peer));
	env.body_case = PLUG__ENVELOPE__BODY_CLIENT_WELCOME;
	env.client_welcome = &welcome;
	welcome.protocol = PLUG_PROTOCOL_MAX + 1;
	peer_send(peer, &env);
	MUST(!peer_receive(peer));
}

static void
test_welcome_with_a_protocol_not_offered(void **state)
{
	struct plug_client_config config = {.size = sizeof(config)};
	struct plug_client *client = NULL;
	struct peer peer;

	(void)state;
	peer_start(&peer, wrong_protocol, NULL);
	config.runtime_dir = peer.dir;
	assert_int_equal(plug_client_open(&config, &client), PLUG_EPROTO);
	assert_null(client);
	peer_stop(&peer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_violation_ends_the_connection_only),
		cmocka_unit_test(test_unknown_ids_are_ignored),
		cmocka_unit_test(test_death_after_the_call_is_gone),
		cmocka_unit_test(test_restart_between_calls_is_not_noticed),
		cmocka_unit_test(test_no_plugd_any_more),
		cmocka_unit_test(test_reply_before_the_end_is_not_lost),
		cmocka_unit_test(test_early_refusal_before_the_end_is_not_lost),
		cmocka_unit_test(test_half_sent_call_is_sent_again),
		cmocka_unit_test(test_half_sent_call_is_sent_again_once),
		cmocka_unit_test(test_welcome_with_a_protocol_not_offered),
	};

	return cmocka_run_group_tests_name("client_damage", tests, NULL, NULL);
}
