/* A plugin that hangs up on its callers, as one does that is dying: for what they wait, and for
 * what they do not. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

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

/* ---- it dies, and its other threads do not know yet ---- */

static atomic_bool has_once;

/* The call that may be executed twice is answered here as well, after it has left. */
static void
talks_on(struct peer *peer)
{
	struct partner partner;
	uint64_t once, echo;

	partner_open_on(peer, &partner, (struct partner_terms){.holds = true});
	partner.refusal = PLUG_EUNAVAILABLE;
	once = partner_expect(&partner, PLUGS_CALL).id;
	atomic_store(&has_once, true);
	echo = partner_expect(&partner, PLUGS_CALL).id;
	close(partner.wake_fd);
	partner.wake_fd = -1;
	while (!partner.died_channel)
		MUST(partner_serve_plugd(&partner));
	partner_reply(&partner, echo, "late");
	partner_reply(&partner, once, "in time");
	partner_set_status(&partner, PLUG_STATUS_DEAD);
	partner_await_end(&partner);
	partner_end(&partner);
}

static void *
call_once(void *arg)
{
	struct plug_request request = request_of("once", "x", 1);
	static plug_err err;

	err = plug_client_call(arg, &request, NULL, NULL, NULL);
	return &err;
}

static void
test_a_dying_process_talks_on(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	struct plug_client *client;
	struct peer peer;
	pthread_t thread;
	void *err;

	(void)state;
	atomic_store(&has_once, false);
	peer_start(&peer, talks_on, NULL);
	client = peer_client(&peer);
	partner_warm_up(client);
	assert_int_equal(pthread_create(&thread, NULL, call_once, client), 0);
	while (!atomic_load(&has_once))
		usleep(100);
	assert_int_equal(plug_client_call(client, &request, NULL, NULL, NULL), PLUG_OK);
	pthread_join(thread, &err);
	assert_int_equal(*(plug_err *)err, PLUG_OK);
	plug_client_close(client);
	peer_stop(&peer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moved_is_not_waited_for),
		cmocka_unit_test(test_what_is_waited_for),
		cmocka_unit_test(test_plugd_waits_instead),
		cmocka_unit_test(test_a_dying_process_talks_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
