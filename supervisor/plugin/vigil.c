#include "plugin/vigil.h"

#include <sched.h>
#include <stddef.h>

#include "base/clock.h"

#define VIGIL_NS 400000 /* two failovers that take as long as they may */

static void
on_idle(struct ev_loop *loop, ev_idle *w, int revents)
{
	struct vigil *vigil = w->data;

	(void)loop;
	(void)revents;
	sched_yield();
	if (clock_mono_ns() >= vigil->until_ns)
		vigil_end(vigil);
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
	vigil->until_ns = 0;
	list_init(&vigil->tasks);
	ev_idle_init(&vigil->idle_w, on_idle);
	ev_set_priority(&vigil->idle_w, EV_MINPRI);
	vigil->idle_w.data = vigil;
}

void
vigil_keep(struct vigil *vigil)
{
	if (!vigil->loop)
		return;
	vigil->until_ns = clock_mono_ns() + VIGIL_NS;
	ev_idle_start(vigil->loop, &vigil->idle_w);
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
	if (vigil->loop)
		ev_idle_stop(vigil->loop, &vigil->idle_w);
	LIST_FOREACH_SAFE (task, &vigil->tasks, struct vigil_task, node) {
		list_remove(&task->node);
		task->run(task);
	}
}
