/* Many threads on one handle: every thread gets its own reply, and nobody waits for another. */
#include "peer.h"

#include <stdatomic.h>

#define THREADS 8
#define ROUNDS  300

/* ---- a peer that answers everything, in bursts and out of order ---- */

#define HELD 64

struct held {
	uint64_t id;
	uint8_t *data;
	size_t size;
};

static void
answer_held(struct peer *peer, struct held *held, size_t count)
{
	while (count--) {
		peer_reply_long(peer, held[count].id, held[count].data, held[count].size,
				PLUG_CHUNK_BYTES, false);
		free(held[count].data);
	}
}

static struct held *
find(struct held *held, size_t count, uint64_t id)
{
	for (size_t i = 0; i < count; i++)
		if (held[i].id == id)
			return &held[i];
	return NULL;
}

/* Echoes; holds replies back as long as more comes at once. */
static void
echo_until_closed(struct peer *peer)
{
	struct held held[HELD];
	size_t count = 0, open = 0; /* open: calls whose chunks are still coming */
	Plug__Envelope *env;

	peer_welcome(peer);
	while ((env = peer_receive(peer))) {
		const ProtobufCBinaryData *data;
		bool more;

		if (env->body_case == PLUG__ENVELOPE__BODY_CALL) {
			MUST(count < HELD);
			held[count++] = (struct held){.id = env->id, .data = malloc(1 << 20)};
			open++;
			data = &env->call->payload;
			more = env->call->more;
		} else {
			MUST(env->body_case == PLUG__ENVELOPE__BODY_CHUNK);
			data = &env->chunk->data;
			more = !env->chunk->last;
		}
		struct held *one = find(held, count, env->id);

		MUST(one && one->size + data->len <= 1 << 20);
		if (data->len)
			memcpy(one->data + one->size, data->data, data->len);
		one->size += data->len;
		open -= !more;
		plug_envelope_free(env);
		if (open == 0 && !peer_has_more(peer)) {
			answer_held(peer, held, count);
			count = 0;
		}
	}
}

struct worker {
	pthread_t thread;
	struct plug_client *client;
	unsigned seed;
	size_t size;
	int wrong;
};

static void *
call_again_and_again(void *arg)
{
	struct worker *worker = arg;

	for (unsigned round = 0; round < ROUNDS; round++) {
		size_t size = round % 10 ? worker->size : 3 * worker->size;
		void *data = pattern(size, worker->seed * 1000 + round);
		struct plug_request request = request_of("echo", data, size);
		struct plug_reply *reply = NULL;

		request.timeout_ms = round % 2 ? 20000 : 0;
		if (plug_client_call(worker->client, &request, NULL, NULL, &reply) != PLUG_OK ||
		    reply->payload.size != size || memcmp(reply->payload.data, data, size) != 0)
			worker->wrong++;
		plug_reply_free(reply);
		free(data);
	}
	return NULL;
}

static void
run_workers(size_t size)
{
	struct worker workers[THREADS];
	struct plug_client *client;
	struct peer peer;

	peer_start(&peer, echo_until_closed, NULL);
	client = peer_client(&peer);
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.client = client, .seed = i, .size = size};
		assert_int_equal(
			pthread_create(&workers[i].thread, NULL, call_again_and_again, &workers[i]),
			0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		assert_int_equal(workers[i].wrong, 0);
	}
	plug_client_close(client);
	peer_stop(&peer);
}

static void
test_small_calls(void **state)
{
	(void)state;
	run_workers(64);
}

/* Chunks both ways, and sockets that fill up. */
static void
test_large_calls(void **state)
{
	(void)state;
	run_workers(100000);
}

/* ---- a thread that leaves hands the reading over ---- */

static void
answer_first_late_second(struct peer *peer)
{
	Plug__Envelope *a, *b;

	peer_welcome(peer);
	a = peer_expect(peer, PLUG__ENVELOPE__BODY_CALL);
	b = peer_expect(peer, PLUG__ENVELOPE__BODY_CALL);
	peer_reply(peer, (struct peer_reply){.id = a->id, .text = "x"});
	usleep(200 * 1000);
	peer_reply(peer, (struct peer_reply){.id = b->id, .text = "x"});
	plug_envelope_free(a);
	plug_envelope_free(b);
	MUST(!peer_receive(peer));
}

static void *
call_once(void *arg)
{
	struct worker *worker = arg;
	struct plug_request request = request_of("echo", "x", 1);

	worker->wrong = plug_client_call(worker->client, &request, NULL, NULL, NULL) != PLUG_OK;
	return NULL;
}

static void
test_reading_is_handed_over(void **state)
{
	(void)state;
	for (int round = 0; round < 5; round++) {
		struct worker workers[2];
		struct plug_client *client;
		struct peer peer;

		peer_start(&peer, answer_first_late_second, NULL);
		client = peer_client(&peer);
		for (int i = 0; i < 2; i++) {
			workers[i] = (struct worker){.client = client};
			pthread_create(&workers[i].thread, NULL, call_once, &workers[i]);
		}
		for (int i = 0; i < 2; i++) {
			pthread_join(workers[i].thread, NULL);
			assert_int_equal(workers[i].wrong, 0);
		}
		plug_client_close(client);
		peer_stop(&peer);
	}
}

/* ---- a slow callback holds up nobody ---- */

static void
piece_then_others(struct peer *peer)
{
	Plug__Envelope *env;
	uint64_t streamed = 0;

	peer_welcome(peer);
	while ((env = peer_receive(peer))) {
		if (env->body_case == PLUG__ENVELOPE__BODY_CALL) {
			if (strcmp(env->call->method, "stream") == 0) {
				streamed = env->id;
				peer_reply(peer, (struct peer_reply){.id = env->id,
								     .text = "p",
								     .partial = true});
			} else {
				peer_reply(peer, (struct peer_reply){.id = env->id, .text = "x"});
			}
			if (strcmp(env->call->method, "last") == 0)
				peer_reply(peer,
					   (struct peer_reply){.id = streamed, .text = "end"});
		}
		plug_envelope_free(env);
	}
}

struct slow {
	struct worker worker;
	atomic_int entered, released;
};

static bool
wait_for_release(const struct plug_payload *piece, void *user)
{
	struct slow *slow = user;

	(void)piece;
	atomic_store(&slow->entered, 1);
	for (int i = 0; i < PEER_WAIT_MS && !atomic_load(&slow->released); i++)
		usleep(1000);
	return true;
}

static void *
call_stream(void *arg)
{
	struct slow *slow = arg;
	struct plug_request request = request_of("stream", NULL, 0);

	slow->worker.wrong = plug_client_call(slow->worker.client, &request, wait_for_release, slow,
					      NULL) != PLUG_OK;
	return NULL;
}

static void
test_slow_callback_holds_up_nobody(void **state)
{
	struct plug_request request = request_of("echo", "x", 1), last = request_of("last", "x", 1);
	struct slow slow = {0};
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start(&peer, piece_then_others, NULL);
	client = peer_client(&peer);
	slow.worker.client = client;
	pthread_create(&slow.worker.thread, NULL, call_stream, &slow);
	while (!atomic_load(&slow.entered))
		usleep(1000);
	for (int i = 0; i < 100; i++)
		assert_int_equal(plug_client_call(client, &request, NULL, NULL, NULL), PLUG_OK);
	assert_int_equal(plug_client_call(client, &last, NULL, NULL, NULL), PLUG_OK);
	atomic_store(&slow.released, 1);
	pthread_join(slow.worker.thread, NULL);
	assert_int_equal(slow.worker.wrong, 0);
	plug_client_close(client);
	peer_stop(&peer);
}

static void
pieces_without_end(struct peer *peer)
{
	Plug__Envelope *env = NULL;
	uint64_t streamed;

	peer_welcome(peer);
	env = peer_expect(peer, PLUG__ENVELOPE__BODY_CALL);
	streamed = env->id;
	plug_envelope_free(env);
	peer_reply(peer, (struct peer_reply){.id = streamed, .text = "p", .partial = true});
	env = peer_expect(peer, PLUG__ENVELOPE__BODY_CALL);
	for (int i = 0; i < 30; i++)
		peer_reply(peer, (struct peer_reply){
					 .id = streamed, .text = "0123456789", .partial = true});
	peer_reply(peer, (struct peer_reply){.id = env->id, .text = "x"});
	plug_envelope_free(env);
	while ((env = peer_receive(peer)))
		plug_envelope_free(env);
}

/* What waits for a slow callback is bounded. */
static void
test_too_slow_callback_ends_its_call(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	struct slow slow = {0};
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start_limited(&peer, pieces_without_end, NULL, 5000);
	client = peer_client(&peer);
	slow.worker.client = client;
	pthread_create(&slow.worker.thread, NULL, call_stream, &slow);
	while (!atomic_load(&slow.entered))
		usleep(1000);
	assert_int_equal(plug_client_call(client, &request, NULL, NULL, NULL), PLUG_OK);
	atomic_store(&slow.released, 1);
	pthread_join(slow.worker.thread, NULL);
	assert_int_equal(slow.worker.wrong, 1);
	plug_client_close(client);
	peer_stop(&peer);
}

/* ---- death under load ---- */

static void
die_often(struct peer *peer)
{
	for (int life = 0; life < 20; life++) {
		peer_welcome(peer);
		for (int i = 0; i < 25; i++) {
			Plug__Envelope *env = peer_receive(peer);

			if (!env)
				return;
			peer_reply(peer, (struct peer_reply){.id = env->id, .text = "x"});
			plug_envelope_free(env);
		}
	}
	unlink(peer->path);
}

struct tally {
	pthread_t thread;
	struct plug_client *client;
	int ok, gone, unreachable, other;
};

static void *
call_until_unreachable(void *arg)
{
	struct tally *tally = arg;
	struct plug_request request = request_of("echo", "x", 1);

	while (tally->unreachable == 0) {
		plug_err err = plug_client_call(tally->client, &request, NULL, NULL, NULL);

		tally->ok += err == PLUG_OK;
		tally->gone += err == PLUG_EGONE;
		tally->unreachable += err == PLUG_EUNREACHABLE;
		tally->other += err != PLUG_OK && err != PLUG_EGONE && err != PLUG_EUNREACHABLE;
	}
	return NULL;
}

static void
test_every_call_ends_whoever_dies(void **state)
{
	struct tally tallies[THREADS] = {0};
	struct plug_client *client;
	struct peer peer;
	int ok = 0;

	(void)state;
	peer_start(&peer, die_often, NULL);
	client = peer_client(&peer);
	for (int i = 0; i < THREADS; i++) {
		tallies[i].client = client;
		pthread_create(&tallies[i].thread, NULL, call_until_unreachable, &tallies[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(tallies[i].thread, NULL);
		assert_int_equal(tallies[i].other, 0);
		ok += tallies[i].ok;
	}
	assert_in_range(ok, 1, 20 * 25);
	plug_client_close(client);
	pthread_join(peer.thread, NULL);
	close(peer.listener);
	rmdir(peer.dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_calls),
		cmocka_unit_test(test_large_calls),
		cmocka_unit_test(test_reading_is_handed_over),
		cmocka_unit_test(test_slow_callback_holds_up_nobody),
		cmocka_unit_test(test_too_slow_callback_ends_its_call),
		cmocka_unit_test(test_every_call_ends_whoever_dies),
	};

	return cmocka_run_group_tests_name("client_threads", tests, NULL, NULL);
}
