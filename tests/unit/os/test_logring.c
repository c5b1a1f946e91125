#include "os_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/logring.h"

static uint64_t
append(struct logring *ring, const char *text)
{
	struct logring_line line = {.text = text,
				    .length = (uint32_t)strlen(text),
				    .time_ms = 5,
				    .pid = 6,
				    .generation = 7,
				    .stream = 1,
				    .level = 2};

	return logring_append(ring, &line);
}

static void
test_ring_fields(void **state)
{
	struct logring_cursor cursor = {0};
	struct logring_line line;
	struct logring ring;

	(void)state;
	logring_init(&ring, 0);
	assert_null(ring.data); /* on demand */
	assert_false(logring_next(&ring, &cursor, &line));
	assert_int_equal(append(&ring, "first"), 1);
	assert_int_equal(append(&ring, ""), 2);
	assert_true(logring_next(&ring, &cursor, &line));
	assert_int_equal(line.seq, 1);
	assert_int_equal(line.time_ms, 5);
	assert_int_equal(line.pid, 6);
	assert_int_equal(line.generation, 7);
	assert_int_equal(line.stream, 1);
	assert_int_equal(line.level, 2);
	assert_false(line.continues);
	assert_int_equal(line.length, 5);
	assert_memory_equal(line.text, "first", 5);
	assert_true(logring_next(&ring, &cursor, &line));
	assert_int_equal(line.length, 0);
	assert_false(logring_next(&ring, &cursor, &line));
	assert_int_equal(append(&ring, "third"), 3); /* a follower goes on */
	assert_true(logring_next(&ring, &cursor, &line));
	assert_int_equal(line.seq, 3);
	logring_fini(&ring);
	assert_int_equal(logring_count(&ring), 0);
}

/*
 * Against a model, at random sizes: what is held are the last lines without a gap, each as it was
 * put in, never above the cap; a follower sees every line that was not lost.
 */
static void
test_ring_against_model(void **state)
{
	enum { LINES = 20000 };
	static char text[LOGRING_LINE_BYTES + 1];
	static uint32_t lengths[LINES + 1];
	struct logring_cursor follower = {0};
	struct logring_line line;
	uint64_t followed = 0;
	struct logring ring;
	unsigned seed = 1;

	(void)state;
	logring_init(&ring, LOGRING_MIN_BYTES);
	for (uint64_t seq = 1; seq <= LINES; seq++) {
		uint32_t length = (uint32_t)rand_r(&seed) % (seq % 100 ? 200 : 8193);
		struct logring_line in = {.text = text, .length = length, .time_ms = seq};

		memset(text, 'a' + (int)(seq % 26), length);
		lengths[seq] = length;
		assert_int_equal(logring_append(&ring, &in), seq);
		assert_true(ring.capacity <= LOGRING_MIN_BYTES);
		assert_int_equal(ring.lost + logring_count(&ring), seq);
		if (seq % 37 == 0 || seq > LINES - 200) {
			struct logring_cursor cursor = {0};
			uint64_t expected = ring.first_seq;

			while (logring_next(&ring, &cursor, &line)) {
				assert_int_equal(line.seq, expected++);
				assert_int_equal(line.time_ms, line.seq);
				assert_int_equal(line.length, lengths[line.seq]);
				for (uint32_t i = 0; i < line.length; i++)
					assert_int_equal(line.text[i], 'a' + (int)(line.seq % 26));
			}
			assert_int_equal(expected, seq + 1);
		}
		if (rand_r(&seed) % 3 == 0)
			while (logring_next(&ring, &follower, &line)) {
				assert_true(line.seq > followed);
				assert_true(line.seq == followed + 1 || line.seq == ring.first_seq);
				assert_int_equal(line.length, lengths[line.seq]);
				followed = line.seq;
			}
	}
	assert_true(ring.lost > LINES / 2);
	logring_fini(&ring);
}

static void
test_ring_positions(void **state)
{
	struct logring_cursor cursor;
	struct logring_line line;
	struct logring ring;
	char text[16];

	(void)state;
	logring_init(&ring, LOGRING_MIN_BYTES);
	for (int i = 1; i <= 10; i++) {
		snprintf(text, sizeof(text), "line %d", i);
		append(&ring, text);
	}
	cursor = logring_last(&ring, 3);
	assert_true(logring_next(&ring, &cursor, &line));
	assert_int_equal(line.seq, 8);
	cursor = logring_last(&ring, 0);
	assert_false(logring_next(&ring, &cursor, &line));
	append(&ring, "line 11");
	assert_true(logring_next(&ring, &cursor, &line));
	assert_int_equal(line.seq, 11);
	cursor = logring_last(&ring, 1000);
	assert_true(logring_next(&ring, &cursor, &line));
	assert_int_equal(line.seq, 1);
	cursor = logring_from(&ring, 5);
	assert_true(logring_next(&ring, &cursor, &line));
	assert_int_equal(line.seq, 5);
	cursor = logring_from(&ring, 99);
	assert_false(logring_next(&ring, &cursor, &line));
	logring_fini(&ring);
}

static void
test_ring_cuts_long_lines(void **state)
{
	static char text[3 * LOGRING_LINE_BYTES];
	struct logring_line in = {.text = text, .length = sizeof(text)}, line;
	struct logring_cursor cursor = {0};
	struct logring ring;

	(void)state;
	logring_init(&ring, 1);
	logring_append(&ring, &in);
	assert_true(logring_next(&ring, &cursor, &line));
	assert_int_equal(line.length, LOGRING_LINE_BYTES);
	assert_true(line.continues);
	logring_fini(&ring);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ring_fields),
		cmocka_unit_test(test_ring_against_model),
		cmocka_unit_test(test_ring_positions),
		cmocka_unit_test(test_ring_cuts_long_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
