/* CLOCK_MONOTONIC in nanoseconds, and the conversions that go with it. */
#ifndef PLUG_SDK_CLOCK_H
#define PLUG_SDK_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

#define NS_PER_US 1000ull
#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull

static inline uint64_t
clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* A tick is 10 ms at most, but the processor that counts them may be a virtual one that waits for a
 * real one. */
#define CLOCK_COARSE_NS (100 * NS_PER_MS)

/* The same, CLOCK_COARSE_NS behind at most and in a tenth of the time. */
static inline uint64_t
clock_coarse_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* When a call ends that has `timeout_us` from `now` on; 0 or centuries: UINT64_MAX, never. */
static inline uint64_t
clock_deadline(uint64_t now_ns, uint64_t timeout_us)
{
	if (timeout_us == 0 || timeout_us >= UINT64_MAX / NS_PER_US / 2)
		return UINT64_MAX;
	return now_ns + timeout_us * NS_PER_US;
}

static inline struct timespec
clock_spec(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S),
				 .tv_nsec = (long)(ns % NS_PER_S)};
}

/* Wait until `until_ns` at the latest; UINT64_MAX waits without a limit.  The condition must have
 * been made by clock_cond_init(). */
static inline int
clock_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until_ns)
{
	struct timespec ts;

	if (until_ns == UINT64_MAX)
		return pthread_cond_wait(cond, lock);
	ts = clock_spec(until_ns);
	return pthread_cond_timedwait(cond, lock, &ts);
}

static inline void
clock_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

#endif
