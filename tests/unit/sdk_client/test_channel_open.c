/* When a client asks for a channel, and what it makes of refusals. */
#include "partner.h"

static void
call(struct plug_client *client)
{
	struct plug_request request = request_of("echo", "x", 1);

	assert_int_equal(plug_client_call(client, &request, NULL, NULL, NULL), PLUG_OK);
}

/* Refuse all requests; how many there were goes to *arg. */
struct refusing {
	plug_err outcome;
	uint64_t region_bytes; /* that plugd would take */
	unsigned requests, calls;
	uint64_t asked_bytes;
};

static void
refuse(struct peer *peer)
{
	struct refusing *refusing = peer->arg;
	struct partner partner;

	partner_welcome(peer, &partner);
	partner.refusal = refusing->outcome;
	partner.terms.region_bytes = refusing->region_bytes;
	partner_await_end(&partner);
	refusing->requests = partner.requests;
	refusing->calls = partner.over_plugd;
	refusing->asked_bytes = partner.asked_bytes;
}

/* ---- when ---- */

static void
test_one_call_a_second_needs_none(void **state)
{
	struct refusing refusing = {.outcome = PLUG_ESTATE};
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start(&peer, refuse, &refusing);
	client = peer_client(&peer);
	call(client);
	usleep(1100000);
	call(client);
	plug_client_close(client);
	peer_stop(&peer);
	assert_int_equal(refusing.requests, 0);
	assert_int_equal(refusing.calls, 2);
}

static unsigned
requests_with(uint32_t data_plane)
{
	struct refusing refusing = {.outcome = PLUG_ESTATE};
	struct plug_client_config config = {.size = sizeof(config), .data_plane = data_plane};
	struct plug_client *client;
	struct peer peer;

	peer_start(&peer, refuse, &refusing);
	config.runtime_dir = peer.dir;
	assert_int_equal(plug_client_open(&config, &client), PLUG_OK);
	for (int i = 0; i < 4; i++)
		call(client);
	assert_int_equal(partner_stats(client).calls_control, 4);
	plug_client_close(client);
	peer_stop(&peer);
	return refusing.requests;
}

static void
test_off(void **state)
{
	(void)state;
	assert_int_equal(requests_with(PLUG_DATA_PLANE_AUTO), 1);
	assert_int_equal(requests_with(PLUG_DATA_PLANE_OFF), 0);
	setenv(PLUG_ENV_DATA_PLANE, "off", true); /* read with every open */
	assert_int_equal(requests_with(PLUG_DATA_PLANE_AUTO), 0);
	setenv(PLUG_ENV_DATA_PLANE, "auto", true);
	assert_int_equal(requests_with(PLUG_DATA_PLANE_AUTO), 1);
	assert_int_equal(requests_with(PLUG_DATA_PLANE_OFF), 0);
	unsetenv(PLUG_ENV_DATA_PLANE);
}

static void
test_size_of_the_region(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} cases[] = {{"262144", 262144},          {"300000", 299008}, /* whole pages */
		     {"100", PLUG_REGION_BYTES},  {"", PLUG_REGION_BYTES},
		     {"lots", PLUG_REGION_BYTES}, {"99999999999", PLUG_REGION_BYTES}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct refusing refusing = {.outcome = PLUG_ESTATE};
		struct plug_client *client;
		struct peer peer;

		setenv("PLUG_CHANNEL_BYTES", cases[i].text, true);
		peer_start(&peer, refuse, &refusing);
		client = peer_client(&peer);
		call(client);
		call(client);
		plug_client_close(client);
		peer_stop(&peer);
		assert_int_equal(refusing.asked_bytes, cases[i].bytes);
	}
	unsetenv("PLUG_CHANNEL_BYTES");
}

/* ---- refusals ---- */

static void
test_refusals(void **state)
{
	static const struct {
		plug_err outcome;
		unsigned requests; /* with calls all the time for 1.2 seconds */
	} cases[] = {{PLUG_ESTATE, 1},      {PLUG_EDENIED, 1},   {PLUG_EUNAVAILABLE, 2},
		     {PLUG_EOVERLOADED, 2}, {PLUG_ETOOLARGE, 2}, {12345, 2}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct refusing refusing = {.outcome = cases[i].outcome};
		unsigned before = partner_count_fds();
		struct plug_client *client;
		struct peer peer;
		uint64_t until;

		peer_start(&peer, refuse, &refusing);
		client = peer_client(&peer);
		until = now_ms() + 1200;
		while (now_ms() < until)
			call(client);
		assert_int_equal(partner_stats(client).channels_refused, cases[i].requests);
		plug_client_close(client);
		peer_stop(&peer);
		assert_int_equal(refusing.requests, cases[i].requests);
		assert_int_equal(partner_count_fds(), before);
	}
}

static void
test_a_smaller_region(void **state)
{
	struct refusing refusing = {.outcome = PLUG_ETOOLARGE, .region_bytes = 70000};
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start(&peer, refuse, &refusing);
	client = peer_client(&peer);
	for (int i = 0; i < 5; i++)
		call(client);
	plug_client_close(client);
	peer_stop(&peer);
	assert_int_equal(refusing.requests, 2); /* at once, and then not again */
	assert_int_equal(refusing.asked_bytes, 69632);
}

/* ---- no answer ---- */

static void
answer_too_late(struct peer *peer)
{
	struct partner partner;
	uint64_t until;

	partner_await_request(peer, &partner);
	partner_make(&partner);
	until = now_ms() + 5500;
	while (now_ms() < until) /* the client gives up after 5 s, with its next call */
		MUST(partner_serve_plugd(&partner));
	partner.channels++;
	partner_grant(&partner);
	partner_await_close(&partner); /* what came is closed */
	partner_end(&partner);
	partner_await_end(&partner);
}

static void
test_a_grant_that_comes_too_late(void **state)
{
	unsigned before = partner_count_fds();
	struct plug_client *client;
	struct peer peer;
	uint64_t until;

	(void)state;
	peer_start(&peer, answer_too_late, NULL);
	client = peer_client(&peer);
	until = now_ms() + 5800;
	while (now_ms() < until) {
		call(client);
		usleep(10000);
	}
	call(client);
	assert_int_equal(partner_stats(client).channels_opened, 0);
	assert_int_equal(partner_stats(client).channels_refused, 1);
	plug_client_close(client);
	peer_stop(&peer);
	assert_int_equal(partner_count_fds(), before);
}

static void
go_away_and_return(struct peer *peer)
{
	struct partner partner;

	partner_await_request(peer, &partner);
	plugs_region_fini(&partner.other);
	partner_open(peer, &partner); /* the next connection */
	partner_reply(&partner, partner_expect(&partner, PLUGS_CALL).id, "channel");
	partner_await_close(&partner);
	partner_end(&partner);
}

static void
test_plugd_goes_away_meanwhile(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	unsigned before = partner_count_fds();
	struct plug_reply *reply;
	struct plug_client *client;
	struct peer peer;
	uint64_t until = now_ms() + PEER_WAIT_MS;
	bool channel = false;

	(void)state;
	peer_start(&peer, go_away_and_return, NULL);
	client = peer_client(&peer);
	while (!channel) {
		plug_err err = plug_client_call(client, &request, NULL, NULL, &reply);

		assert_true(err == PLUG_OK || err == PLUG_EGONE);
		channel = err == PLUG_OK && reply->payload.size == 7;
		plug_reply_free(reply);
		assert_true(now_ms() < until);
	}
	plug_client_close(client);
	peer_stop(&peer);
	assert_int_equal(partner_count_fds(), before);
}

/* Closing the handle ends a request that is not answered. */
static void
be_silent(struct peer *peer)
{
	struct partner partner;

	partner_await_request(peer, &partner);
	plugs_region_fini(&partner.other);
	partner_await_end(&partner);
}

static void
test_close_while_asking(void **state)
{
	unsigned before = partner_count_fds();
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start(&peer, be_silent, NULL);
	client = peer_client(&peer);
	call(client);
	call(client);
	plug_client_close(client);
	peer_stop(&peer);
	assert_int_equal(partner_count_fds(), before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_call_a_second_needs_none),
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_size_of_the_region),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_a_smaller_region),
		cmocka_unit_test(test_a_grant_that_comes_too_late),
		cmocka_unit_test(test_plugd_goes_away_meanwhile),
		cmocka_unit_test(test_close_while_asking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
