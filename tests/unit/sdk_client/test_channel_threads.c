/* Many threads and an event loop on one handle, over one channel. */
#include "loop.h"
#include "partner.h"

#define THREADS 24
#define CALLS   300

static void
echo(struct peer *peer)
{
	struct partner partner;

	partner_open(peer, &partner);
	partner_echo(&partner);
	partner_end(&partner);
}

struct caller {
	struct plug_client *client;
	pthread_t thread;
	unsigned seed, failed, done;
};

static void *
call_many(void *arg)
{
	struct caller *caller = arg;

	for (unsigned i = 0; i < CALLS; i++) {
		size_t size = (caller->seed * 37 + i * 101) % 5000;
		void *data = pattern(size, caller->seed * CALLS + i);
		struct plug_request request = request_of("echo", data, size);
		struct plug_reply *reply = NULL;
		plug_err err = plug_client_call(caller->client, &request, NULL, NULL, &reply);

		if (err != PLUG_OK || reply->payload.size != size ||
		    memcmp(reply->payload.data, data, size) != 0)
			caller->failed++;
		caller->done++;
		plug_reply_free(reply);
		free(data);
	}
	return NULL;
}

static void
run_threads(struct plug_client *client, struct caller *callers, bool loop)
{
	struct plug_request request = request_of("echo", "loop", 4);

	for (unsigned i = 0; i < THREADS; i++) {
		callers[i] = (struct caller){.client = client, .seed = i};
		assert_int_equal(pthread_create(&callers[i].thread, NULL, call_many, &callers[i]),
				 0);
	}
	for (unsigned i = 0; loop && i < CALLS; i++) {
		struct outcome outcomes[8] = {{0}};

		for (int c = 0; c < 8; c++)
			loop_send_call(client, &request, &outcomes[c]);
		for (int c = 0; c < 8; c++) {
			loop_until(client, &outcomes[c].done, 1);
			assert_int_equal(outcomes[c].err, PLUG_OK);
			assert_string_equal(outcomes[c].text, "loop");
		}
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(callers[i].thread, NULL);
		assert_int_equal(callers[i].failed, 0);
		assert_int_equal(callers[i].done, CALLS);
	}
}

static void
test_threads(void **state)
{
	struct caller callers[THREADS];
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start(&peer, echo, NULL);
	client = peer_client(&peer);
	partner_warm_up(client);
	run_threads(client, callers, false);
	assert_int_equal(partner_stats(client).calls_data, THREADS * CALLS);
	plug_client_close(client);
	peer_stop(&peer);
}

static void
test_threads_and_a_loop(void **state)
{
	struct caller callers[THREADS];
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start(&peer, echo, NULL);
	client = peer_client(&peer);
	partner_warm_up(client);
	run_threads(client, callers, true);
	plug_client_close(client);
	peer_stop(&peer);
}

/* The plugin is replaced again and again while they call; nothing is lost. */
static void
move_often(struct peer *peer)
{
	struct partner partner;
	struct plugs_message call;

	partner_open(peer, &partner);
	for (uint32_t generation = 2;; generation++) {
		uint64_t left = 200;

		while (left && partner_take(&partner, &call)) {
			if (call.kind != PLUGS_CALL)
				continue;
			partner_post(&partner, &(struct plugs_message){.kind = PLUGS_REPLY,
								       .id = call.id,
								       .payload = call.payload});
			left--;
		}
		if (left)
			break;
		partner_set_status(&partner, PLUG_STATUS_MOVED);
		partner_set_closed_at(&partner, call.id + 1);
		partner_set_status(&partner, PLUG_STATUS_ENDED);
		partner_end(&partner);
		partner.terms.generation = generation;
		partner.over_plugd = 0;
		while (!partner.request)
			if (!partner_serve_plugd(&partner))
				return;
		partner_make(&partner);
		partner_grant(&partner);
	}
	partner_end(&partner);
}

static void *
call_once_each(void *arg)
{
	struct caller *caller = arg;
	struct plug_request request = request_of("once", "x", 1);

	for (unsigned i = 0; i < CALLS; i++) {
		struct plug_reply *reply = NULL;

		if (plug_client_call(caller->client, &request, NULL, NULL, &reply) != PLUG_OK)
			caller->failed++;
		plug_reply_free(reply);
		caller->done++;
	}
	return NULL;
}

static void
test_threads_while_it_moves(void **state)
{
	struct caller callers[THREADS];
	struct plug_client_stats stats;
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start(&peer, move_often, NULL);
	client = peer_client(&peer);
	partner_warm_up(client);
	for (unsigned i = 0; i < THREADS; i++) {
		callers[i] = (struct caller){.client = client, .seed = i};
		assert_int_equal(
			pthread_create(&callers[i].thread, NULL, call_once_each, &callers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(callers[i].thread, NULL);
		assert_int_equal(callers[i].failed, 0);
		assert_int_equal(callers[i].done, CALLS);
	}
	stats = partner_stats(client);
	assert_true(stats.moves > 3);
	assert_int_equal(stats.violations, 0);
	plug_client_close(client);
	peer_stop(&peer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_threads_and_a_loop),
		cmocka_unit_test(test_threads_while_it_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
