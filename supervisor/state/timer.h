/* Timers over an execve: the loop is another one, the clock goes on. */
#ifndef PLUGD_STATE_TIMER_H
#define PLUGD_STATE_TIMER_H

#include <ev.h>
#include <stdint.h>

#include "base/clock.h"

/* When it runs out, by CLOCK_MONOTONIC; 0: it does not run.  The loop's time is up to date. */
static inline uint64_t
state_timer_at(struct ev_loop *loop, ev_timer *w)
{
	double left;

	if (!ev_is_active(w))
		return 0;
	left = ev_timer_remaining(loop, w);
	return clock_mono_ns() + (left > 0 ? (uint64_t)(left * 1e9) : 0);
}

/* One that was initialised, started if it ran. */
static inline void
state_timer_set(struct ev_loop *loop, ev_timer *w, uint64_t at_ns)
{
	uint64_t now;

	if (!at_ns)
		return;
	ev_now_update(loop); /* what was made anew before it took its time: not before its own */
	now = clock_mono_ns();
	ev_timer_set(w, at_ns > now ? (double)(at_ns - now) / 1e9 : 0., w->repeat);
	ev_timer_start(loop, w);
}

#endif
