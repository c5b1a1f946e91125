/*
 * honest_caller RUNTIME_DIR SECONDS RIGHT [WRONG]
 *
 * Calls the plugin RIGHT, from two threads and from an event loop, and fails when a call fails or
 * its answer is another one.  Calls the plugin WRONG, which may answer what it likes, and fails
 * when a call takes longer than its deadline allows.  Prints what it counted, as JSON.
 */
#include <inttypes.h>
#include <plug/client.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fuzz.h"
#include "sample.h"

#define RIGHT_MS   30000 /* no call to RIGHT comes near it, on however slow a machine */
#define WRONG_MS   100
#define LATE_MS    15000 /* beyond deadline, grace and this it is a hang */
#define CALLS_MOST 300   /* to WRONG with one handle: it closes the way to the data plane */
#define AFTER      5     /* calls that still follow a violation */
#define IN_FLIGHT  16
#define BYTES_MOST 70000
#define SMALL_MOST 200
#define BLOCKING   2

struct job {
	const char *dir, *plugin;
	uint64_t until, random;
};

static _Atomic uint64_t right_calls, wrong_calls, wrong_ok, violations, data_calls;

static uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct plug_client *
open_client(const char *dir)
{
	struct plug_client_config config = {
		.size = sizeof(config), .runtime_dir = dir, .name = "honest"};
	struct plug_client *client = NULL;
	plug_err err = plug_client_open(&config, &client);

	if (err != PLUG_OK) {
		fprintf(stderr, "open: %s: %s\n", plug_err_name(err), plug_client_error_text(NULL));
		exit(1);
	}
	return client;
}

static void
close_client(struct plug_client *client)
{
	struct plug_client_stats stats = {.size = sizeof(stats)};

	CHECK(plug_client_stats(client, &stats) == PLUG_OK);
	violations += stats.violations;
	data_calls += stats.calls_data;
	plug_client_close(client);
}

static struct plug_request
request_of(const struct job *job, uint8_t *payload, uint64_t word, uint64_t timeout_ms)
{
	size_t size = word % 16 ? (word >> 8) % SMALL_MOST : (word >> 8) % BYTES_MOST;

	memset(payload, (int)(word >> 40), size);
	return (struct plug_request){.size = sizeof(struct plug_request),
				     .plugin = job->plugin,
				     .method = "echo",
				     .payload = {payload, size, "text/plain"},
				     .timeout_ms = timeout_ms};
}

static void
expect_echo(const struct plug_reply *reply, const struct plug_payload *sent)
{
	if (reply->outcome != PLUG_OK) {
		fprintf(stderr, "an honest call ended with %s: %s\n", plug_err_name(reply->outcome),
			reply->message);
		exit(1);
	}
	CHECK(reply->payload.size == sent->size);
	CHECK(sent->size == 0 || !memcmp(reply->payload.data, sent->data, sent->size));
	right_calls++;
}

/* ---- RIGHT, blocking ---- */

static void *
call_right(void *arg)
{
	struct job *job = arg;
	struct plug_client *client = open_client(job->dir);
	uint8_t *payload = malloc(BYTES_MOST);

	while (now_ms() < job->until) {
		struct plug_request request =
			request_of(job, payload, sample_random(&job->random), RIGHT_MS);
		struct plug_reply *reply = NULL;

		plug_client_call(client, &request, NULL, NULL, &reply);
		CHECK(reply);
		expect_echo(reply, &request.payload);
		plug_reply_free(reply);
	}
	free(payload);
	close_client(client);
	return NULL;
}

/* ---- RIGHT, in an event loop ---- */

struct flight {
	uint8_t *payload;
	struct plug_request request;
	bool busy;
};

static void
on_done(const struct plug_reply *reply, void *user)
{
	struct flight *flight = user;

	expect_echo(reply, &flight->request.payload);
	flight->busy = false;
}

static unsigned
send_more(struct plug_client *client, struct job *job, struct flight *flights)
{
	unsigned busy = 0;

	for (int i = 0; i < IN_FLIGHT; i++) {
		struct flight *flight = &flights[i];

		if (!flight->busy && now_ms() < job->until) {
			flight->request = request_of(job, flight->payload,
						     sample_random(&job->random), RIGHT_MS);
			flight->busy = true;
			CHECK(plug_client_send(client, &flight->request, NULL, on_done, flight,
					       NULL) == PLUG_OK);
		}
		busy += flight->busy;
	}
	return busy;
}

static void *
loop_right(void *arg)
{
	struct job *job = arg;
	struct plug_client *client = open_client(job->dir);
	struct flight flights[IN_FLIGHT] = {{.busy = false}};

	for (int i = 0; i < IN_FLIGHT; i++)
		flights[i].payload = malloc(BYTES_MOST);
	while (send_more(client, job, flights) > 0) {
		struct pollfd ready = {.fd = plug_client_fd(client),
				       .events = plug_client_events(client)};

		CHECK(poll(&ready, 1, plug_client_timeout_ms(client)) >= 0);
		CHECK(plug_client_dispatch(client) == PLUG_OK);
	}
	for (int i = 0; i < IN_FLIGHT; i++)
		free(flights[i].payload);
	close_client(client);
	return NULL;
}

/* ---- WRONG ---- */

static void
call_wrong_once(struct plug_client *client, struct job *job, uint8_t *payload)
{
	uint64_t word = sample_random(&job->random), began = now_ms(), took;
	struct plug_request request = request_of(job, payload, word, WRONG_MS);
	struct plug_reply *reply = NULL;
	plug_err err;

	if (word % 8 == 3)
		request.method = "stream";
	err = plug_client_call(client, &request, NULL, NULL, &reply);
	took = now_ms() - began;
	if (took > WRONG_MS + 1000 + LATE_MS) {
		fprintf(stderr, "a call of %d ms took %" PRIu64 " ms\n", WRONG_MS, took);
		exit(1);
	}
	wrong_calls++;
	wrong_ok += err == PLUG_OK;
	plug_reply_free(reply);
}

static bool
saw_violation(const struct plug_client *client)
{
	struct plug_client_stats stats = {.size = sizeof(stats)};

	CHECK(plug_client_stats(client, &stats) == PLUG_OK);
	return stats.violations > 0;
}

static void *
call_wrong(void *arg)
{
	struct job *job = arg;
	uint8_t *payload = malloc(BYTES_MOST);

	while (now_ms() < job->until) {
		struct plug_client *client = open_client(job->dir);

		uint64_t left = sample_random(&job->random) % CALLS_MOST;

		while (left && now_ms() < job->until) {
			call_wrong_once(client, job, payload);
			left--;
			if (left > AFTER && saw_violation(client))
				left = AFTER;
		}
		close_client(client);
	}
	free(payload);
	return NULL;
}

int
main(int argc, char **argv)
{
	pthread_t threads[BLOCKING + 2];
	struct job jobs[BLOCKING + 2];
	int count = BLOCKING + (argc > 4 ? 2 : 1);

	if (argc < 4 || argc > 5) {
		fprintf(stderr, "usage: honest_caller RUNTIME_DIR SECONDS RIGHT [WRONG]\n");
		return 2;
	}
	for (int i = 0; i < count; i++) {
		void *(*run)(void *) = i < BLOCKING    ? call_right
				       : i == BLOCKING ? loop_right
						       : call_wrong;

		jobs[i] = (struct job){.dir = argv[1],
				       .plugin = i > BLOCKING ? argv[4] : argv[3],
				       .until = now_ms() + strtoull(argv[2], NULL, 0) * 1000,
				       .random = (uint64_t)i * 2 + 1};
		CHECK(pthread_create(&threads[i], NULL, run, &jobs[i]) == 0);
	}
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	printf("{\"right\": %" PRIu64 ", \"wrong\": %" PRIu64 ", \"wrong_ok\": %" PRIu64
	       ", \"violations\": %" PRIu64 ", \"data\": %" PRIu64 "}\n",
	       right_calls, wrong_calls, wrong_ok, violations, data_calls);
	return 0;
}
