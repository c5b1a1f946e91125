/* Who frees a channel, and when. */
#include "partner.h"

#include "plane.h"

/* ---- only under the lock of its route, which other threads may be in ---- */

static unsigned unrefs;

void __real_plugc_channel_unref(struct plugc_channel *channel);
void __wrap_plugc_channel_unref(struct plugc_channel *channel);

void
__wrap_plugc_channel_unref(struct plugc_channel *channel)
{
	MUST(pthread_mutex_trylock(&channel->route->lock) != 0);
	unrefs++;
	__real_plugc_channel_unref(channel);
}

static void
grant_an_unsealed_page(struct peer *peer)
{
	struct partner partner;
	int fds[3];

	partner_await_request(peer, &partner);
	partner_make(&partner);
	close(partner.page_fd);
	partner.page_fd = plugs_memfd("page", PLUG_STATUS_BYTES);
	MUST(partner.page_fd >= 0);
	fds[0] = partner.own_fd;
	fds[1] = partner.their_wake_fd;
	fds[2] = partner.page_fd;
	partner_grant_fds(&partner, fds, 3);
	partner_await_end(&partner);
	partner_end(&partner);
}

static void
test_a_grant_that_is_none(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	unsigned before = partner_count_fds();
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start(&peer, grant_an_unsealed_page, NULL);
	client = peer_client(&peer);
	while (partner_stats(client).channels_refused == 0)
		assert_int_equal(plug_client_call(client, &request, NULL, NULL, NULL), PLUG_OK);
	plug_client_close(client);
	peer_stop(&peer);
	assert_int_equal(partner_count_fds(), before);
}

/* ---- not later than the call that had it ---- */

static void
die_and_refuse(struct peer *peer)
{
	struct partner partner;

	partner_open(peer, &partner);
	partner_expect(&partner, PLUGS_CALL);
	partner.refusal = PLUG_EUNAVAILABLE;
	partner_set_status(&partner, PLUG_STATUS_DEAD);
	partner_end(&partner);
	partner_await_end(&partner);
}

/* It would have been sent again, and there is no other channel: nobody may call for hours, and what
 * the dead process had lent is large. */
static void
test_a_call_that_finds_no_other_channel(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	struct plug_client *client;
	struct peer peer;
	unsigned before;

	(void)state;
	request.flags = PLUG_REQUEST_CHANNEL;
	peer_start(&peer, die_and_refuse, NULL);
	client = peer_client(&peer);
	before = partner_count_fds();
	unrefs = 0;
	assert_int_equal(plug_client_call(client, &request, NULL, NULL, NULL), PLUG_EGONE);
	assert_int_equal(partner_stats(client).channels_closed, 1);
	assert_true(unrefs > 0);
	assert_int_equal(partner_count_fds(), before);
	plug_client_close(client);
	peer_stop(&peer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_grant_that_is_none),
		cmocka_unit_test(test_a_call_that_finds_no_other_channel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
