/* Turns: how often the process hands over the processor of itself. */
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/turn.h"

static uint64_t took_ns; /* the last offer, at least */

/* Did it sleep? */
static bool
offer(void)
{
	struct rusage before, after;
	uint64_t began_ns;

	getrusage(RUSAGE_THREAD, &before);
	began_ns = clock_mono_ns();
	turn_offer();
	took_ns = clock_mono_ns() - began_ns;
	getrusage(RUSAGE_THREAD, &after);
	return after.ru_nvcsw > before.ru_nvcsw;
}

static void
run_on(void)
{
	uint64_t end_ns = clock_mono_ns() + TURN_NS;

	while (clock_mono_ns() < end_ns)
		;
}

static void
test_none_are_given_unless_it_was_begun(void **state)
{
	(void)state;
	assert_false(offer());
	run_on();
	assert_false(offer());
}

static void
test_as_many_as_there_are(void **state)
{
	bool first, second;

	(void)state;
	do { /* on a busy machine one may be long, or be taken before it is given */
		turn_begin(2);
		first = offer() && took_ns < TURN_LONG_NS;
		run_on();
		second = offer();
		run_on();
	} while (!first || !second);
	assert_false(offer());
}

/* Two that want one processor: they share it in slices of more than a millisecond. */
static void
test_a_long_one_is_the_last(void **state)
{
	pid_t busy = fork();
	cpu_set_t one;

	(void)state;
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	if (!busy)
		for (prctl(PR_SET_PDEATHSIG, SIGKILL), sched_setaffinity(0, sizeof(one), &one);;)
			;
	sched_setaffinity(0, sizeof(one), &one);
	do { /* it may lose the processor before it gives it away */
		turn_begin(UINT_MAX);
		offer();
	} while (took_ns < 2 * TURN_LONG_NS);
	run_on();
	assert_false(offer());
	kill(busy, SIGKILL);
	waitpid(busy, NULL, 0);
}

static void
test_one_that_has_hardly_run_gives_none(void **state)
{
	uint64_t began_ns;
	bool gave;

	(void)state;
	turn_begin(2);
	offer();
	began_ns = clock_mono_ns();
	gave = offer();
	if (clock_mono_ns() - began_ns < TURN_NS / 2) /* else it has stood still itself */
		assert_false(gave);
	turn_begin(0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none_are_given_unless_it_was_begun),
		cmocka_unit_test(test_as_many_as_there_are),
		cmocka_unit_test(test_a_long_one_is_the_last),
		cmocka_unit_test(test_one_that_has_hardly_run_gives_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
