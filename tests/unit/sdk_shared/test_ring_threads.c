/*
 * Two threads that exchange records of random sizes and sleep on a real socket, for records and for
 * room: everything arrives once, whole and in order, and nobody sleeps through what concerns him.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "pair.h"
#include "sample.h"

#ifdef __SANITIZE_THREAD__ /* it takes ten times as long */
#define RECORDS 200000
#else
#define RECORDS 1000000
#endif
#define HEADER   16 /* bytes that each record has: checksum and number */
#define MORE_MAX 1500
#define LOST_MS  20000 /* a wake-up that does not come for so long is lost */
/* One record in so many is followed by a pause, so that the other side sleeps. */
#define THINK_EVERY 64
#define LOOKS_MAX   64 /* before sleeping, where the two run in step */
/* Where the two run in step, at one record in so many he whom the other waits for holds back until
 * the other sleeps: on a busy machine they might go for long without. */
#define ASLEEP_EVERY 1000

/* cmocka's asserts are for the main thread. */
#define MUST(condition)                                                                 \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                       \
	} while (0)

enum mode {
	STREAM,     /* random sizes, as fast as both can */
	ONE_RECORD, /* nothing is posted before all is taken: nobody makes good a lost wake-up */
	ONE_ROOM    /* nothing is taken before the ring is full: the same for room */
};

struct flow {
	struct side *from, *to;
	enum mode mode;
	uint64_t slept_for_records, slept_for_room;
	_Atomic uint64_t posted, taken;
	_Atomic uint64_t asleep; /* for which record, or its room, one of the two last slept */
};

#define LARGE 20000 /* the ring holds two of them */

static uint64_t
checksum(const uint8_t *body, size_t size)
{
	uint64_t sum = 0xcbf29ce484222325ull, word = 0;

	for (; size >= sizeof(word); size -= sizeof(word), body += sizeof(word)) {
		memcpy(&word, body, sizeof(word));
		sum = (sum ^ word) * 0x100000001b3ull;
	}
	word = 0;
	memcpy(&word, body, size);
	return (sum ^ word) * 0x100000001b3ull;
}

static size_t
next_size(const struct flow *flow, uint64_t *random)
{
	return flow->mode == STREAM ? HEADER + sample_random(random) % MORE_MAX : LARGE;
}

/* How much of a record is looked at. */
static size_t
written(const struct flow *flow, size_t size)
{
	return flow->mode == STREAM ? size : HEADER;
}

static void
think(uint64_t *random)
{
	uint64_t word = sample_random(random);

	if (word % THINK_EVERY != 0)
		return;
	if (word / THINK_EVERY % 16 == 0)
		usleep(100);
	else
		sched_yield();
}

/* Wait for a byte; what woke us is looked at by the caller. */
static void
wait_on(struct side *side)
{
	struct pollfd ready = {.fd = side->wake_fd, .events = POLLIN};

	MUST(poll(&ready, 1, LOST_MS) == 1);
	MUST(plugs_drain(side->wake_fd, 1000, NULL, NULL, NULL) == PLUG_OK);
}

/* How often to look before sleeping: where the two run in step, a number that makes one go to sleep
 * about when the other changes what it waits for. */
static unsigned
looks(const struct flow *flow, uint64_t *random)
{
	return flow->mode == STREAM ? 1 : 1 + (unsigned)(sample_random(random) % LOOKS_MAX);
}

/* Let the other one come to the same place, and go on at a moment that he does not expect. */
static void
meet(_Atomic uint64_t *count, uint64_t wanted, uint64_t *random)
{
	time_t give_up = time(NULL) + LOST_MS / 1000;

	for (uint64_t i = 1; atomic_load_explicit(count, memory_order_relaxed) < wanted; i++) {
		if (i % 1000 == 0) {
			sched_yield();
			MUST(time(NULL) <= give_up);
		}
	}
	for (volatile uint64_t i = sample_random(random) % LOOKS_MAX; i; i--)
		;
}

static uint8_t *
reserve(struct flow *flow, uint64_t number, size_t size, uint64_t *random)
{
	struct side *side = flow->from;
	uint8_t *body = NULL;
	plug_err err = PLUG_EOVERLOADED;

	while (err == PLUG_EOVERLOADED) {
		for (unsigned i = looks(flow, random); i && err == PLUG_EOVERLOADED; i--)
			err = plugs_reserve(&side->poster, size, &body);
		if (err != PLUG_EOVERLOADED)
			break;
		plugs_sleep_begin(&side->own, PLUG_SLEEP_ROOM);
		err = plugs_reserve(&side->poster, size, &body);
		if (err == PLUG_EOVERLOADED) {
			flow->slept_for_room++;
			atomic_store_explicit(&flow->asleep, number, memory_order_relaxed);
			wait_on(side);
		}
		plugs_sleep_end(&side->own);
	}
	MUST(err == PLUG_OK);
	return body;
}

static void *
produce(void *arg)
{
	struct flow *flow = arg;
	uint64_t sizes = 11, pauses = 99;

	for (uint64_t i = 0; i < RECORDS; i++) {
		size_t size = next_size(flow, &sizes), used = written(flow, size);
		uint8_t *body;
		uint64_t sum;

		if (flow->mode == ONE_RECORD)
			meet(&flow->taken, i, &pauses);
		if (flow->mode == ONE_RECORD && i % ASLEEP_EVERY == 0)
			meet(&flow->asleep, i, &pauses);
		body = reserve(flow, i, size, &pauses);
		memcpy(body + 8, &i, sizeof(i));
		memset(body + HEADER, (int)(i % 251), used - HEADER);
		sum = checksum(body + 8, used - 8);
		memcpy(body, &sum, sizeof(sum));
		if (plugs_post(&flow->from->poster, size))
			MUST(plugs_wake(flow->from->wake_fd));
		atomic_store_explicit(&flow->posted, i + 1, memory_order_relaxed);
		if (flow->mode == STREAM)
			think(&pauses);
	}
	return NULL;
}

static size_t
peek(struct flow *flow, uint64_t number, const uint8_t **ret_body, uint64_t *random)
{
	struct side *side = flow->to;
	size_t size = 0;
	plug_err err = PLUG_EAGAIN;

	while (err == PLUG_EAGAIN) {
		for (unsigned i = looks(flow, random); i && err == PLUG_EAGAIN; i--)
			err = plugs_peek(&side->taker, ret_body, &size);
		if (err != PLUG_EAGAIN)
			break;
		if (plugs_tell_taken(&side->taker))
			MUST(plugs_wake(side->wake_fd));
		plugs_sleep_begin(&side->own, PLUG_SLEEP_RECORDS);
		err = plugs_peek(&side->taker, ret_body, &size);
		if (err == PLUG_EAGAIN) {
			flow->slept_for_records++;
			atomic_store_explicit(&flow->asleep, number, memory_order_relaxed);
			wait_on(side);
		}
		plugs_sleep_end(&side->own);
	}
	MUST(err == PLUG_OK);
	return size;
}

static void
consume(struct flow *flow)
{
	uint64_t sizes = 11, pauses = 7;
	uint8_t copy[HEADER + MORE_MAX];

	for (uint64_t i = 0; i < RECORDS; i++) {
		const uint8_t *body = NULL;
		size_t size, used;
		uint64_t number, sum;

		if (flow->mode == ONE_ROOM)
			meet(&flow->posted, i + 2 < RECORDS ? i + 2 : RECORDS, &pauses);
		if (flow->mode == ONE_ROOM && i % ASLEEP_EVERY == 0 && i + 2 < RECORDS)
			meet(&flow->asleep, i + 2, &pauses);
		size = peek(flow, i, &body, &pauses);
		used = written(flow, size);
		MUST(size == next_size(flow, &sizes));
		memcpy(copy, body, used);
		plugs_taken(&flow->to->taker, size);
		memcpy(&sum, copy, sizeof(sum));
		memcpy(&number, copy + 8, sizeof(number));
		MUST(number == i);
		MUST(sum == checksum(copy + 8, used - 8));
		if (flow->mode == STREAM)
			think(&pauses);
		else if (plugs_tell_taken(&flow->to->taker))
			MUST(plugs_wake(flow->to->wake_fd));
		atomic_store_explicit(&flow->taken, i + 1, memory_order_relaxed);
	}
}

static void
exchange(bool shared_mapping, bool back, enum mode mode)
{
	struct pair pair;
	struct flow flow = {.mode = mode};
	pthread_t thread;

	pair_init(&pair, PLUG_REGION_BYTES_MIN, shared_mapping);
	flow.from = back ? &pair.plugin : &pair.caller;
	flow.to = back ? &pair.caller : &pair.plugin;
	assert_int_equal(pthread_create(&thread, NULL, produce, &flow), 0);
	consume(&flow);
	pthread_join(thread, NULL);
	print_message("  slept %llu times for records, %llu for room\n",
		      (unsigned long long)flow.slept_for_records,
		      (unsigned long long)flow.slept_for_room);
	assert_true(flow.slept_for_records + flow.slept_for_room > 100);
	pair_fini(&pair);
}

/* The addresses are the same in both threads: a thread sanitizer sees every race. */
static void
test_one_mapping(void **state)
{
	(void)state;
	exchange(true, false, STREAM);
}

/* As between processes: each has its own mappings. */
static void
test_two_mappings(void **state)
{
	(void)state;
	exchange(false, true, STREAM);
}

/* A store that may be seen late, of a record or of who sleeps, and the thread waits for ever. */
static void
test_each_record_wakes(void **state)
{
	(void)state;
	exchange(false, false, ONE_RECORD);
}

static void
test_each_room_wakes(void **state)
{
	(void)state;
	exchange(false, false, ONE_ROOM);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_mapping),
		cmocka_unit_test(test_two_mappings),
		cmocka_unit_test(test_each_record_wakes),
		cmocka_unit_test(test_each_room_wakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
