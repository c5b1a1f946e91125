#include "base/turn.h"

#include "base/clock.h"

static unsigned turns_left;
static uint64_t last_ns;

void
turn_begin(unsigned turns)
{
	turns_left = turns;
	last_ns = 0;
}

void
turn_offer(void)
{
	const struct timespec least = {.tv_nsec = 1};
	uint64_t began_ns = clock_mono_ns();

	if (!turns_left || began_ns - last_ns < TURN_NS)
		return;
	turns_left--;
	clock_nanosleep(CLOCK_MONOTONIC, 0, &least, NULL);
	last_ns = clock_mono_ns();
	if (last_ns - began_ns > TURN_LONG_NS)
		turns_left = 0;
}
