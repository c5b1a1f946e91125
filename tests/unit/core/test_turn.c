/* Turns: how often the process hands over the processor of itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/turn.h"

/* Did it sleep? */
static bool
offer(void)
{
	struct rusage before, after;

	getrusage(RUSAGE_THREAD, &before);
	turn_offer();
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
	(void)state;
	turn_begin(2);
	assert_true(offer());
	run_on();
	assert_true(offer());
	run_on();
	assert_false(offer());
}

static void
test_one_that_has_hardly_run_gives_none(void **state)
{
	uint64_t began_ns;
	bool gave;

	(void)state;
	turn_begin(2);
	assert_true(offer());
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
		cmocka_unit_test(test_one_that_has_hardly_run_gives_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
