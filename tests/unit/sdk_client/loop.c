#include "loop.h"

#include <poll.h>

bool
loop_on_piece(const struct plug_payload *piece, void *user)
{
	struct outcome *outcome = user;

	(void)piece;
	outcome->pieces++;
	return true;
}

void
loop_on_done(const struct plug_reply *reply, void *user)
{
	struct outcome *outcome = user;

	outcome->done++;
	outcome->done_at_ms = now_ms();
	outcome->err = reply->outcome;
	outcome->size = reply->payload.size;
	snprintf(outcome->text, sizeof(outcome->text), "%.*s", (int)reply->payload.size,
		 (const char *)reply->payload.data);
	snprintf(outcome->message, sizeof(outcome->message), "%s", reply->message);
}

plug_err
loop_until(struct plug_client *client, const int *flag, int wanted)
{
	uint64_t give_up = now_ms() + PEER_WAIT_MS;
	plug_err err = PLUG_OK;

	while (*flag < wanted) {
		struct pollfd ready = {.fd = plug_client_fd(client),
				       .events = plug_client_events(client)};
		int wait_ms = plug_client_timeout_ms(client);

		if (wait_ms < 0 || wait_ms > 1000)
			wait_ms = 1000;
		assert_true(poll(&ready, 1, wait_ms) >= 0);
		err = plug_client_dispatch(client);
		if (now_ms() > give_up)
			fail_msg("nothing came for %d ms", PEER_WAIT_MS);
	}
	return err;
}

void
loop_send_call(struct plug_client *client, const struct plug_request *request,
	       struct outcome *outcome)
{
	assert_int_equal(
		plug_client_send(client, request, loop_on_piece, loop_on_done, outcome, NULL),
		PLUG_OK);
}
