/* A caller that has cancelled, and what it still gets. */
#include "loop.h"
#include "partner.h"

/* In the middle of an answer, as libplug does: a final one has its outcome already, a piece has it
 * behind it. */
static void
give_up_an_answer(struct peer *peer)
{
	struct partner partner;
	struct plugs_message reply = {.kind = PLUGS_REPLY, .more = true};
	bool partial = peer->arg != NULL;

	partner_open(peer, &partner);
	reply.id = partner_expect(&partner, PLUGS_CALL).id;
	reply.partial = partial;
	reply.payload = partner_bytes("the first half");
	partner_post(&partner, &reply);
	MUST(partner_expect(&partner, PLUGS_CANCEL).id == reply.id);
	partner_post(&partner,
		     &(struct plugs_message){.kind = PLUGS_CHUNK, .id = reply.id, .last = true});
	if (partial)
		partner_fail(&partner, reply.id, PLUG_ECANCELLED, "cancelled");
	partner_echo(&partner);
	partner_end(&partner);
}

static bool
never_a_piece(const struct plug_payload *piece, void *user)
{
	(void)user;
	fail_msg("half a piece: %.*s", (int)piece->size, (const char *)piece->data);
	return true;
}

static void
test_half_an_answer_is_none(void **state)
{
	struct plug_request request = request_of("stream", "x", 1);

	(void)state;
	for (int partial = 0; partial < 2; partial++) {
		struct outcome outcome = {0}, next = {0};
		struct plug_client *client;
		struct peer peer;
		uint64_t id;

		peer_start(&peer, give_up_an_answer, partial ? &peer : NULL);
		client = peer_client(&peer);
		partner_warm_up(client);
		assert_int_equal(plug_client_send(client, &request, never_a_piece, loop_on_done,
						  &outcome, &id),
				 PLUG_OK);
		assert_int_equal(plug_client_cancel(client, id), PLUG_OK);
		loop_until(client, &outcome.done, 1);
		assert_int_equal(outcome.err, PLUG_ECANCELLED);
		assert_string_equal(outcome.message, "cancelled");
		loop_send_call(client, &request, &next);
		loop_until(client, &next.done, 1);
		assert_int_equal(next.err, PLUG_OK);
		assert_int_equal(partner_stats(client).violations, 0);
		plug_client_close(client);
		peer_stop(&peer);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_half_an_answer_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
