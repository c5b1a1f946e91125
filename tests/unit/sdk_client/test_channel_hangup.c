/* A plugin that hangs up on its callers, as one does that is dying: for what they wait, and for
 * what they do not. */
#include <string.h>

#include "loop.h"
#include "partner.h"

#define ENDED_MS 1000 /* PLUGC_ENDED_MS: how long a caller waits for plugd's word */
#define LATE_US  2000
#define PLAYS    20

/* Once there is a call: says so or not at which it closed, is moved by plugd, hangs up. */
struct way {
	uint64_t closed_at; /* 0: no word */
	enum plug_status status;
	bool late;  /* the page says so only afterwards */
	bool holds; /* plugd holds what comes before it says so */
};

static struct way way;                     /* of the play that is on */
static uint64_t died_channel, died_number; /* as the call over plugd named them */

static void
hangs_up(struct peer *peer)
{
	struct partner partner;
	uint64_t number;

	partner_open_on(peer, &partner, (struct partner_terms){.holds = way.holds});
	partner.refusal = PLUG_EUNAVAILABLE;
	number = partner_expect(&partner, PLUGS_CALL).id;
	if (way.closed_at)
		partner_set_closed_at(&partner, way.closed_at);
	if (!way.late)
		partner_set_status(&partner, way.status);
	close(partner.wake_fd);
	partner.wake_fd = -1;
	if (way.late) {
		usleep(LATE_US);
		partner_set_status(&partner, way.status);
	}
	partner_await_end(&partner);
	died_channel = partner.died_channel;
	died_number = partner.died_number;
	MUST(!died_channel || (partner.again && died_channel == 1 && died_number == number));
	partner_end(&partner);
}

static uint64_t
play(const char *method, plug_err expected)
{
	struct plug_request request = request_of(method, "x", 1);
	struct plug_client *client;
	struct peer peer;
	uint64_t began;

	peer_start(&peer, hangs_up, NULL);
	client = peer_client(&peer);
	partner_warm_up(client);
	began = now_ms();
	assert_int_equal(plug_client_call(client, &request, NULL, NULL, NULL), expected);
	began = now_ms() - began;
	plug_client_close(client);
	peer_stop(&peer);
	return began;
}

/* The shortest of several: no machine is so busy that every one of them takes long. */
static uint64_t
shortest(const char *method, plug_err expected)
{
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < PLAYS; i++) {
		uint64_t took = play(method, expected);

		if (took < least)
			least = took;
	}
	return least;
}

/* plugd hands nothing to it any more, and it closed at no call: how it ends changes nothing. */
static void
test_moved_is_not_waited_for(void **state)
{
	static const struct way ways[] = {{0, PLUG_STATUS_MOVED, false},
					  {0, PLUG_STATUS_MOVED, true}};

	(void)state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		way = ways[i];
		assert_true(shortest("echo", PLUG_OK) < ENDED_MS);
		assert_true(shortest("once", PLUG_EGONE) < ENDED_MS);
	}
}

/* Whether its closed_at is true only the end tells; nor may the call go to the same process again.
 */
static void
test_what_is_waited_for(void **state)
{
	static const struct way ways[] = {{1, PLUG_STATUS_MOVED, true},
					  {1, PLUG_STATUS_LIVE, false},
					  {0, PLUG_STATUS_LIVE, false}};

	(void)state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		way = ways[i];
		assert_true(play("echo", PLUG_OK) >= ENDED_MS - 1);
		assert_true(play("once", PLUG_EGONE) >= ENDED_MS - 1);
	}
}

/* plugd does: what may be executed twice goes there at once and says where it was; for what may not
 * the end is waited for as ever. */
static void
test_plugd_waits_instead(void **state)
{
	(void)state;
	way = (struct way){0, PLUG_STATUS_LIVE, false, true};
	died_channel = 0;
	assert_true(shortest("echo", PLUG_OK) < ENDED_MS);
	assert_int_equal(died_channel, 1);
	assert_true(play("once", PLUG_EGONE) >= ENDED_MS - 1);
	way.closed_at = 1;
	assert_true(play("echo", PLUG_OK) >= ENDED_MS - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moved_is_not_waited_for),
		cmocka_unit_test(test_what_is_waited_for),
		cmocka_unit_test(test_plugd_waits_instead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
