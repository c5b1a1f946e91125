#include "plugin/lull.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

/* When this task may run, as things are. */
static uint64_t
due_ns(const struct lull *lull, const struct lull_task *task)
{
	uint64_t quiet = lull->busy_ns + LULL_NS;
	uint64_t due = quiet < task->latest_ns ? quiet : task->latest_ns;

	return due > task->from_ns ? due : task->from_ns;
}

/* Also ends its being readable. */
static void
set_timer(struct lull *lull, uint64_t at_ns)
{
	const struct itimerspec at = {
		.it_value = {.tv_sec = (time_t)(at_ns / 1000000000u),
			     .tv_nsec = (long)(at_ns % 1000000000u)},
	};

	if (lull->fd < 0 || at_ns == lull->armed_ns)
		return;
	timerfd_settime(lull->fd, TFD_TIMER_ABSTIME, &at, NULL);
	lull->armed_ns = at_ns;
}

/* Even what is due comes in the loop's next turn, after what calls there are then. */
static void
arm(struct lull *lull)
{
	uint64_t now = clock_mono_ns(), first = UINT64_MAX;

	ev_timer_stop(lull->loop, &lull->soon_w);
	LIST_FOREACH (task, &lull->tasks, struct lull_task, node)
		if (due_ns(lull, task) < first)
			first = due_ns(lull, task);
	set_timer(lull, first > now && first != UINT64_MAX ? first : 0);
	if (first == UINT64_MAX || (first > now && lull->fd >= 0))
		return;
	ev_timer_set(&lull->soon_w, first > now ? (ev_tstamp)(first - now) / 1e9 : 0., 0.);
	ev_timer_start(lull->loop, &lull->soon_w);
}

static void
run_first(struct lull *lull)
{
	uint64_t now = clock_mono_ns();

	lull->running = true;
	LIST_FOREACH (task, &lull->tasks, struct lull_task, node) {
		if (due_ns(lull, task) <= now) {
			list_remove(&task->node);
			task->run(task);
			break;
		}
	}
	lull->running = false;
	arm(lull);
}

static void
on_fd(struct ev_loop *loop, ev_io *w, int revents)
{
	struct lull *lull = w->data;

	(void)loop;
	(void)revents;
	lull->armed_ns = UINT64_MAX; /* it is over, and readable until it is set */
	run_first(lull);
}

static void
on_soon(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	run_first(w->data);
}

void
lull_init(struct lull *lull, struct ev_loop *loop)
{
	*lull = (struct lull){
		.loop = loop,
		.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC),
	};
	if (lull->fd < 0)
		log_warn("timerfd: %s; what plugins print is read in whole milliseconds, and may "
			 "hold up calls for some 60 us",
			 strerror(errno));
	list_init(&lull->tasks);
	ev_timer_init(&lull->soon_w, on_soon, 0., 0.);
	ev_set_priority(&lull->soon_w,
			EV_MINPRI); /* calls and deaths that came meanwhile go first */
	lull->soon_w.data = lull;
	ev_io_init(&lull->fd_w, on_fd, lull->fd, EV_READ);
	ev_set_priority(&lull->fd_w, EV_MINPRI);
	lull->fd_w.data = lull;
	if (lull->fd >= 0)
		ev_io_start(loop, &lull->fd_w);
}

void
lull_fini(struct lull *lull)
{
	if (!lull->loop)
		return;
	ev_timer_stop(lull->loop, &lull->soon_w);
	ev_io_stop(lull->loop, &lull->fd_w);
	close_fd(&lull->fd);
}

void
lull_busy(struct lull *lull)
{
	lull->busy_ns = clock_mono_ns();
}

void
lull_task_init(struct lull_task *task, void (*run)(struct lull_task *task))
{
	*task = (struct lull_task){.run = run};
	list_init(&task->node);
}

static void
await(struct lull *lull, struct lull_task *task, uint64_t from_ns, uint64_t latest_ns)
{
	list_remove(&task->node);
	task->from_ns = from_ns;
	task->latest_ns = latest_ns;
	list_append(&lull->tasks, &task->node);
	if (!lull->running)
		arm(lull);
}

void
lull_await(struct lull *lull, struct lull_task *task, uint64_t from_ns)
{
	await(lull, task, from_ns, from_ns + LULL_MOST_NS);
}

void
lull_await_rest(struct lull *lull, struct lull_task *task)
{
	await(lull, task, 0, task->latest_ns);
}

void
lull_cancel(struct lull_task *task)
{
	list_remove(&task->node);
}
