#include "core/backoff.h"

enum slot_event
backoff_decide(struct backoff *backoff, enum restart_policy policy, const struct death *death)
{
	if (death->declared)
		return SE_GONE_FAILED;
	if (policy == RESTART_NEVER || (policy == RESTART_ON_FAILURE && death->clean))
		return SE_GONE_DONE;
	if (death->ready_ms >= BACKOFF_STABLE_MS)
		backoff->failures = 0;
	if (backoff->failures < UINT32_MAX)
		backoff->failures++;
	if (backoff->max_failures && backoff->failures >= backoff->max_failures)
		return SE_GONE_EXCESS;
	return SE_GONE_RETRY;
}

uint64_t
backoff_pause_ms(const struct backoff *backoff, uint32_t random)
{
	uint32_t doublings = backoff->failures ? backoff->failures - 1 : 0;
	uint64_t pause = backoff->min_ms;

	while (doublings-- && pause < backoff->max_ms)
		pause = pause > UINT64_MAX / 2 ? UINT64_MAX : pause * 2;
	if (pause > backoff->max_ms)
		pause = backoff->max_ms;
	return pause - (uint64_t)((double)pause / 4 * ((double)random / 4294967296.0));
}
