/*
 * Who has which duty.  Everything here is called with work.lock held, but for plugp_work_alarm()
 * and _will_block(), which take it, and the plane's holder runs quick handlers without it
 * (plane_take.c).  It makes `beat` odd, then looks at `watched`; the watcher withdraws `watched`,
 * and goes only when it has seen no new beat a whole look later, by when the beat of a holder that
 * still saw it is visible.
 */
#include "clock.h"
#include "state.h"
#include "work_private.h"

/* Called with the lock held, by whoever made the beat even when the holder was in a handler.
 * `next` is to be woken: better without the lock, for which it would wait. */
static void
give_role(struct work *work, struct role *role, struct worker *next, bool in_handler)
{
	if (in_handler) {
		plugp_calls_list(work, role->current);
		role->slot = -1; /* the call's now */
	}
	role->holder = next;
}

struct worker *
plugp_work_hand_over(struct plug_plugin *plugin, struct role *role)
{
	struct worker *next = plugp_work_idle(plugin);
	uint64_t beat = atomic_load(&role->beat);

	if (!next)
		return NULL;
	atomic_store(&role->beat, beat + 2 - (beat & 1));
	give_role(&plugin->work, role, next, beat & 1);
	return next;
}

void
plugp_work_wake(struct worker *worker)
{
	if (worker)
		pthread_cond_signal(&worker->wake);
}

/* By the watcher, with the lock held: the holder was in the same handler when it looked last. */
static void
rescue(struct plug_plugin *plugin, struct role *role)
{
	uint64_t beat = role->seen;
	struct worker *next;

	if (!(beat & 1) || !atomic_compare_exchange_strong(&role->beat, &beat, beat + 1))
		return;
	next = plugp_work_idle(plugin); /* never NULL: the watcher is one */
	give_role(&plugin->work, role, next, true);
	plugp_work_wake(next);
}

/* ---- the alarm ---- */

/* Once in a while: calls that come one after the other are worth a watcher, which costs them
 * nothing, and is found among those who have handed over. */
uint64_t
plugp_work_set_alarm(struct plug_plugin *plugin, const struct role *role)
{
	struct work *work = &plugin->work;
	uint64_t now = clock_ns();

	if (role != &work->roles[DUTY_SESSION] || !work->parked ||
	    (work->alarm_ns && now - work->alarm_ns < WORK_HOT_NS))
		return 0;
	if (!plugp_tick_alarm(&plugin->tick, WORK_ALARM_NS))
		return 0;
	work->alarm_ns = now;
	work->alarm_beat = atomic_load(&role->beat) + 1; /* in the handler */
	return work->alarm_beat;
}

/* Unless it has rung, and may be another handler's by now. */
void
plugp_work_clear_alarm(struct plug_plugin *plugin, uint64_t alarm)
{
	if (!alarm || plugin->work.alarm_beat != alarm)
		return;
	plugin->work.alarm_beat = 0;
	plugp_tick_alarm(&plugin->tick, 0);
}

/* The beat of the session's role changes under the lock only. */
void
plugp_work_alarm(struct plug_plugin *plugin)
{
	struct work *work = &plugin->work;
	struct role *role = &work->roles[DUTY_SESSION];
	struct worker *next = NULL;

	pthread_mutex_lock(&work->lock);
	if (work->alarm_beat && atomic_load(&role->beat) == work->alarm_beat) {
		next = plugp_work_idle(plugin);
		if (next) {
			atomic_store(&role->beat, work->alarm_beat + 1);
			give_role(work, role, next, true);
		}
	}
	work->alarm_beat = 0;
	pthread_mutex_unlock(&work->lock);
	plugp_work_wake(next);
}

void
plugp_work_will_block(struct plug_call *call)
{
	struct work *work = &call->plugin->work;
	struct worker *next[DUTIES] = {0};

	pthread_mutex_lock(&work->lock);
	if (work->roles[DUTY_SESSION].holder == call->worker)
		plugp_work_clear_alarm(call->plugin, work->alarm_beat);
	for (int duty = 0; duty < DUTIES; duty++) {
		if (work->roles[duty].holder == call->worker)
			next[duty] = plugp_work_hand_over(call->plugin, &work->roles[duty]);
	}
	pthread_mutex_unlock(&work->lock);
	for (int duty = 0; duty < DUTIES; duty++)
		plugp_work_wake(next[duty]);
}

/* ---- watching ---- */

bool
plugp_work_is_hot(struct work *work)
{
	uint64_t now = clock_ns();

	for (int duty = 0; duty < DUTIES; duty++) {
		struct role *role = &work->roles[duty];
		uint64_t beat = atomic_load(&role->beat);

		if (beat != role->seen)
			work->last_beat_ns = now;
		role->seen = beat;
	}
	return work->last_beat_ns && now - work->last_beat_ns < WORK_HOT_NS;
}

void
plugp_work_watch(struct worker *worker)
{
	struct work *work = &worker->plugin->work;

	clock_cond_wait(&worker->wake, &work->lock, clock_ns() + WORK_LOOK_NS);
	for (int duty = 0; duty < DUTIES && work->watcher == worker; duty++)
		rescue(worker->plugin, &work->roles[duty]);
	if (work->watcher != worker)
		return;
	if (plugp_work_is_hot(work))
		atomic_store(&work->watched, true);
	else if (atomic_load(&work->watched))
		atomic_store(&work->watched, false); /* and look once more */
	else
		work->watcher = NULL;
}
