/* Monotonic and wall time. */
#ifndef PLUGD_CLOCK_H
#define PLUGD_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t
clock_ns(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* CLOCK_MONOTONIC: for intervals and deadlines. */
static inline uint64_t
clock_mono_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static inline uint64_t
clock_mono_ms(void)
{
	return clock_mono_ns() / 1000000u;
}

/* Milliseconds since the epoch: for people; may jump. */
static inline uint64_t
clock_wall_ms(void)
{
	return clock_ns(CLOCK_REALTIME) / 1000000u;
}

#endif
