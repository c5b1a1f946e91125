/* The pipe of a process that prints faster than it is read. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "plugin/output.h"

#define RING_BYTES (1024u * 1024)
#define LINE                                               \
	"0123456789abcdef0123456789abcdef0123456789abcdef" \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123\n"

static struct {
	struct ev_loop *loop;
	struct lull lull;
	struct output output;
	struct output_pipe pipe;
	int theirs;
} t;

static int
setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.loop = ev_loop_new(EVFLAG_AUTO);
	assert_non_null(t.loop);
	lull_init(&t.lull, t.loop);
	output_init(&t.output, &t.lull, -1, "loud", RING_BYTES, 0, 0);
	assert_int_equal(output_pipe_open(&t.pipe, &t.output, OUTPUT_OUT, &t.theirs), PLUG_OK);
	assert_int_equal(fcntl(t.theirs, F_SETFL, O_NONBLOCK), 0);
	output_pipe_start(&t.pipe, 1, 1);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	output_pipe_close(&t.pipe);
	close(t.theirs);
	output_fini(&t.output);
	lull_fini(&t.lull);
	ev_loop_destroy(t.loop);
	return 0;
}

static uint64_t
lines(void)
{
	return t.output.lines;
}

/* As much as there is room for; how many lines. */
static uint64_t
print(void)
{
	uint64_t count = 0;

	while (write(t.theirs, LINE, strlen(LINE)) == (ssize_t)strlen(LINE))
		count++;
	assert_int_equal(errno, EAGAIN);
	return count;
}

static bool
is_read(void)
{
	return ev_is_active(&t.pipe.w);
}

/* Read once, and hand out all of it, piece by piece. */
static void
read_once(void)
{
	ev_invoke(t.loop, &t.pipe.w, EV_READ);
	while (t.pipe.kept) {
		lull_cancel(&t.pipe.task);
		t.pipe.task.run(&t.pipe.task);
	}
}

/* The loop's clock stands still while its callbacks run, so all this happens in one moment. */
static uint64_t
flood(void)
{
	uint64_t printed = 0;

	for (unsigned i = 0; is_read(); i++) {
		assert_true(i < 1000);
		printed += print();
		read_once();
		assert_true(t.pipe.taken < OUTPUT_STRETCH_BYTES + 4096);
	}
	return printed;
}

static void
test_a_flood_rests(void **state)
{
	uint64_t printed, read;

	(void)state;
	printed = flood();
	read = lines();
	assert_in_range(read * strlen(LINE), OUTPUT_STRETCH_BYTES - strlen(LINE),
			OUTPUT_STRETCH_BYTES + 4096);
	assert_true(printed > read);
	assert_false(list_empty(&t.pipe.task.node));
	while (!is_read())
		ev_run(t.loop, EVRUN_ONCE);
	assert_true(list_empty(&t.pipe.task.node));
	while (lines() < printed)
		ev_run(t.loop, EVRUN_ONCE);
	assert_int_equal(lines(), printed);
	assert_int_equal(t.output.ring.lost, 0);
}

/* Of little but lines: what they cost is the work on each. */
static void
test_short_lines_count_as_longer_ones(void **state)
{
	static const char ends[4096] = {[0 ... 4095] = '\n'};
	double worth = (double)sizeof(ends) * OUTPUT_LINE_BYTES / OUTPUT_STRETCH_BYTES;

	uint64_t began = clock_mono_ns();

	(void)state;
	assert_int_equal(write(t.theirs, ends, sizeof(ends)), sizeof(ends));
	read_once();
	assert_int_equal(lines(), sizeof(ends));
	assert_false(is_read());
	assert_true((double)(t.pipe.task.from_ns - began) >
		    (worth - 1) * OUTPUT_STRETCH_SECONDS * 1e9);
}

/* Each read wakes the writer, so there are few; but of short lines no more are taken at once than
 * a small one has. */
static void
test_reads_are_large_where_lines_are_long(void **state)
{
	uint64_t printed = 0, before;

	(void)state;
	printed += print();
	read_once();
	before = lines();
	assert_in_range(before * strlen(LINE), 1, 4096);
	read_once();
	assert_in_range((lines() - before) * strlen(LINE), 3 * 4096, 5 * 4096);
	while (lines() < printed)
		ev_run(t.loop, EVRUN_ONCE);

	for (unsigned i = 0; i < 4 * 4096; i++)
		assert_int_equal(write(t.theirs, "\n", 1), 1);
	while (!is_read())
		ev_run(t.loop, EVRUN_ONCE);
	t.pipe.taken = 0;
	t.pipe.long_lines = false;
	for (unsigned i = 0; i < 2; i++) {
		before = lines();
		read_once();
		assert_int_equal(lines() - before, 4096);
	}
}

/* In each turn of the loop a part of what was read, so that calls which have come go first. */
static void
test_a_read_is_handed_out_in_pieces(void **state)
{
	uint64_t printed, before;
	unsigned pieces = 0;

	(void)state;
	printed = print();
	read_once(); /* the lines are long */
	before = lines();
	ev_invoke(t.loop, &t.pipe.w, EV_READ);
	assert_in_range((lines() - before) * strlen(LINE), 3 * 1024, 5 * 1024);
	assert_non_null(t.pipe.kept);
	assert_false(is_read());
	while (t.pipe.kept) {
		before = lines();
		ev_run(t.loop, EVRUN_ONCE);
		assert_in_range((lines() - before) * strlen(LINE), 0, 5 * 1024);
		pieces += lines() != before;
	}
	assert_in_range(pieces, 2, 3);
	while (lines() < printed)
		ev_run(t.loop, EVRUN_ONCE);
}

/* The loop's time is that of the wall: set back meanwhile, it must not make the rest longer. */
static void
test_the_clock_is_set_back(void **state)
{
	uint64_t began = clock_mono_ns();

	(void)state;
	for (unsigned i = 0; is_read(); i++) {
		assert_true(i < 1000);
		print();
		ev_invoke(t.loop, &t.pipe.w, EV_READ);
		while (t.pipe.kept) {
			t.pipe.begin += 3600.;
			lull_cancel(&t.pipe.task);
			t.pipe.task.run(&t.pipe.task);
		}
	}
	assert_true(t.pipe.task.from_ns < began + 10 * UINT64_C(1000000000));
}

/* As at an upgrade. */
static void
test_what_is_kept_is_handed_out_on_demand(void **state)
{
	static const char ends[2048] = {[0 ... 2047] = '\n'};

	(void)state;
	assert_int_equal(write(t.theirs, ends, sizeof(ends)), sizeof(ends));
	ev_invoke(t.loop, &t.pipe.w, EV_READ);
	assert_in_range(lines(), 1, sizeof(ends) - 1);
	output_pipe_settle(&t.pipe);
	assert_int_equal(lines(), sizeof(ends));
	assert_null(t.pipe.kept);
	ev_run(t.loop, EVRUN_NOWAIT);
	assert_int_equal(write(t.theirs, LINE, strlen(LINE)), strlen(LINE));
	while (lines() <= sizeof(ends)) /* it goes on */
		ev_run(t.loop, EVRUN_ONCE);
}

static void
test_it_is_closed_while_something_is_kept(void **state)
{
	uint64_t printed = print();

	(void)state;
	ev_invoke(t.loop, &t.pipe.w, EV_READ);
	assert_non_null(t.pipe.kept);
	output_pipe_close(&t.pipe);
	assert_int_equal(lines(), printed);
	assert_null(t.pipe.kept);
	assert_true(list_empty(&t.pipe.task.node));
}

static void
test_it_is_closed_while_it_rests(void **state)
{
	uint64_t printed = flood();

	(void)state;
	output_pipe_close(&t.pipe);
	assert_int_equal(lines(), printed); /* what it had printed is not lost */
	assert_true(list_empty(&t.pipe.task.node));
	ev_run(t.loop, EVRUN_NOWAIT);
}

/* A pipe may hold a MiB: a line of nothing costs as much as one of a hundred bytes. */
static void
test_the_rest_of_short_lines_is_bounded(void **state)
{
	static char ends[1024 * 1024];
	ssize_t printed;

	(void)state;
	memset(ends, '\n', sizeof(ends));
	if (fcntl(t.theirs, F_SETPIPE_SZ, (int)sizeof(ends)) < (int)sizeof(ends))
		skip(); /* /proc/sys/fs/pipe-max-size is less here */
	printed = write(t.theirs, ends, sizeof(ends));
	assert_int_equal(printed, sizeof(ends));
	output_pipe_close(&t.pipe);
	assert_in_range(lines(), 64 * 1024, 256 * 1024);
}

static void
test_little_at_a_time_never_rests(void **state)
{
	(void)state;
	for (unsigned i = 1; i <= 2000; i++) {
		ev_tstamp now = ev_now(t.loop);

		assert_int_equal(write(t.theirs, LINE, strlen(LINE)), strlen(LINE));
		while (lines() < i)
			ev_run(t.loop, EVRUN_ONCE);
		while (i % 100 == 0 && ev_now(t.loop) < now + OUTPUT_STRETCH_SECONDS)
			ev_now_update(t.loop);
		assert_true(is_read());
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_flood_rests, setup, teardown),
		cmocka_unit_test_setup_teardown(test_short_lines_count_as_longer_ones, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_reads_are_large_where_lines_are_long, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_read_is_handed_out_in_pieces, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_the_clock_is_set_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_kept_is_handed_out_on_demand, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_it_is_closed_while_something_is_kept, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_it_is_closed_while_it_rests, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_rest_of_short_lines_is_bounded, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_little_at_a_time_never_rests, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
