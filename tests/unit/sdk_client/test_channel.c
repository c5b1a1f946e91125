/* Calls over a channel, with a plugin that keeps to the rules. */
#include "loop.h"
#include "partner.h"
#include "plane.h"

struct fixture {
	struct peer peer;
	struct plug_client *client;
};

static void
start(struct fixture *f, peer_script script, void *arg)
{
	peer_start(&f->peer, script, arg);
	f->client = peer_client(&f->peer);
	partner_warm_up(f->client);
}

static void
stop(struct fixture *f)
{
	plug_client_close(f->client);
	peer_stop(&f->peer);
}

static plug_err
call_text(struct plug_client *client, const char *method, const char *text, struct plug_reply **ret)
{
	struct plug_request request = request_of(method, text, strlen(text));

	return plug_client_call(client, &request, NULL, NULL, ret);
}

static void
expect_reply(struct plug_client *client, const char *method, const char *text)
{
	struct plug_reply *reply = NULL;

	assert_int_equal(call_text(client, method, "x", &reply), PLUG_OK);
	assert_int_equal(reply->payload.size, strlen(text));
	assert_memory_equal(reply->payload.data, text, strlen(text));
	assert_string_equal(reply->payload.content_type, "text/plain");
	assert_string_equal(reply->message, "");
	plug_reply_free(reply);
}

/* ---- one after the other ---- */

static void
three_calls(struct peer *peer)
{
	struct partner partner;

	partner_open(peer, &partner);
	for (uint64_t id = 1; id <= 3; id++) {
		struct plugs_message call = partner_expect(&partner, PLUGS_CALL);

		MUST(call.id == id);
		MUST(call.method.size == 4 && memcmp(call.method.data, "echo", 4) == 0);
		MUST(call.content_type.size == 16);
		MUST(call.timeout_us == 20000000); /* of the grant */
		MUST(!call.more && call.payload.size == 1);
		partner_reply(&partner, id, id == 1 ? "one" : id == 2 ? "" : "three");
	}
	partner_await_close(&partner);
	MUST(partner.over_plugd == 2);
	partner_end(&partner);
}

static void
test_calls(void **state)
{
	unsigned before = partner_count_fds();
	struct fixture f;

	(void)state;
	start(&f, three_calls, NULL);
	expect_reply(f.client, "echo", "one");
	expect_reply(f.client, "echo", "");
	expect_reply(f.client, "echo", "three");
	assert_int_equal(partner_stats(f.client).calls_control, 2);
	assert_int_equal(partner_stats(f.client).calls_data, 3);
	assert_int_equal(partner_stats(f.client).channels_open, 1);
	stop(&f);
	assert_int_equal(partner_count_fds(), before);
}

/* ---- how long a caller looks ---- */

static uint64_t
budget_us(uint32_t spin_us)
{
	struct peer peer;
	struct plug_client *client;
	uint64_t ns;

	peer_start(&peer, peer_welcome, NULL);
	client = peer_client_with(&peer, (struct plug_client_config){.spin_us = spin_us});
	ns = client->spin_ns;
	plug_client_close(client);
	peer_stop(&peer);
	return ns / 1000;
}

static void
test_the_configuration_sets_the_budget(void **state)
{
	bool one = plugs_processors("/proc/self/cgroup", "/sys/fs/cgroup") < 2; /* nobody spins */

	(void)state;
	assert_int_equal(budget_us(0), one ? 0 : PLUGS_SPIN_US);
	assert_int_equal(budget_us(7), one ? 0 : 7);
	assert_int_equal(budget_us(PLUG_SPIN_NEVER), 0);
	setenv(PLUG_ENV_SPIN_US, "3", 1);
	assert_int_equal(budget_us(PLUG_SPIN_NEVER), one ? 0 : 3);
	unsetenv(PLUG_ENV_SPIN_US);
}

/* ---- long ones ---- */

/* In pieces, as far ahead of the reader as its window allows. */
static void
reply_long(struct partner *partner, uint64_t id, const uint8_t *data, size_t size, size_t piece)
{
	uint64_t credited = 0;

	for (size_t posted = 0, now; posted < size; posted += now) {
		struct plugs_message message = {.kind = posted ? PLUGS_CHUNK : PLUGS_REPLY,
						.id = id};

		now = size - posted < piece ? size - posted : piece;
		message.payload = (struct plugs_bytes){data + posted, now};
		message.more = !posted && now < size;
		message.last = posted && posted + now == size;
		while (posted + now > PLUG_WINDOW_BYTES + credited) {
			struct plugs_message credit = partner_expect(partner, PLUGS_CREDIT);

			credited += credit.id == id ? credit.credit : 0;
		}
		partner_post(partner, &message);
	}
}

static void
echo_long(struct peer *peer)
{
	struct partner partner;
	uint8_t *data;
	size_t size;
	uint64_t id;

	partner_open_on(peer, &partner, *(struct partner_terms *)peer->arg);
	for (int i = 0; i < 2; i++) {
		id = partner_take_call(&partner, &data, &size);
		reply_long(&partner, id, data, size, i ? PLUG_CHUNK_BYTES / 3 : 10000);
		free(data);
	}
	partner_await_close(&partner);
	partner_end(&partner);
}

static void
test_long_calls(void **state)
{
	static const size_t sizes[] = {20000, 49000, 60000, 1000000, PLUG_CALL_BYTES};
	struct partner_terms terms = {.region_bytes = 0};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		void *data = pattern(sizes[i], (unsigned)i);
		struct plug_request request = request_of("echo", data, sizes[i]);
		struct plug_reply *reply;
		struct fixture f;

		start(&f, echo_long, &terms);
		for (int round = 0; round < 2; round++) {
			assert_int_equal(plug_client_call(f.client, &request, NULL, NULL, &reply),
					 PLUG_OK);
			assert_int_equal(reply->payload.size, sizes[i]);
			assert_memory_equal(reply->payload.data, data, sizes[i]);
			plug_reply_free(reply);
		}
		assert_int_equal(partner_stats(f.client).calls_control, 2);
		stop(&f);
		free(data);
	}
}

static void
nothing_comes(struct peer *peer)
{
	struct partner partner;

	partner_open_on(peer, &partner, *(struct partner_terms *)peer->arg);
	partner_await_close(&partner);
	partner_end(&partner);
}

static void
test_too_large_for_the_grant(void **state)
{
	struct partner_terms terms = {.call_bytes = 1000};
	void *data = pattern(1001, 1);
	struct plug_request request = request_of("echo", data, 1001);
	struct plug_reply *reply = NULL;
	struct fixture f;

	(void)state;
	start(&f, nothing_comes, &terms);
	assert_int_equal(plug_client_call(f.client, &request, NULL, NULL, &reply), PLUG_ETOOLARGE);
	assert_null(reply);
	assert_non_null(strstr(plug_client_error_text(f.client), "at most 1000"));
	stop(&f);
	free(data);
}

static void
answer_too_long(struct peer *peer)
{
	struct partner partner;
	struct plugs_message piece = {.kind = PLUGS_REPLY, .more = true};
	uint8_t bytes[600] = {0};

	partner_open_on(peer, &partner, *(struct partner_terms *)peer->arg);
	piece.id = partner_expect(&partner, PLUGS_CALL).id;
	piece.payload = (struct plugs_bytes){bytes, sizeof(bytes)};
	partner_post(&partner, &piece);
	piece.kind = PLUGS_CHUNK;
	partner_post(&partner, &piece);
	MUST(partner_expect(&partner, PLUGS_CANCEL).id == piece.id);
	piece.last = true; /* what has begun is ended, without the rest */
	piece.payload.size = 0;
	partner_post(&partner, &piece);
	partner_reply(&partner, partner_expect(&partner, PLUGS_CALL).id, "next");
	partner_await_close(&partner);
	partner_end(&partner);
}

static void
test_reply_too_large(void **state)
{
	struct partner_terms terms = {.call_bytes = 1000};
	struct plug_reply *reply;
	struct fixture f;

	(void)state;
	start(&f, answer_too_long, &terms);
	assert_int_equal(call_text(f.client, "echo", "x", &reply), PLUG_ETOOLARGE);
	assert_non_null(strstr(reply->message, "1000 bytes"));
	plug_reply_free(reply);
	expect_reply(f.client, "echo", "next"); /* the channel goes on */
	assert_int_equal(partner_stats(f.client).violations, 0);
	stop(&f);
}

/* ---- failures ---- */

static void
answer_failures(struct peer *peer)
{
	struct partner partner;

	partner_open(peer, &partner);
	partner_fail(&partner, partner_expect(&partner, PLUGS_CALL).id, PLUG_ENOMETHOD,
		     "no \xff\n");
	partner_fail(&partner, partner_expect(&partner, PLUGS_CALL).id, PLUG_EPLUGIN, "");
	partner_await_close(&partner);
	partner_end(&partner);
}

static void
test_failures_have_texts(void **state)
{
	struct plug_reply *reply;
	struct fixture f;

	(void)state;
	start(&f, answer_failures, NULL);
	assert_int_equal(call_text(f.client, "other", "x", &reply), PLUG_ENOMETHOD);
	assert_string_equal(reply->message, "no ?\n"); /* made text */
	assert_string_equal(plug_client_error_text(f.client), "no ?\n");
	assert_int_equal(reply->payload.size, 0);
	plug_reply_free(reply);
	assert_int_equal(call_text(f.client, "echo", "x", &reply), PLUG_EPLUGIN);
	assert_string_equal(reply->message, plug_err_text(PLUG_EPLUGIN));
	plug_reply_free(reply);
	stop(&f);
}

/* ---- deadlines and cancels ---- */

static void
answer_late(struct peer *peer)
{
	struct partner partner;
	struct plugs_message call, cancel;

	partner_open(peer, &partner);
	call = partner_expect(&partner, PLUGS_CALL);
	MUST(call.timeout_us == *(uint64_t *)peer->arg * 1000);
	cancel = partner_expect(&partner, PLUGS_CANCEL);
	MUST(cancel.id == call.id && cancel.code == PLUG_ETIMEOUT);
	partner_reply(&partner, call.id, "too late"); /* nobody waits: no harm */
	partner_reply(&partner, partner_expect(&partner, PLUGS_CALL).id, "next");
	partner_await_close(&partner);
	partner_end(&partner);
}

static void
test_deadline_of_the_method(void **state)
{
	uint64_t timeout_ms = 100, began;
	struct plug_reply *reply;
	struct fixture f;

	(void)state;
	start(&f, answer_late, &timeout_ms);
	began = now_ms();
	assert_int_equal(call_text(f.client, "brief", "x", &reply), PLUG_ETIMEOUT);
	assert_in_range(now_ms() - began, 1090, 5000); /* and the grace */
	assert_non_null(strstr(reply->message, "echo did not answer within 100 ms"));
	plug_reply_free(reply);
	expect_reply(f.client, "echo", "next");
	stop(&f);
}

static void
test_deadline_of_the_caller(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	uint64_t timeout_ms = 50, began;
	struct fixture f;

	(void)state;
	start(&f, answer_late, &timeout_ms);
	request.timeout_ms = 50;
	began = now_ms();
	assert_int_equal(plug_client_call(f.client, &request, NULL, NULL, NULL), PLUG_ETIMEOUT);
	assert_in_range(now_ms() - began, 1040, 5000);
	expect_reply(f.client, "echo", "next");
	stop(&f);
}

/* ---- streams ---- */

static void
post_piece(struct partner *partner, uint64_t id, const void *data, size_t size)
{
	partner_post(partner, &(struct plugs_message){.kind = PLUGS_REPLY,
						      .id = id,
						      .partial = true,
						      .payload = {data, size}});
}

static void
stream(struct peer *peer)
{
	struct partner partner;
	struct plugs_message end = {.kind = PLUGS_REPLY, .payload = partner_bytes("end")};
	static uint8_t bytes[40000];
	uint64_t credited = 0;

	partner_open(peer, &partner);
	end.id = partner_expect(&partner, PLUGS_CALL).id;
	post_piece(&partner, end.id, "one ", 4);
	post_piece(&partner, end.id, "", 0);
	for (unsigned posted = 0; posted < 20; posted++) {
		while ((posted + 1) * sizeof(bytes) + 4 > PLUG_WINDOW_BYTES + credited)
			credited += partner_expect(&partner, PLUGS_CREDIT).credit;
		post_piece(&partner, end.id, bytes, sizeof(bytes));
	}
	partner_post(&partner, &end);
	partner_await_close(&partner);
	partner_end(&partner);
}

struct seen {
	unsigned pieces, stop_at;
	size_t bytes;
};

static bool
on_piece(const struct plug_payload *piece, void *user)
{
	struct seen *seen = user;

	seen->pieces++;
	seen->bytes += piece->size;
	return seen->pieces != seen->stop_at;
}

static void
test_stream_in_pieces(void **state)
{
	struct plug_request request = request_of("stream", "x", 1);
	struct seen seen = {0};
	struct plug_reply *reply;
	struct fixture f;

	(void)state;
	start(&f, stream, NULL);
	assert_int_equal(plug_client_call(f.client, &request, on_piece, &seen, &reply), PLUG_OK);
	assert_int_equal(seen.pieces, 22);
	assert_int_equal(seen.bytes, 4 + 20 * 40000);
	assert_int_equal(reply->payload.size, 3);
	plug_reply_free(reply);
	stop(&f);
}

static void
test_stream_joined(void **state)
{
	struct plug_request request = request_of("stream", "x", 1);
	struct plug_reply *reply;
	struct fixture f;

	(void)state;
	start(&f, stream, NULL);
	assert_int_equal(plug_client_call(f.client, &request, NULL, NULL, &reply), PLUG_OK);
	assert_int_equal(reply->payload.size, 4 + 20 * 40000 + 3);
	assert_memory_equal(reply->payload.data, "one ", 4);
	assert_memory_equal((const char *)reply->payload.data + 4 + 20 * 40000, "end", 3);
	plug_reply_free(reply);
	stop(&f);
}

static void
stream_until_cancelled(struct peer *peer)
{
	struct partner partner;
	struct plugs_message cancel;
	uint64_t id;

	partner_open(peer, &partner);
	id = partner_expect(&partner, PLUGS_CALL).id;
	for (int i = 0; i < 5; i++)
		post_piece(&partner, id, "x", 1);
	cancel = partner_expect(&partner, PLUGS_CANCEL);
	MUST(cancel.id == id && cancel.code == PLUG_ECANCELLED);
	post_piece(&partner, id, "late", 4); /* was under way */
	partner_fail(&partner, id, PLUG_ECANCELLED, "");
	partner_reply(&partner, partner_expect(&partner, PLUGS_CALL).id, "next");
	partner_await_close(&partner);
	partner_end(&partner);
}

static void
test_piece_callback_cancels(void **state)
{
	struct plug_request request = request_of("stream", "x", 1);
	struct seen seen = {.stop_at = 2};
	struct fixture f;

	(void)state;
	start(&f, stream_until_cancelled, NULL);
	assert_int_equal(plug_client_call(f.client, &request, on_piece, &seen, NULL),
			 PLUG_ECANCELLED);
	assert_int_equal(seen.pieces, 2);
	expect_reply(f.client, "echo", "next");
	assert_int_equal(partner_stats(f.client).violations, 0);
	stop(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_the_configuration_sets_the_budget),
		cmocka_unit_test(test_long_calls),
		cmocka_unit_test(test_too_large_for_the_grant),
		cmocka_unit_test(test_reply_too_large),
		cmocka_unit_test(test_failures_have_texts),
		cmocka_unit_test(test_deadline_of_the_method),
		cmocka_unit_test(test_deadline_of_the_caller),
		cmocka_unit_test(test_stream_in_pieces),
		cmocka_unit_test(test_stream_joined),
		cmocka_unit_test(test_piece_callback_cancels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
