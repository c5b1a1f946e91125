#include "plugin/vigil.h"

#include <sched.h>
#include <stddef.h>

#include "base/clock.h"

#define VIGIL_SECONDS 0.0004 /* two failovers that take as long as they may */
#define MOST_NS       2000000

/* Nothing is there at the moment. */
static void
on_idle(struct ev_loop *loop, ev_idle *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
	sched_yield();
}

static void
on_end(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	vigil_end(w->data);
}

static int
processors(void)
{
	cpu_set_t allowed;

	return sched_getaffinity(0, sizeof(allowed), &allowed) ? 1 : CPU_COUNT(&allowed);
}

void
vigil_init(struct vigil *vigil, struct ev_loop *loop)
{
	vigil->loop = processors() > 1 ? loop : NULL;
	vigil->began_ns = 0;
	list_init(&vigil->tasks);
	ev_idle_init(&vigil->idle_w, on_idle);
	ev_set_priority(&vigil->idle_w, EV_MINPRI);
	ev_timer_init(&vigil->end_w, on_end, 0., 0.);
	vigil->idle_w.data = vigil->end_w.data = vigil;
}

void
vigil_keep(struct vigil *vigil)
{
	if (!vigil->loop)
		return;
	if (!vigil_is_kept(vigil))
		vigil->began_ns = clock_mono_ns();
	else if (clock_mono_ns() - vigil->began_ns > MOST_NS)
		return;
	ev_idle_start(vigil->loop, &vigil->idle_w);
	ev_timer_stop(vigil->loop, &vigil->end_w);
	ev_now_update(vigil->loop);
	ev_timer_set(&vigil->end_w, VIGIL_SECONDS, 0.);
	ev_timer_start(vigil->loop, &vigil->end_w);
}

bool
vigil_is_kept(const struct vigil *vigil)
{
	return ev_is_active(&vigil->idle_w);
}

void
vigil_do_after(struct vigil *vigil, struct vigil_task *task)
{
	if (!vigil_is_kept(vigil)) {
		task->run(task);
		return;
	}
	list_append(&vigil->tasks, &task->node);
}

void
vigil_end(struct vigil *vigil)
{
	if (vigil->loop) {
		ev_idle_stop(vigil->loop, &vigil->idle_w);
		ev_timer_stop(vigil->loop, &vigil->end_w);
	}
	LIST_FOREACH_SAFE (task, &vigil->tasks, struct vigil_task, node) {
		list_remove(&task->node);
		task->run(task);
	}
}
