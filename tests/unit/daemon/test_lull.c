/* Work that waits for a moment without calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "plugin/lull.h"

#define TASKS 3

static struct {
	struct ev_loop *loop;
	struct lull lull;
	struct lull_task tasks[TASKS];
	unsigned order[TASKS], ran;
	uint64_t ran_ns;
} t;

static void
on_run(struct lull_task *task)
{
	assert_true(list_empty(&task->node));
	t.order[t.ran++ % TASKS] = (unsigned)(task - t.tasks);
	t.ran_ns = clock_mono_ns();
}

static int
setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.loop = ev_loop_new(EVFLAG_NOENV);
	assert_non_null(t.loop);
	lull_init(&t.lull, t.loop);
	for (unsigned i = 0; i < TASKS; i++)
		lull_task_init(&t.tasks[i], on_run);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	lull_fini(&t.lull);
	ev_loop_destroy(t.loop);
	return 0;
}

static void
run_until(unsigned ran)
{
	while (t.ran < ran)
		ev_run(t.loop, EVRUN_ONCE);
}

static void
test_one_task_a_turn_in_their_order(void **state)
{
	(void)state;
	for (unsigned i = 0; i < TASKS; i++)
		lull_await(&t.lull, &t.tasks[(i + 1) % TASKS], 0);
	for (unsigned i = 0; i < TASKS; i++) {
		assert_int_equal(t.ran, i);
		ev_run(t.loop, EVRUN_NOWAIT);
	}
	for (unsigned i = 0; i < TASKS; i++)
		assert_int_equal(t.order[i], (i + 1) % TASKS);
	ev_run(t.loop, EVRUN_NOWAIT);
	assert_int_equal(t.ran, TASKS);
}

static void
test_not_before_its_time(void **state)
{
	uint64_t from = clock_mono_ns() + 3 * LULL_MOST_NS;

	(void)state;
	lull_await(&t.lull, &t.tasks[0], from);
	run_until(1);
	assert_true(t.ran_ns >= from);
}

static void
test_not_before_the_lull(void **state)
{
	uint64_t busy;

	(void)state;
	busy = clock_mono_ns();
	lull_busy(&t.lull);
	lull_await(&t.lull, &t.tasks[0], clock_mono_ns());
	run_until(1);
	assert_true(t.ran_ns >= busy + LULL_NS);
}

/* A call at every moment: it comes to its turn all the same, when it has waited for the most. */
static void
test_not_much_later_than_it_may(void **state)
{
	uint64_t from = clock_mono_ns();

	(void)state;
	lull_await(&t.lull, &t.tasks[0], from);
	t.lull.busy_ns = UINT64_MAX / 2;
	run_until(1);
	assert_true(t.ran_ns >= from + LULL_MOST_NS);
}

static void
test_a_cancelled_one_does_not_run(void **state)
{
	(void)state;
	lull_await(&t.lull, &t.tasks[0], 0);
	lull_await(&t.lull, &t.tasks[1], 0);
	lull_cancel(&t.tasks[0]);
	lull_cancel(&t.tasks[0]);
	run_until(1);
	assert_int_equal(t.order[0], 1);
	lull_await(&t.lull, &t.tasks[0], clock_mono_ns() + LULL_MOST_NS);
	lull_cancel(&t.tasks[0]);
	ev_run(t.loop, EVRUN_ONCE); /* the timer, for nobody */
	assert_int_equal(t.ran, 1);
}

/* Moved, not run twice. */
static void
test_awaited_twice(void **state)
{
	uint64_t from = clock_mono_ns() + LULL_MOST_NS;

	(void)state;
	lull_await(&t.lull, &t.tasks[0], 0);
	lull_await(&t.lull, &t.tasks[0], from);
	run_until(1);
	assert_true(t.ran_ns >= from);
	ev_run(t.loop, EVRUN_NOWAIT);
	assert_int_equal(t.ran, 1);
}

/* The process has no descriptor left. */
static void
test_without_a_timer_descriptor(void **state)
{
	uint64_t from = clock_mono_ns() + LULL_MOST_NS;

	(void)state;
	ev_io_stop(t.loop, &t.lull.fd_w);
	close_fd(&t.lull.fd);
	lull_await(&t.lull, &t.tasks[0], from);
	lull_busy(&t.lull);
	run_until(1);
	assert_true(t.ran_ns >= from);
}

static void
test_one_of_zeros_is_ended(void **state)
{
	struct lull zeros = {0};

	(void)state;
	lull_fini(&zeros);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_task_a_turn_in_their_order),
		TEST(test_not_before_its_time),
		TEST(test_not_before_the_lull),
		TEST(test_not_much_later_than_it_may),
		TEST(test_a_cancelled_one_does_not_run),
		TEST(test_awaited_twice),
		TEST(test_without_a_timer_descriptor),
		TEST(test_one_of_zeros_is_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
