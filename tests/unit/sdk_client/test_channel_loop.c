/* Calls of an event loop over a channel. */
#include <poll.h>

#include "loop.h"
#include "partner.h"

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

static void
echo(struct peer *peer)
{
	struct partner partner;

	partner_open(peer, &partner);
	partner_echo(&partner);
	partner_end(&partner);
}

static void
test_calls_in_a_row(void **state)
{
	struct plug_request request = request_of("echo", "hello", 5);
	struct outcome outcomes[100] = {{0}};
	struct fixture f;

	(void)state;
	start(&f, echo, NULL);
	for (int round = 1; round <= 3; round++) {
		for (int i = 0; i < 100; i++)
			loop_send_call(f.client, &request, &outcomes[i]);
		for (int i = 0; i < 100; i++) {
			loop_until(f.client, &outcomes[i].done, round);
			assert_int_equal(outcomes[i].err, PLUG_OK);
			assert_string_equal(outcomes[i].text, "hello");
		}
	}
	assert_int_equal(partner_stats(f.client).calls_data, 300);
	assert_int_equal(partner_stats(f.client).calls_control, 2);
	stop(&f);
}

struct chain {
	struct plug_client *client;
	int left, done;
};

static void
send_next(const struct plug_reply *reply, void *user)
{
	struct plug_request request = request_of("echo", "x", 1);
	struct chain *chain = user;

	assert_int_equal(reply->outcome, PLUG_OK);
	if (--chain->left == 0)
		chain->done = 1;
	else
		assert_int_equal(
			plug_client_send(chain->client, &request, NULL, send_next, chain, NULL),
			PLUG_OK);
}

static void
test_calls_from_callbacks(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	struct chain chain = {.left = 2000};
	struct fixture f;

	(void)state;
	start(&f, echo, NULL);
	chain.client = f.client;
	assert_int_equal(plug_client_send(f.client, &request, NULL, send_next, &chain, NULL),
			 PLUG_OK);
	loop_until(f.client, &chain.done, 1);
	stop(&f);
}

/* A caller that never waits, and never asks for the descriptor. */
static void
test_without_waiting(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	struct chain chain = {.left = 2000};
	uint64_t until = now_ms() + PEER_WAIT_MS;
	struct fixture f;

	(void)state;
	start(&f, echo, NULL);
	chain.client = f.client;
	assert_int_equal(plug_client_send(f.client, &request, NULL, send_next, &chain, NULL),
			 PLUG_OK);
	while (!chain.done) {
		assert_int_equal(plug_client_dispatch(f.client), PLUG_OK);
		assert_true(now_ms() < until);
	}
	stop(&f);
}

static void
answer_after_a_while(struct peer *peer)
{
	struct partner partner;
	uint64_t id;

	partner_open(peer, &partner);
	id = partner_expect(&partner, PLUGS_CALL).id;
	usleep(400000);
	partner_reply(&partner, id, "late");
	partner_echo(&partner);
	partner_end(&partner);
}

/* The loop is told of nothing while nothing happens. */
static void
test_waiting_costs_nothing(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	struct outcome outcome = {0};
	struct fixture f;
	int rounds = 0;

	(void)state;
	start(&f, answer_after_a_while, NULL);
	loop_send_call(f.client, &request, &outcome);
	for (; !outcome.done; rounds++) {
		struct pollfd ready = {.fd = plug_client_fd(f.client), .events = POLLIN};
		int wait_ms = plug_client_timeout_ms(f.client);

		assert_int_equal(plug_client_events(f.client), POLLIN);
		assert_in_range(wait_ms, 0, 1000); /* a deadline is pending: never for ever */
		assert_true(poll(&ready, 1, wait_ms) >= 0);
		assert_int_equal(plug_client_dispatch(f.client), PLUG_OK);
	}
	assert_string_equal(outcome.text, "late");
	assert_true(rounds < 2000);
	stop(&f);
}

static void
test_idle_is_quiet(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	struct outcome outcome = {0};
	struct fixture f;
	int rounds = 0;

	(void)state;
	start(&f, echo, NULL);
	loop_send_call(f.client, &request, &outcome);
	loop_until(f.client, &outcome.done, 1);
	while (true) {
		struct pollfd ready = {.fd = plug_client_fd(f.client), .events = POLLIN};

		assert_true(++rounds < 2000);
		if (poll(&ready, 1, 50) == 0)
			break;
		assert_int_equal(plug_client_dispatch(f.client), PLUG_OK);
	}
	assert_int_equal(plug_client_timeout_ms(f.client), -1);
	stop(&f);
}

/* ---- cancel, deadlines ---- */

static void
confirm_cancel(struct peer *peer)
{
	struct partner partner;
	struct plugs_message cancel;
	uint64_t id;

	partner_open(peer, &partner);
	id = partner_expect(&partner, PLUGS_CALL).id;
	cancel = partner_expect(&partner, PLUGS_CANCEL);
	MUST(cancel.id == id && cancel.code == PLUG_ECANCELLED);
	if (!peer->arg)
		partner_fail(&partner, id, PLUG_ECANCELLED, "as you like");
	partner_echo(&partner);
	partner_end(&partner);
}

static void
test_cancel(void **state)
{
	struct plug_request request = request_of("once", "x", 1);
	struct outcome outcome = {0};
	struct fixture f;
	uint64_t id;

	(void)state;
	start(&f, confirm_cancel, NULL);
	assert_int_equal(plug_client_send(f.client, &request, NULL, loop_on_done, &outcome, &id),
			 PLUG_OK);
	assert_int_equal(plug_client_cancel(f.client, id + 1), PLUG_ENOTFOUND);
	assert_int_equal(plug_client_cancel(f.client, id), PLUG_OK);
	assert_int_equal(plug_client_cancel(f.client, id), PLUG_OK);
	loop_until(f.client, &outcome.done, 1);
	assert_int_equal(outcome.err, PLUG_ECANCELLED);
	assert_string_equal(outcome.message, "as you like");
	assert_int_equal(plug_client_cancel(f.client, id), PLUG_ENOTFOUND);
	stop(&f);
}

static void
test_cancel_that_is_not_confirmed(void **state)
{
	struct plug_request request = request_of("once", "x", 1);
	uint64_t id, began = now_ms();
	struct outcome outcome = {0};
	struct fixture f;

	(void)state;
	start(&f, confirm_cancel, &f);
	assert_int_equal(plug_client_send(f.client, &request, NULL, loop_on_done, &outcome, &id),
			 PLUG_OK);
	assert_int_equal(plug_client_cancel(f.client, id), PLUG_OK);
	loop_until(f.client, &outcome.done, 1);
	assert_int_equal(outcome.err, PLUG_ECANCELLED);
	assert_non_null(strstr(outcome.message, "echo did not confirm it"));
	assert_in_range(now_ms() - began, 990, 5000);
	stop(&f);
}

static void
ignore_one(struct peer *peer)
{
	struct partner partner;

	partner_open(peer, &partner);
	partner_expect(&partner, PLUGS_CALL);
	MUST(partner_expect(&partner, PLUGS_CANCEL).code == PLUG_ETIMEOUT);
	partner_echo(&partner);
	partner_end(&partner);
}

static void
test_deadline(void **state)
{
	struct plug_request request = request_of("brief", "x", 1);
	struct outcome outcome = {0}, next = {0};
	struct fixture f;

	(void)state;
	start(&f, ignore_one, NULL);
	loop_send_call(f.client, &request, &outcome);
	loop_until(f.client, &outcome.done, 1);
	assert_int_equal(outcome.err, PLUG_ETIMEOUT);
	request.method = "echo";
	loop_send_call(f.client, &request, &next);
	loop_until(f.client, &next.done, 1);
	assert_int_equal(next.err, PLUG_OK);
	assert_int_equal(outcome.done, 1);
	stop(&f);
}

/* ---- more than is read ---- */

#define BIG   200000
#define MANY  100
#define QUEUE (4u * 1024 * 1024)

static void
read_late(struct peer *peer)
{
	struct partner partner;
	char go;
	const int *pipe_fd = peer->arg;

	partner_open(peer, &partner);
	MUST(read(*pipe_fd, &go, 1) == 1);
	for (int i = 0; i < MANY; i++) {
		uint64_t ids[MANY], id = 0;
		size_t sizes[MANY] = {0};
		struct plugs_message part;

		/* Calls take turns: whichever is complete first. */
		while (partner_take(&partner, &part)) {
			if (part.kind == PLUGS_CALL)
				ids[part.id % MANY] = part.id;
			sizes[part.id % MANY] += part.payload.size;
			id = part.id;
			if (sizes[id % MANY] == BIG) {
				partner_reply(&partner, ids[id % MANY], "read");
				sizes[id % MANY] = 0;
			}
		}
		break;
	}
	partner_end(&partner);
}

static void
test_queue_is_bounded(void **state)
{
	void *data = pattern(BIG, 1);
	struct plug_request request = request_of("echo", data, BIG);
	struct outcome outcomes[MANY] = {{0}};
	int accepted = 0, go[2];
	plug_err err = PLUG_OK;
	struct fixture f;

	(void)state;
	assert_int_equal(pipe(go), 0);
	start(&f, read_late, &go[0]);
	while (accepted < MANY) {
		err = plug_client_send(f.client, &request, NULL, loop_on_done, &outcomes[accepted],
				       NULL);
		if (err != PLUG_OK)
			break;
		accepted++;
	}
	assert_int_equal(err, PLUG_EOVERLOADED);
	assert_non_null(strstr(plug_client_error_text(f.client), "echo"));
	assert_in_range((size_t)accepted * BIG, QUEUE, QUEUE + 2 * BIG + PLUG_REGION_BYTES);
	assert_int_equal(write(go[1], "x", 1), 1);
	for (int i = 0; i < accepted; i++) {
		loop_until(f.client, &outcomes[i].done, 1);
		assert_int_equal(outcomes[i].err, PLUG_OK);
	}
	stop(&f);
	close(go[0]);
	close(go[1]);
	free(data);
}

/* What is still queued was never sent. */
static void
test_cancel_of_what_is_queued(void **state)
{
	void *data = pattern(BIG, 1);
	struct plug_request request = request_of("echo", data, BIG),
			    small = request_of("echo", "x", 1);
	struct outcome first = {0}, second = {0};
	struct fixture f;
	uint64_t id;
	int go[2];

	(void)state;
	assert_int_equal(pipe(go), 0);
	start(&f, read_late, &go[0]);
	loop_send_call(f.client, &request, &first);
	assert_int_equal(plug_client_send(f.client, &small, NULL, loop_on_done, &second, &id),
			 PLUG_OK);
	assert_int_equal(plug_client_cancel(f.client, id), PLUG_OK);
	loop_until(f.client, &second.done, 1);
	assert_int_equal(second.err, PLUG_ECANCELLED);
	assert_non_null(strstr(second.message, "before it was sent"));
	assert_int_equal(write(go[1], "x", 1), 1);
	loop_until(f.client, &first.done, 1);
	assert_int_equal(first.err, PLUG_OK);
	stop(&f);
	close(go[0]);
	close(go[1]);
	free(data);
}

/* ---- streams ---- */

static void
stream(struct peer *peer)
{
	static const uint8_t bytes[40000];
	struct partner partner;
	struct plugs_message piece = {
		.kind = PLUGS_REPLY, .partial = true, .payload = {bytes, sizeof(bytes)}};
	uint64_t credited = 0;

	partner_open(peer, &partner);
	piece.id = partner_expect(&partner, PLUGS_CALL).id;
	for (unsigned posted = 0; posted < 30; posted++) {
		while ((posted + 1) * sizeof(bytes) > PLUG_WINDOW_BYTES + credited)
			credited += partner_expect(&partner, PLUGS_CREDIT).credit;
		partner_post(&partner, &piece);
	}
	partner_reply(&partner, piece.id, "end");
	partner_echo(&partner);
	partner_end(&partner);
}

static void
test_stream(void **state)
{
	struct plug_request request = request_of("stream", "x", 1);
	struct outcome outcome = {0};
	struct fixture f;

	(void)state;
	start(&f, stream, NULL);
	loop_send_call(f.client, &request, &outcome);
	loop_until(f.client, &outcome.done, 1);
	assert_int_equal(outcome.err, PLUG_OK);
	assert_int_equal(outcome.pieces, 30);
	assert_string_equal(outcome.text, "end");
	stop(&f);
}

/* ---- the end ---- */

static void
never_answer(struct peer *peer)
{
	struct partner partner;

	partner_open(peer, &partner);
	partner_await_close(&partner);
	partner_end(&partner);
}

static void
test_close_ends_calls(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	unsigned before = partner_count_fds();
	struct outcome outcomes[10] = {{0}};
	struct fixture f;

	(void)state;
	start(&f, never_answer, NULL);
	for (int i = 0; i < 10; i++)
		loop_send_call(f.client, &request, &outcomes[i]);
	stop(&f);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(outcomes[i].done, 1);
		assert_int_equal(outcomes[i].err, PLUG_ECANCELLED);
	}
	assert_int_equal(partner_count_fds(), before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls_in_a_row),
		cmocka_unit_test(test_calls_from_callbacks),
		cmocka_unit_test(test_without_waiting),
		cmocka_unit_test(test_waiting_costs_nothing),
		cmocka_unit_test(test_idle_is_quiet),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_cancel_that_is_not_confirmed),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_queue_is_bounded),
		cmocka_unit_test(test_cancel_of_what_is_queued),
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_close_ends_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
