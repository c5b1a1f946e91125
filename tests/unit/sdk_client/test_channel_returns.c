/* Tensors of replies that nobody waits for any more go back by themselves. */
#include "loop.h"
#include "partner.h"

#include "exchange.h"

#define CALLS PLUGS_RETURNS_DUE

static void
reply_with_a_tensor(struct partner *partner, uint64_t id)
{
	struct plugs_tensor tensor = {
		.arena = 1,
		.offset = 4096 + 64 * id,
		.generation = id << 16,
		.bytes = 8,
		.code = PLUG_CODE_UINT,
		.bits = 8,
		.lanes = 1,
		.dims = 1,
		.shape = {8},
	};

	partner_post(partner, &(struct plugs_message){
				      .kind = PLUGS_REPLY,
				      .id = id,
				      .tensors = &tensor,
				      .tensor_count = 1,
			      });
}

/* All calls but the last one are cancelled, and answered all the same; the last one when everything
 * has come back. */
static void
answers_too_late(struct peer *peer)
{
	struct plugs_message release;
	struct partner partner;
	uint32_t returned = 0;

	partner_open(peer, &partner);
	for (int i = 0; i <= CALLS; i++)
		partner_expect(&partner, PLUGS_CALL);
	for (int i = 0; i < CALLS; i++)
		partner_expect(&partner, PLUGS_CANCEL);
	for (uint64_t id = 1; id <= CALLS; id++)
		reply_with_a_tensor(&partner, id);
	while (returned < CALLS) {
		release = partner_expect(&partner, PLUGS_RELEASE);
		for (uint32_t i = 0; i < release.buffer_count; i++)
			MUST(release.buffers[i].generation == (uint64_t)++returned << 16);
	}
	partner_reply(&partner, CALLS + 1, "all came back");
	partner_await_end(&partner);
	partner_end(&partner);
}

static void
test_late_replies_are_returned_without_another_call(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	struct outcome outcomes[CALLS + 1] = {{.done = 0}};
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start(&peer, answers_too_late, NULL);
	client = peer_client(&peer);
	partner_warm_up(client);
	request.timeout_ms = 1;
	for (int i = 0; i < CALLS; i++)
		loop_send_call(client, &request, &outcomes[i]);
	request.timeout_ms = 0;
	loop_send_call(client, &request, &outcomes[CALLS]);
	for (int i = 0; i < CALLS; i++)
		loop_until(client, &outcomes[i].done, 1);
	for (int i = 0; i < CALLS; i++)
		assert_int_equal(outcomes[i].err, PLUG_ETIMEOUT);
	loop_until(client, &outcomes[CALLS].done, 1);
	assert_string_equal(outcomes[CALLS].text, "all came back");
	plug_client_close(client);
	peer_stop(&peer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_late_replies_are_returned_without_another_call),
	};

	return cmocka_run_group_tests_name("client_channel_returns", tests, NULL, NULL);
}
