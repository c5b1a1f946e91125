/* One direction of a channel in one thread: places, limits, and what a liar may claim. */
#include "pair.h"
#include "sample.h"

#define REGION PLUG_REGION_BYTES_MIN
#define RING   (REGION - PLUG_REGION_HEAD)

static int
setup(void **state)
{
	struct pair *pair = malloc(sizeof(*pair));

	assert_non_null(pair);
	pair_init(pair, REGION, false);
	*state = pair;
	return 0;
}

static int
teardown(void **state)
{
	pair_fini(*state);
	free(*state);
	return 0;
}

static void
fill(uint8_t *body, size_t size, uint64_t seed)
{
	for (size_t i = 0; i < size; i++)
		body[i] = (uint8_t)(seed * 131 + i * 7 + (i >> 8));
}

static void
expect_filled(const uint8_t *body, size_t size, uint64_t seed)
{
	for (size_t i = 0; i < size; i++) {
		if (body[i] != (uint8_t)(seed * 131 + i * 7 + (i >> 8)))
			fail_msg("byte %zu of %zu is wrong, seed %llu", i, size,
				 (unsigned long long)seed);
	}
}

static bool
post(struct side *from, size_t size, uint64_t seed)
{
	uint8_t *body = NULL;

	assert_int_equal(plugs_reserve(&from->poster, size, &body), PLUG_OK);
	fill(body, size, seed);
	return plugs_post(&from->poster, size);
}

static void
expect_nothing(struct side *by)
{
	const uint8_t *body;
	size_t size;

	assert_int_equal(plugs_peek(&by->taker, &body, &size), PLUG_EAGAIN);
}

static void
take(struct side *by, size_t expected, uint64_t seed)
{
	const uint8_t *body = NULL;
	size_t size = 0;

	for (int i = 0; i < 2; i++) { /* looking changes nothing */
		assert_int_equal(plugs_peek(&by->taker, &body, &size), PLUG_OK);
		assert_int_equal(size, expected);
	}
	expect_filled(body, size, seed);
	plugs_taken(&by->taker, size);
}

/* Post and take until the next header stands `before_end` bytes before the end of the ring. */
static void
go_to(struct pair *pair, uint64_t before_end)
{
	struct side *from = &pair->caller, *by = &pair->plugin;
	uint64_t step = (2 * (uint64_t)RING - before_end - from->poster.place) % RING;

	if (step > 0 && step < 16) /* no record is so short */
		step += RING;
	while (step > 0) {
		uint64_t one = step > 16384 + 16 ? 16384 : step;

		post(from, one - PLUG_RECORD_HEADER, step);
		take(by, one - PLUG_RECORD_HEADER, step);
		step -= one;
	}
	assert_int_equal(RING - from->poster.place, before_end == 0 ? RING : before_end);
}

static void
test_a_record_is_whole_wherever_it_begins(void **state)
{
	static const size_t sizes[] = {1, 7, 8, 9, 64, 4096};
	struct pair *pair = *state;

	for (uint64_t before_end = 0; before_end <= 4096 + 24; before_end += 8) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
			if (before_end > sizes[i] + 24)
				continue;
			go_to(pair, before_end);
			post(&pair->caller, sizes[i], i);
			post(&pair->caller, 5, i + 1);
			take(&pair->plugin, sizes[i], i);
			take(&pair->plugin, 5, i + 1);
			expect_nothing(&pair->plugin);
		}
	}
}

static void
test_full_and_room_again(void **state)
{
	struct pair *pair = *state;
	struct side *from = &pair->caller, *by = &pair->plugin;
	uint64_t posted = 0, taken = 0;
	uint8_t *body;

	for (int lap = 0; lap < 5; lap++) {
		while (plugs_reserve(&from->poster, 1000, &body) == PLUG_OK)
			post(from, 1000, posted++);
		assert_int_equal(plugs_reserve(&from->poster, 1000, &body), PLUG_EOVERLOADED);
		assert_true(plugs_room(&from->poster) < 1000);
		take(by, 1000, taken++);
		post(from, 1000, posted++);
		assert_int_equal(plugs_reserve(&from->poster, 1000, &body), PLUG_EOVERLOADED);
		while (taken < posted)
			take(by, 1000, taken++);
		expect_nothing(by);
	}
	assert_int_equal(posted, 5 * (RING / 1008 + 1));
}

static void
test_the_last_bytes_can_be_used(void **state)
{
	struct pair *pair = *state;
	struct side *from = &pair->caller, *by = &pair->plugin;
	size_t most = from->poster.record_max;
	uint64_t left = RING - 2 * (most + PLUG_RECORD_HEADER);
	uint8_t *body;

	post(from, most, 1);
	post(from, most, 2);
	left -= 2 * PLUG_RECORD_HEADER; /* its own, and the one behind it */
	assert_int_equal(plugs_room(&from->poster), left);
	assert_int_equal(plugs_reserve(&from->poster, left + 1, &body), PLUG_EOVERLOADED);
	post(from, left, 3);
	assert_int_equal(plugs_room(&from->poster), 0);
	assert_int_equal(plugs_reserve(&from->poster, 1, &body), PLUG_EOVERLOADED);
	take(by, most, 1);
	take(by, most, 2);
	take(by, left, 3);
	expect_nothing(by);
}

static void
test_room_is_what_can_be_reserved(void **state)
{
	struct pair *pair = *state;
	struct side *from = &pair->caller, *by = &pair->plugin;
	uint64_t random = 77, seeds[2] = {0, 0};
	size_t sizes[8192];
	uint8_t *body;

	for (int i = 0; i < 20000; i++) {
		size_t room = plugs_room(&from->poster), size;

		assert_int_not_equal(plugs_reserve(&from->poster, room + 1, &body), PLUG_OK);
		if (room > 0)
			assert_int_equal(plugs_reserve(&from->poster, room, &body), PLUG_OK);
		size = sample_random(&random) % 3000 + 1;
		if (sample_random(&random) % 2 && size <= room) {
			post(from, size, seeds[0]);
			sizes[seeds[0]++ % 8192] = size;
		} else if (seeds[1] < seeds[0]) {
			take(by, sizes[seeds[1] % 8192], seeds[1]);
			seeds[1]++;
		}
	}
	assert_true(seeds[0] > 5000);
}

static void
test_the_longest_record(void **state)
{
	struct pair *pair = *state;
	struct pair big;
	uint8_t *body;

	assert_int_equal(pair->caller.poster.record_max, RING / 3 / 8 * 8);
	assert_int_equal(plugs_reserve(&pair->caller.poster, RING / 3 / 8 * 8 + 1, &body),
			 PLUG_ETOOLARGE);
	pair_init(&big, 1 << 20, false);
	assert_int_equal(big.caller.poster.record_max, PLUG_RECORD_BYTES_MAX);
	for (uint64_t i = 0; i < 60; i++) {
		post(&big.plugin, PLUG_RECORD_BYTES_MAX, i);
		take(&big.caller, PLUG_RECORD_BYTES_MAX, i);
	}
	pair_fini(&big);
}

/* ---- stale and forged headers ---- */

static uint64_t
header(uint64_t position, uint64_t size)
{
	return (uint64_t)(uint32_t)(position / 8 + 1) << 32 | size;
}

/* Every word of every body is the right header of its place in the next lap. */
static void
test_stale_bytes_are_no_headers(void **state)
{
	struct pair *pair = *state;
	struct plugs_poster *poster = &pair->caller.poster;
	struct plugs_taker *taker = &pair->plugin.taker;
	uint64_t random = 3;

	for (int i = 0; i < 20000; i++) {
		size_t words = sample_random(&random) % 60 + 1, size = 0;
		const uint8_t *found = NULL;
		uint8_t *body = NULL;

		expect_nothing(&pair->plugin);
		assert_int_equal(plugs_reserve(poster, words * 8, &body), PLUG_OK);
		for (size_t w = 0; w < words; w++) {
			uint64_t next_lap = poster->position + 8 + 8 * w + RING;
			uint64_t word = header(next_lap, 16);

			memcpy(body + 8 * w, &word, sizeof(word));
		}
		expect_nothing(&pair->plugin);
		plugs_post(poster, words * 8);
		assert_int_equal(plugs_peek(taker, &found, &size), PLUG_OK);
		assert_int_equal(size, words * 8);
		plugs_taken(taker, size);
	}
	assert_true(poster->position > 50 * (uint64_t)RING);
}

static void
expect_header(struct pair *pair, uint64_t word, plug_err expected)
{
	const uint8_t *body;
	size_t size;

	*(volatile uint64_t *)(pair->caller.own.ring + pair->caller.poster.place) = word;
	assert_int_equal(plugs_peek(&pair->plugin.taker, &body, &size), expected);
}

static void
test_forged_headers(void **state)
{
	struct pair *pair = *state;
	uint64_t at, most = pair->plugin.taker.record_max;

	for (int i = 0; i < 3; i++) {
		at = pair->caller.poster.position;
		expect_header(pair, header(at, 1), PLUG_OK);
		expect_header(pair, header(at, most), PLUG_OK);
		expect_header(pair, header(at, 0), PLUG_EPROTO);
		expect_header(pair, header(at, most + 1), PLUG_EPROTO);
		expect_header(pair, header(at, RING), PLUG_EPROTO);
		expect_header(pair, header(at, UINT32_MAX), PLUG_EPROTO);
		expect_header(pair, header(at + RING, 8), PLUG_EPROTO);
		expect_header(pair, header(at - RING, 8), PLUG_EPROTO);
		expect_header(pair, header(at + 8, 8), PLUG_EPROTO);
		expect_header(pair, header(at - 8, 8), PLUG_EPROTO);
		expect_header(pair, 1, PLUG_EPROTO);
		expect_header(pair, UINT64_MAX, PLUG_EPROTO);
		expect_header(pair, 0, PLUG_EAGAIN);
		go_to(pair, 512 * (uint64_t)i + 8);
	}
}

/* Positions go on beyond 32 bits of words. */
static void
test_positions_beyond_32_bits(void **state)
{
	static const uint64_t starts[] = {(1ull << 35) - 64, (1ull << 35) - 8, 1ull << 35,
					  UINT64_MAX / RING * RING - 64};
	struct pair *pair = *state;

	for (size_t i = 0; i < sizeof(starts) / sizeof(*starts); i++) {
		uint64_t start = starts[i];
		struct side *from = &pair->caller, *by = &pair->plugin;

		from->poster.position = from->poster.taken = by->taker.position = start;
		from->poster.place = by->taker.place = start % RING;
		by->own.head->taken = start;
		*(uint64_t *)(from->own.ring + from->poster.place) = 0;
		for (uint64_t seed = 0; seed < 300; seed++) {
			expect_nothing(by);
			post(from, seed % 30 + 1, seed);
			take(by, seed % 30 + 1, seed);
		}
	}
}

/* ---- what the other side claims to have taken ---- */

static void
test_taken_that_lies(void **state)
{
	struct pair *pair = *state;
	struct plugs_poster *poster = &pair->caller.poster;
	uint64_t *taken = &pair->plugin.own.head->taken;
	uint8_t *body;

	while (plugs_reserve(poster, 1000, &body) == PLUG_OK)
		plugs_post(poster, 1000);
	*taken = poster->position + 8; /* more than was posted */
	assert_int_equal(plugs_reserve(poster, 1000, &body), PLUG_EPROTO);
	assert_int_equal(plugs_room(poster), 0);
	*taken = 1004; /* no record ends there */
	assert_int_equal(plugs_reserve(poster, 1000, &body), PLUG_EPROTO);
	assert_int_equal(plugs_room(poster), 0);
	*taken = UINT64_MAX;
	assert_int_equal(plugs_reserve(poster, 1000, &body), PLUG_EPROTO);
	*taken = 2016;
	assert_int_equal(plugs_reserve(poster, 1000, &body), PLUG_OK);
	plugs_post(poster, 1000);
	assert_int_equal(plugs_reserve(poster, 1000, &body), PLUG_OK);
	plugs_post(poster, 1000);
	*taken = 1008; /* less than before */
	assert_int_equal(plugs_reserve(poster, 1000, &body), PLUG_EPROTO);
	assert_int_equal(plugs_room(poster), 0);
	*taken = poster->position;
	assert_int_equal(plugs_reserve(poster, 1000, &body), PLUG_OK);
}

/* ---- who must be woken ---- */

static void
test_post_says_who_sleeps(void **state)
{
	static const struct {
		uint32_t bits;
		bool wake;
	} cases[] = {{0, false},
		     {PLUG_SLEEP_RECORDS, true},
		     {PLUG_SLEEP_ROOM, false},
		     {PLUG_SLEEP_RECORDS | PLUG_SLEEP_ROOM, true},
		     {~(uint32_t)PLUG_SLEEP_RECORDS, false}};
	struct pair *pair = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		plugs_sleep_begin(&pair->plugin.own, cases[i].bits);
		assert_int_equal(post(&pair->caller, 8, i), cases[i].wake);
		plugs_sleep_end(&pair->plugin.own);
		assert_int_equal(pair->plugin.own.head->sleeping, 0);
		take(&pair->plugin, 8, i);
	}
}

/* The byte for the first is on its way until that was taken. */
static void
test_one_wake_up_for_records_in_a_row(void **state)
{
	struct pair *pair = *state;

	plugs_sleep_begin(&pair->plugin.own, PLUG_SLEEP_RECORDS);
	assert_true(post(&pair->caller, 10, 1));
	assert_false(post(&pair->caller, 10, 2));
	assert_false(post(&pair->caller, 10, 3));
	plugs_sleep_end(&pair->plugin.own);
	take(&pair->plugin, 10, 1);
	plugs_sleep_begin(&pair->plugin.own, PLUG_SLEEP_RECORDS);
	assert_true(post(&pair->caller, 10, 4));
	assert_false(post(&pair->caller, 10, 5));
	plugs_sleep_end(&pair->plugin.own);
	for (unsigned seed = 2; seed <= 5; seed++)
		take(&pair->plugin, 10, seed);
	assert_false(post(&pair->caller, 10, 6)); /* awake */
}

static void
test_taking_says_who_waits_for_room(void **state)
{
	struct pair *pair = *state;
	struct plugs_taker *taker = &pair->plugin.taker;

	plugs_sleep_begin(&pair->caller.own, PLUG_SLEEP_ROOM);
	assert_false(plugs_tell_taken(taker)); /* nothing was taken */
	post(&pair->caller, 10, 1);
	post(&pair->caller, 10, 2);
	take(&pair->plugin, 10, 1);
	take(&pair->plugin, 10, 2);
	assert_true(plugs_tell_taken(taker));
	assert_false(plugs_tell_taken(taker)); /* it was told */
	post(&pair->caller, 10, 3);
	take(&pair->plugin, 10, 3);
	plugs_sleep_begin(&pair->caller.own, PLUG_SLEEP_RECORDS);
	assert_false(plugs_tell_taken(taker));
	assert_int_equal(pair->plugin.own.head->taken, pair->caller.poster.position);
}

#define RING_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		RING_TEST(test_a_record_is_whole_wherever_it_begins),
		RING_TEST(test_full_and_room_again),
		RING_TEST(test_the_last_bytes_can_be_used),
		RING_TEST(test_room_is_what_can_be_reserved),
		RING_TEST(test_the_longest_record),
		RING_TEST(test_stale_bytes_are_no_headers),
		RING_TEST(test_forged_headers),
		RING_TEST(test_positions_beyond_32_bits),
		RING_TEST(test_taken_that_lies),
		RING_TEST(test_post_says_who_sleeps),
		RING_TEST(test_one_wake_up_for_records_in_a_row),
		RING_TEST(test_taking_says_who_waits_for_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
