/* What becomes of calls when their plugin is replaced, or dies. */
#include "loop.h"
#include "partner.h"

static void
call_of(struct plug_client *client, const char *method, plug_err expected, const char *text)
{
	struct plug_request request = request_of(method, "x", 1);
	struct plug_reply *reply = NULL;

	assert_int_equal(plug_client_call(client, &request, NULL, NULL, &reply), expected);
	assert_non_null(reply);
	if (expected == PLUG_OK) {
		assert_int_equal(reply->payload.size, strlen(text));
		assert_memory_equal(reply->payload.data, text, strlen(text));
	} else {
		assert_non_null(strstr(reply->message, text));
	}
	plug_reply_free(reply);
}

/* One call, with what the script does about it; what it has to end with. */
struct play {
	peer_script script;
	const char *method;
	plug_err expected;
	const char *text;
	uint64_t over_plugd, resends, moves, violations; /* moves UINT64_MAX: any */
};

static void
run(const struct play *play)
{
	unsigned before = partner_count_fds();
	struct plug_client_stats stats;
	struct plug_client *client;
	struct peer peer;

	peer_start(&peer, play->script, NULL);
	client = peer_client(&peer);
	partner_warm_up(client);
	call_of(client, play->method, play->expected, play->text);
	stats = partner_stats(client);
	assert_int_equal(stats.calls_control, 2 + play->over_plugd);
	assert_int_equal(stats.resends, play->resends);
	if (play->moves != UINT64_MAX)
		assert_int_equal(stats.moves, play->moves);
	assert_int_equal(stats.violations, play->violations);
	plug_client_close(client);
	peer_stop(&peer);
	assert_int_equal(partner_count_fds(), before);
}

/* ---- told to move ---- */

/* The call is in the ring when the plugin closes before it. */
static void
closes_before_it(struct peer *peer)
{
	struct partner partner;

	partner_open(peer, &partner);
	partner.refusal = PLUG_EUNAVAILABLE;
	partner_expect(&partner, PLUGS_CALL);
	partner_set_status(&partner, PLUG_STATUS_MOVED);
	partner_set_closed_at(&partner, 1);
	partner_await_close(&partner);
	partner_end(&partner);
	partner_await_end(&partner);
	MUST(partner.over_plugd == 3);
	MUST(!partner.again); /* nobody has executed it */
}

static void
test_not_taken_goes_elsewhere(void **state)
{
	(void)state;
	run(&(struct play){closes_before_it, "once", PLUG_OK, "plugd", 1, 1, 1, 0});
}

static void
closes_behind_it(struct peer *peer)
{
	struct partner partner;
	uint64_t id;

	partner_open(peer, &partner);
	id = partner_expect(&partner, PLUGS_CALL).id;
	partner_set_status(&partner, PLUG_STATUS_MOVED);
	partner_set_closed_at(&partner, 2);
	usleep(20000);
	partner_reply(&partner, id, "finished here");
	partner_await_close(&partner);
	partner_end(&partner);
	partner_await_end(&partner);
}

static void
test_taken_is_finished_there(void **state)
{
	(void)state;
	run(&(struct play){closes_behind_it, "once", PLUG_OK, "finished here", 0, 0, 1, 0});
}

static void
moves_without_closing(struct peer *peer)
{
	struct partner partner;
	uint64_t id;

	partner_open(peer, &partner);
	id = partner_expect(&partner, PLUGS_CALL).id;
	partner_set_status(&partner, PLUG_STATUS_MOVED);
	partner_reply(&partner, id, "finished here");
	partner_await_close(&partner); /* nothing is left for it */
	partner_end(&partner);
	partner_await_end(&partner);
}

static void
test_moved_without_closed_at(void **state)
{
	(void)state;
	run(&(struct play){moves_without_closing, "once", PLUG_OK, "finished here", 0, 0,
			   UINT64_MAX, 0}); /* it may be noticed with the next call only */
}

/* closed_at means nothing while plugd says that the process is to be called. */
static void
scribbles(struct peer *peer)
{
	struct partner partner;

	partner_open(peer, &partner);
	partner.refusal = PLUG_EUNAVAILABLE;
	partner_expect(&partner, PLUGS_CALL);
	partner_set_closed_at(&partner, 1);
	usleep(150000);
	MUST(partner.over_plugd == 2);
	partner_set_status(&partner, PLUG_STATUS_MOVED);
	partner_wake(&partner);
	partner_await_close(&partner);
	partner_end(&partner);
	partner_await_end(&partner);
	MUST(partner.over_plugd == 3);
}

static void
test_closed_at_of_the_living(void **state)
{
	uint64_t began = now_ms();

	(void)state;
	run(&(struct play){scribbles, "once", PLUG_OK, "plugd", 1, 1, 1, 0});
	assert_true(now_ms() - began >= 150);
}

static void
closes_beyond_it(struct peer *peer)
{
	struct partner partner;

	partner_open(peer, &partner);
	partner_expect(&partner, PLUGS_CALL);
	partner_set_status(&partner, PLUG_STATUS_MOVED);
	partner_set_closed_at(&partner, 3);
	partner_await_close(&partner);
	partner_end(&partner);
	partner_await_end(&partner);
}

static void
test_closed_at_of_what_was_never_posted(void **state)
{
	(void)state;
	run(&(struct play){closes_beyond_it, "echo", PLUG_EPROTO, "broke the rules", 0, 0, 1, 1});
}

static void
closes_before_an_answer(struct peer *peer)
{
	struct partner partner;
	struct plugs_message piece = {.kind = PLUGS_REPLY, .partial = true};

	partner_open(peer, &partner);
	piece.id = partner_expect(&partner, PLUGS_CALL).id;
	partner_post(&partner, &piece);
	partner_set_status(&partner, PLUG_STATUS_MOVED);
	partner_set_closed_at(&partner, 1);
	partner_await_close(&partner);
	partner_end(&partner);
	partner_await_end(&partner);
}

static void
test_closed_at_of_what_was_answered(void **state)
{
	(void)state;
	run(&(struct play){closes_before_an_answer, "stream", PLUG_EPROTO, "broke the rules", 0, 0,
			   1, 1});
}

/* ---- the end ---- */

static void
dies_as(struct peer *peer, uint64_t closed_at, enum plug_status status, unsigned late_us)
{
	struct partner partner;

	partner_open(peer, &partner);
	partner.refusal = PLUG_EUNAVAILABLE;
	partner_expect(&partner, PLUGS_CALL);
	if (closed_at)
		partner_set_closed_at(&partner, closed_at);
	if (!late_us)
		partner_set_status(&partner, status);
	close(partner.wake_fd);
	partner.wake_fd = -1;
	if (late_us) {
		usleep(late_us);
		partner_set_status(&partner, status);
	}
	partner_await_end(&partner);
	MUST(partner.again == (partner.over_plugd > 2 && status != PLUG_STATUS_ENDED));
	partner_end(&partner);
}

static void
ends_in_order(struct peer *peer)
{
	dies_as(peer, 1, PLUG_STATUS_ENDED, 0);
}

static void
ends_in_order_as_is_known_later(struct peer *peer)
{
	dies_as(peer, 1, PLUG_STATUS_ENDED, 20000);
}

static void
ends_in_order_without_closing(struct peer *peer)
{
	dies_as(peer, 0, PLUG_STATUS_ENDED, 0);
}

static void
dies_after_closing(struct peer *peer)
{
	dies_as(peer, 1, PLUG_STATUS_DEAD, 0);
}

static void
dies(struct peer *peer)
{
	dies_as(peer, 0, PLUG_STATUS_DEAD, 0);
}

static void
nobody_says_how(struct peer *peer)
{
	dies_as(peer, 1, PLUG_STATUS_LIVE, 0);
}

static void
test_ends(void **state)
{
	static const struct play plays[] = {
		{ends_in_order, "once", PLUG_OK, "plugd", 1, 1, UINT64_MAX, 0},
		{ends_in_order_as_is_known_later, "once", PLUG_OK, "plugd", 1, 1, UINT64_MAX, 0},
		{ends_in_order_without_closing, "once", PLUG_EGONE, "went away", 0, 0, UINT64_MAX,
		 0},
		{dies_after_closing, "once", PLUG_EGONE, "went away", 0, 0, UINT64_MAX, 0},
		{dies, "once", PLUG_EGONE, "went away", 0, 0, UINT64_MAX, 0},
		{nobody_says_how, "once", PLUG_EGONE, "went away", 0, 0, UINT64_MAX, 0},
		{dies_after_closing, "echo", PLUG_OK, "plugd", 1, 1, UINT64_MAX, 0},
		{dies, "echo", PLUG_OK, "plugd", 1, 1, UINT64_MAX, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(plays) / sizeof(*plays); i++)
		run(&plays[i]);
}

static void
answers_and_dies(struct peer *peer)
{
	struct partner partner;

	partner_open(peer, &partner);
	partner_reply(&partner, partner_expect(&partner, PLUGS_CALL).id, "last words");
	partner_set_status(&partner, PLUG_STATUS_DEAD);
	partner_end(&partner);
	partner_await_end(&partner);
}

static void
test_what_was_answered_before_the_end(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++)
		run(&(struct play){answers_and_dies, "once", PLUG_OK, "last words", 0, 0,
				   UINT64_MAX, 0});
}

/* A child of the plugin still holds its end of the socket. */
static void
dies_with_a_child(struct peer *peer)
{
	struct partner partner;

	partner_open(peer, &partner);
	partner_expect(&partner, PLUGS_CALL);
	partner_set_status(&partner, PLUG_STATUS_DEAD);
	partner_await_close(&partner);
	partner_end(&partner);
	partner_await_end(&partner);
}

static void
test_the_page_counts_as_the_end(void **state)
{
	uint64_t began = now_ms();

	(void)state;
	run(&(struct play){dies_with_a_child, "once", PLUG_EGONE, "went away", 0, 0, UINT64_MAX,
			   0});
	assert_true(now_ms() - began < 5000);
}

/* ---- what is sent once more, is so once ---- */

static void
dies_before(struct peer *peer, plug_err second)
{
	struct partner partner;

	partner_open(peer, &partner);
	partner.refusal = PLUG_EUNAVAILABLE;
	partner.plugd_outcome = second;
	partner_expect(&partner, PLUGS_CALL);
	partner_set_status(&partner, PLUG_STATUS_DEAD);
	partner_end(&partner);
	partner_await_end(&partner);
	MUST(partner.over_plugd == 3 && partner.again);
}

static void
dies_twice(struct peer *peer)
{
	dies_before(peer, PLUG_EGONE);
}

static void
dies_and_is_stopped(struct peer *peer)
{
	dies_before(peer, PLUG_EUNAVAILABLE);
}

static void
dies_and_has_no_room(struct peer *peer)
{
	dies_before(peer, PLUG_EOVERLOADED);
}

static void
test_executed_twice_at_most(void **state)
{
	(void)state;
	run(&(struct play){dies_twice, "echo", PLUG_EGONE, "", 1, 1, UINT64_MAX, 0});
}

/* What was there before may have been executed, though it was not when it was sent again. */
static void
test_what_is_refused_the_second_time_is_gone(void **state)
{
	(void)state;
	run(&(struct play){dies_and_is_stopped, "echo", PLUG_EGONE, "", 1, 1, UINT64_MAX, 0});
	run(&(struct play){dies_and_has_no_room, "echo", PLUG_EGONE, "", 1, 1, UINT64_MAX, 0});
}

/* ---- the next channel ---- */

static void
two_generations(struct peer *peer)
{
	struct partner partner;

	partner_open(peer, &partner);
	partner_reply(&partner, partner_expect(&partner, PLUGS_CALL).id, "first");
	partner_set_status(&partner, PLUG_STATUS_MOVED);
	partner_set_closed_at(&partner, 2);
	partner_end(&partner);
	partner.terms.generation = 2;
	partner_reopen(&partner);
	partner_reply(&partner, partner_expect(&partner, PLUGS_CALL).id, "second");
	partner_await_close(&partner);
	partner_end(&partner);
}

static void
test_a_channel_to_the_next_generation(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	struct plug_client *client;
	struct plug_reply *reply;
	bool second = false;
	struct peer peer;

	(void)state;
	peer_start(&peer, two_generations, NULL);
	client = peer_client(&peer);
	partner_warm_up(client);
	call_of(client, "echo", PLUG_OK, "first");
	while (!second) { /* over plugd until it is there */
		assert_int_equal(plug_client_call(client, &request, NULL, NULL, &reply), PLUG_OK);
		second = memcmp(reply->payload.data, "second", 5) == 0;
		assert_true(second || memcmp(reply->payload.data, "plugd", 5) == 0);
		plug_reply_free(reply);
	}
	assert_int_equal(partner_stats(client).channels_opened, 2);
	assert_int_equal(partner_stats(client).channels_open, 1);
	plug_client_close(client);
	peer_stop(&peer);
}

/* ---- many calls, in the event loop ---- */

#define CALLS 50

static void
closes_in_the_middle(struct peer *peer)
{
	struct partner partner;

	partner_open(peer, &partner);
	partner.refusal = PLUG_EUNAVAILABLE;
	for (uint64_t id = 1; id <= CALLS; id++)
		MUST(partner_expect(&partner, PLUGS_CALL).id == id);
	partner_set_status(&partner, PLUG_STATUS_MOVED);
	partner_set_closed_at(&partner, CALLS / 2 + 1);
	for (uint64_t id = CALLS / 2; id; id--)
		partner_reply(&partner, id, "here");
	partner_await_close(&partner);
	partner_end(&partner);
	partner_await_end(&partner);
	MUST(partner.over_plugd == 2 + CALLS / 2);
}

static void
test_many_calls_move(void **state)
{
	struct plug_request request = request_of("once", "x", 1);
	struct outcome outcomes[CALLS] = {{0}};
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start(&peer, closes_in_the_middle, NULL);
	client = peer_client(&peer);
	partner_warm_up(client);
	for (int i = 0; i < CALLS; i++)
		loop_send_call(client, &request, &outcomes[i]);
	for (int i = 0; i < CALLS; i++) {
		loop_until(client, &outcomes[i].done, 1);
		assert_int_equal(outcomes[i].err, PLUG_OK);
		assert_string_equal(outcomes[i].text, i < CALLS / 2 ? "here" : "plugd");
	}
	loop_until(client, &outcomes[0].done, 1);
	for (int i = 0; i < CALLS; i++)
		assert_int_equal(outcomes[i].done, 1); /* and not twice */
	assert_int_equal(partner_stats(client).resends, CALLS / 2);
	plug_client_close(client);
	peer_stop(&peer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_taken_goes_elsewhere),
		cmocka_unit_test(test_taken_is_finished_there),
		cmocka_unit_test(test_moved_without_closed_at),
		cmocka_unit_test(test_closed_at_of_the_living),
		cmocka_unit_test(test_closed_at_of_what_was_never_posted),
		cmocka_unit_test(test_closed_at_of_what_was_answered),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_what_was_answered_before_the_end),
		cmocka_unit_test(test_the_page_counts_as_the_end),
		cmocka_unit_test(test_executed_twice_at_most),
		cmocka_unit_test(test_what_is_refused_the_second_time_is_gone),
		cmocka_unit_test(test_a_channel_to_the_next_generation),
		cmocka_unit_test(test_many_calls_move),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
