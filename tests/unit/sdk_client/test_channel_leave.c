/* A channel that takes no calls any more is left with its last reply, and not kept until its
 * process ends, which may take as long as other callers like. */
#include <stdatomic.h>

#include "loop.h"
#include "partner.h"

/* What the script is told of the test, and says: what goes through the ring is no order in the eyes
 * of a thread sanitizer, because both sides have it at addresses of their own. */
struct stage {
	struct plug_client *_Atomic client;
	atomic_bool seen; /* it does not look at the client any more */
};

/* The caller has dealt with the move when the reply comes. */
static void
answers_after_the_move(struct peer *peer)
{
	struct stage *stage = peer->arg;
	struct partner partner;
	uint64_t id;

	partner_open(peer, &partner);
	id = partner_expect(&partner, PLUGS_CALL).id;
	partner_set_status(&partner, PLUG_STATUS_MOVED);
	partner_set_closed_at(&partner, 2);
	partner_await_moves(atomic_load(&stage->client), 1);
	atomic_store(&stage->seen, true);
	partner_reply(&partner, id, "finished here");
	partner_await_close(&partner);
	partner_end(&partner);
	partner_await_end(&partner);
}

/* While nobody is there; what it says is a lie. */
static void
closes_at_what_was_never_posted(struct peer *peer)
{
	struct partner partner;

	partner_open(peer, &partner);
	partner.refusal = PLUG_EUNAVAILABLE;
	partner_expect(&partner, PLUGS_CALL);
	partner_reply(&partner, 1, "here");
	partner_set_status(&partner, PLUG_STATUS_MOVED);
	partner_set_closed_at(&partner, 100);
	atomic_store((atomic_bool *)peer->arg, true);
	partner_await_close(&partner);
	partner_end(&partner);
	partner_await_end(&partner);
}

static void
blocks(struct plug_client *client, const struct plug_request *request)
{
	assert_int_equal(plug_client_call(client, request, NULL, NULL, NULL), PLUG_OK);
}

static void
loops(struct plug_client *client, const struct plug_request *request)
{
	struct outcome outcome = {.done = 0};

	loop_send_call(client, request, &outcome);
	loop_until(client, &outcome.done, 1);
	assert_int_equal(outcome.err, PLUG_OK);
}

static void
leave(void (*call)(struct plug_client *client, const struct plug_request *request))
{
	struct plug_request request = request_of("echo", "x", 1);
	unsigned before = partner_count_fds();
	struct stage stage = {.client = NULL};
	struct plug_client *client;
	struct peer peer;

	peer_start(&peer, answers_after_the_move, &stage);
	client = peer_client(&peer);
	atomic_store(&stage.client, client);
	partner_warm_up(client);
	call(client, &request);
	assert_int_equal(partner_stats(client).channels_open, 0);
	assert_int_equal(partner_stats(client).channels_closed, 1);
	assert_true(atomic_load(&stage.seen));
	plug_client_close(client);
	peer_stop(&peer);
	assert_int_equal(partner_count_fds(), before);
}

static void
test_by_a_thread_that_waited(void **state)
{
	(void)state;
	leave(blocks);
}

static void
test_by_the_event_loop(void **state)
{
	(void)state;
	leave(loops);
}

/* The next call finds it, and goes another way. */
static void
test_an_idle_channel_that_lies(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	struct plug_client *client;
	atomic_bool lied = false;
	struct peer peer;

	(void)state;
	peer_start(&peer, closes_at_what_was_never_posted, &lied);
	client = peer_client(&peer);
	partner_warm_up(client);
	blocks(client, &request);
	while (!atomic_load(&lied))
		usleep(100);
	blocks(client, &request);
	assert_int_equal(partner_stats(client).violations, 1);
	assert_int_equal(partner_stats(client).channels_open, 0);
	plug_client_close(client);
	peer_stop(&peer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_a_thread_that_waited),
		cmocka_unit_test(test_by_the_event_loop),
		cmocka_unit_test(test_an_idle_channel_that_lies),
	};

	return cmocka_run_group_tests_name("client_channel_leave", tests, NULL, NULL);
}
