/* Calls that need a channel, where plugd has none for now, or none at all. */
#include <poll.h>

#include "loop.h"
#include "partner.h"

#define NEVER UINT32_MAX

struct script {
	unsigned refusals;          /* before a channel is granted; NEVER: it is not */
	unsigned for_now;           /* so many of them say to ask again */
	uint64_t patience_ms;       /* of a call without a deadline */
	uint64_t answer_after_ms;   /* over the channel */
	unsigned requests, plainly; /* … that came; calls over plugd */
};

static void
refuse_and_grant(struct peer *peer)
{
	struct script *script = peer->arg;
	struct partner partner;
	uint64_t id;
	bool there = true;

	partner_welcome(peer, &partner);
	partner.refusal = PLUG_EUNAVAILABLE;
	partner.patience_ms = script->patience_ms;
	while (there && partner.requests < script->refusals) {
		partner.ask_again = partner.requests < script->for_now;
		there = partner_serve_plugd(&partner);
	}
	if (there) {
		partner.refusal = PLUG_OK;
		partner_reopen(&partner);
		id = partner_expect(&partner, PLUGS_CALL).id;
		usleep((useconds_t)script->answer_after_ms * 1000);
		partner_reply(&partner, id, "channel");
		partner_echo(&partner);
	}
	partner_end(&partner);
	script->requests = partner.requests;
	script->plainly = partner.over_plugd;
}

static struct plug_request
needy(const char *method, uint64_t timeout_ms)
{
	struct plug_request request = request_of(method, "x", 1);

	request.flags = PLUG_REQUEST_CHANNEL;
	request.timeout_ms = timeout_ms;
	return request;
}

static void
call_blocking(struct plug_client *client, const struct plug_request *request,
	      struct outcome *outcome)
{
	struct plug_reply *reply;

	plug_client_call(client, request, NULL, NULL, &reply);
	assert_non_null(reply);
	loop_on_done(reply, outcome);
	plug_reply_free(reply);
}

/* It sleeps as long as the handle allows: what is asked too late, or never, ends the call. */
static void
call_in_loop(struct plug_client *client, const struct plug_request *request,
	     struct outcome *outcome)
{
	loop_send_call(client, request, outcome);
	while (!outcome->done) {
		struct pollfd ready = {.fd = plug_client_fd(client),
				       .events = plug_client_events(client)};

		assert_true(poll(&ready, 1, plug_client_timeout_ms(client)) >= 0);
		assert_int_equal(plug_client_dispatch(client), PLUG_OK);
	}
}

typedef void (*caller)(struct plug_client *client, const struct plug_request *request,
		       struct outcome *outcome);

static const caller callers[] = {call_blocking, call_in_loop};

#define EACH_CALLER(call)                                                                       \
	for (const caller *call = callers; call < callers + sizeof(callers) / sizeof(*callers); \
	     call++)

/* One call, and what the peer saw of it. */
static struct outcome
run(caller call, struct script *script, const char *method, uint64_t timeout_ms)
{
	struct plug_request request = needy(method, timeout_ms);
	unsigned before = partner_count_fds();
	struct outcome outcome = {0};
	struct plug_client *client;
	struct peer peer;

	peer_start(&peer, refuse_and_grant, script);
	client = peer_client(&peer);
	call(client, &request, &outcome);
	assert_int_equal(partner_stats(client).calls_control, 0);
	plug_client_close(client);
	peer_stop(&peer);
	assert_int_equal(partner_count_fds(), before);
	assert_int_equal(script->plainly, 0);
	return outcome;
}

static void
test_it_waits_for_the_grant(void **state)
{
	(void)state;
	EACH_CALLER(call)
	{
		struct script script = {.refusals = 8, .for_now = 8};
		struct outcome outcome = run(*call, &script, "echo", PEER_WAIT_MS);

		assert_int_equal(outcome.err, PLUG_OK);
		assert_string_equal(outcome.text, "channel");
		assert_int_equal(script.requests, 9);
	}
}

static void
test_until_its_deadline(void **state)
{
	(void)state;
	EACH_CALLER(call)
	{
		struct script script = {.refusals = NEVER, .for_now = NEVER};
		struct outcome outcome = run(*call, &script, "echo", 400);

		assert_int_equal(outcome.err, PLUG_ETIMEOUT);
		assert_string_equal(outcome.message,
				    "no channel to echo was granted within 400 ms; it was refused "
				    "the last time because: because the test wants it");
		/* At 0, 0, 2, 6, 14, 30, 62 ms, then every 50. */
		assert_in_range(script.requests, 2, 7 + 400 / 50 + 1);
	}
}

static void
test_refused_for_good(void **state)
{
	(void)state;
	for (unsigned for_now = 0; for_now < 4; for_now += 3) {
		EACH_CALLER(call)
		{
			struct script script = {.refusals = NEVER, .for_now = for_now};
			struct outcome outcome = run(*call, &script, "echo", PEER_WAIT_MS);

			assert_int_equal(outcome.err, PLUG_EUNAVAILABLE);
			assert_non_null(strstr(outcome.message, "because the test wants it"));
			assert_int_equal(script.requests, for_now + 1);
		}
	}
}

/* plugd says how long one without a deadline waits … */
static void
test_without_a_deadline(void **state)
{
	(void)state;
	EACH_CALLER(call)
	{
		struct script script = {.refusals = NEVER, .for_now = NEVER, .patience_ms = 100};
		struct outcome outcome = run(*call, &script, "echo", 0);

		assert_int_equal(outcome.err, PLUG_ETIMEOUT);
		assert_non_null(strstr(outcome.message, "within 100 ms"));
	}
}

/* … for a channel: on that it has the deadline of its method. */
static void
test_the_deadline_of_the_method(void **state)
{
	(void)state;
	EACH_CALLER(call)
	{
		struct script script = {
			.refusals = 1, .for_now = 1, .patience_ms = 1000, .answer_after_ms = 2500};
		struct outcome outcome = run(*call, &script, "echo", 0);

		assert_int_equal(outcome.err, PLUG_OK);
	}
}

struct wait {
	struct plug_client *client;
	struct outcome outcome;
};

static void *
wait_blocking(void *arg)
{
	struct plug_request request = needy("echo", PEER_WAIT_MS);
	struct wait *wait = arg;

	call_blocking(wait->client, &request, &wait->outcome);
	return NULL;
}

/* Threads and an event loop at once: whoever reads a refusal, all go on. */
static void
test_many_wait(void **state)
{
	struct script script = {.refusals = 12, .for_now = 12};
	struct plug_request request = needy("echo", PEER_WAIT_MS);
	struct wait waits[4] = {{NULL}};
	struct outcome outcome = {0};
	struct plug_client *client;
	pthread_t threads[4];
	struct peer peer;

	(void)state;
	peer_start(&peer, refuse_and_grant, &script);
	client = peer_client(&peer);
	for (int i = 0; i < 4; i++) {
		waits[i].client = client;
		assert_int_equal(pthread_create(&threads[i], NULL, wait_blocking, &waits[i]), 0);
	}
	call_in_loop(client, &request, &outcome);
	assert_int_equal(outcome.err, PLUG_OK);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(waits[i].outcome.err, PLUG_OK);
	}
	plug_client_close(client);
	peer_stop(&peer);
	assert_int_equal(script.requests, 13);
}

/* Who needs none goes over plugd, and asks no more often than ever. */
static void
test_the_others_do_not_wait(void **state)
{
	struct script script = {.refusals = NEVER, .for_now = NEVER};
	struct plug_request request = request_of("echo", "x", 1);
	struct plug_client *client;
	uint64_t began = now_ms();
	struct peer peer;

	(void)state;
	peer_start(&peer, refuse_and_grant, &script);
	client = peer_client(&peer);
	for (int i = 0; i < 50; i++)
		assert_int_equal(plug_client_call(client, &request, NULL, NULL, NULL), PLUG_OK);
	plug_client_close(client);
	peer_stop(&peer);
	assert_int_equal(script.plainly, 50);
	assert_in_range(script.requests, 1, 1 + (now_ms() - began) / 1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_waits_for_the_grant),
		cmocka_unit_test(test_until_its_deadline),
		cmocka_unit_test(test_refused_for_good),
		cmocka_unit_test(test_without_a_deadline),
		cmocka_unit_test(test_the_deadline_of_the_method),
		cmocka_unit_test(test_many_wait),
		cmocka_unit_test(test_the_others_do_not_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
