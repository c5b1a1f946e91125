/* A client without memory blames nobody else for it. */
#include "peer.h"

#include <sys/socket.h>

#include "failing.h"

static void
answer_and_wait(struct peer *peer)
{
	const int *gate = peer->arg;
	Plug__Envelope *env;
	uint64_t id;
	char byte;

	peer_welcome(peer);
	env = peer_expect(peer, PLUG__ENVELOPE__BODY_CALL);
	id = env->id;
	plug_envelope_free(env);
	peer_reply(peer, (struct peer_reply){.id = id, .text = "fine"});
	MUST(write(*gate, "", 1) == 1);
	MUST(read(*gate, &byte, 1) == 0); /* nothing is allocated here meanwhile */
	MUST(!peer_receive(peer));
}

struct seen {
	int times;
	plug_err outcome;
	char message[256];
};

static void
on_done(const struct plug_reply *reply, void *user)
{
	struct seen *seen = user;

	seen->times++;
	seen->outcome = reply->outcome;
	snprintf(seen->message, sizeof(seen->message), "%s", reply->message);
}

static void
test_a_message_that_there_is_no_memory_for(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	struct plug_client *client;
	char byte;
	struct seen seen = {0};
	struct peer peer;
	int gate[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, gate), 0);
	peer_start(&peer, answer_and_wait, &gate[0]);
	client = peer_client(&peer);
	assert_int_equal(plug_client_send(client, &request, NULL, on_done, &seen, NULL), PLUG_OK);
	assert_int_equal(read(gate[1], &byte, 1), 1); /* the answer is there */

	failing_begin(0, FAILING_ONE);
	plug_client_dispatch(client);
	assert_true(failing_end());

	assert_int_equal(seen.times, 1);
	assert_int_equal(seen.outcome, PLUG_EGONE);
	assert_non_null(strstr(seen.message, "no memory for a message of plugd's"));
	close(gate[1]);
	peer_stop(&peer);
	close(gate[0]);
	plug_client_close(client);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_message_that_there_is_no_memory_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
