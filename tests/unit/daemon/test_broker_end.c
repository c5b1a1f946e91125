/* The end of the broker socket, and what is said before it. */
#include "base/cleanup.h"
#include "broker_fixture.h"
#include "ipc/packet.h"

static void
test_the_end_of_it(void **state)
{
	Plug__ChannelOffer offer = PLUG__CHANNEL_OFFER__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	(void)state;
	close_fd(&t.theirs);
	wire_run_pending();
	assert_false(broker_connected(&t.broker));
	assert_true(broker_closed_for_ms(&t.broker) < 20000);
	env.body_case = PLUG__ENVELOPE__BODY_CHANNEL_OFFER;
	env.channel_offer = &offer;
	assert_int_equal(broker_send(&t.broker, &env, NULL, 0), PLUG_EGONE);
	assert_int_equal(t.violations, 0);
}

/* The process sees that it was heard, and can still say where it was. */
static void
test_who_dies_is_heard(void **state)
{
	struct plug_trace trace = {.magic = PLUG_TRACE_MAGIC};
	char byte;

	(void)state;
	assert_int_equal(recv(t.theirs, &byte, 1, MSG_DONTWAIT), -1);
	broker_heard(&t.broker);
	assert_int_equal(recv(t.theirs, &byte, 1, MSG_DONTWAIT), 0);
	assert_int_equal(send(t.theirs, &trace, sizeof(trace), 0), sizeof(trace));
	wire_run_pending();
	assert_int_equal(t.trace_bytes, sizeof(trace));
	assert_true(broker_connected(&t.broker));
	broker_heard(&t.broker); /* twice does no harm */
	close(t.theirs);
	t.theirs = -1;
	wire_run_pending();
	broker_heard(&t.broker);
}

/* The kernel tells of what the process had not read before it tells what the process said. */
static void
test_last_words_of_who_has_not_read_all(void **state)
{
	struct plug_trace trace = {.magic = PLUG_TRACE_MAGIC};

	(void)state;
	assert_int_equal(send(t.broker.fd, "unread", 6, 0), 6);
	assert_int_equal(packet_send(t.theirs, &trace, sizeof(trace), NULL, 0), sizeof(trace));
	close(t.theirs);
	t.theirs = -1;
	broker_take_last(&t.broker);
	assert_int_equal(t.trace_bytes, sizeof(trace));
	assert_false(broker_connected(&t.broker));
}

/* What plugd would close is ended for it at once, whenever the descriptor goes. */
static void
test_who_ends_its_sending_sees_the_end(void **state)
{
	char byte;

	(void)state;
	shutdown(t.theirs, SHUT_WR);
	wire_run_pending();
	assert_false(broker_connected(&t.broker));
	assert_int_equal(recv(t.theirs, &byte, 1, MSG_DONTWAIT), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_end_of_it),
		TEST(test_who_dies_is_heard),
		TEST(test_last_words_of_who_has_not_read_all),
		TEST(test_who_ends_its_sending_sees_the_end),
	};

	return cmocka_run_group_tests_name("broker_end", tests, NULL, NULL);
}
