#include "clock.h"
#include "state.h"
#include "work_private.h"

/* ---- places among the running ---- */

/* Called with the lock held.  -1: none left. */
static int
take_slot(struct work *work)
{
	int slot;

	if (work->running == work->limit || work->drained)
		return -1;
	slot = __builtin_ctzll(~work->slots);
	work->slots |= 1ull << slot;
	work->running++;
	return slot;
}

static void
give_slot(struct work *work, int slot)
{
	if (slot < 0)
		return;
	work->slots &= ~(1ull << slot);
	work->running--;
	if (work->running == 0)
		pthread_cond_broadcast(&work->settled);
}

bool
plugp_work_keep_slot(struct plug_plugin *plugin, struct role *role)
{
	pthread_mutex_lock(&plugin->work.lock);
	if (role->slot < 0 && !plugin->work.queue)
		role->slot = take_slot(&plugin->work);
	pthread_mutex_unlock(&plugin->work.lock);
	return role->slot >= 0;
}

void
plugp_work_drop_slot(struct plug_plugin *plugin, struct role *role)
{
	pthread_mutex_lock(&plugin->work.lock);
	give_slot(&plugin->work, role->slot);
	role->slot = -1;
	pthread_mutex_unlock(&plugin->work.lock);
}

/* ---- running calls ---- */

/* Called with the lock held. */
static void
finish(struct worker *worker, struct plug_call *call)
{
	struct plug_plugin *plugin = worker->plugin;

	plugp_calls_remove(&plugin->work, call);
	give_slot(&plugin->work, call->slot);
	plugp_calls_free(call);
}

static void
measure(struct plug_plugin *plugin, const struct plug_call *call)
{
	uint64_t took_ns = clock_ns() - call->began_ns;

	plugp_methods_learn(&plugin->methods, call->method, took_ns);
	if (call->channel)
		plugp_page_took(&plugin->page, took_ns, 1);
}

void
plugp_work_end(struct worker *worker, struct plug_call *call)
{
	struct plug_plugin *plugin = worker->plugin;

	measure(plugin, call);
	plugp_reply_count(plugin, call->channel, call->outcome);
	pthread_mutex_lock(&plugin->work.lock);
	finish(worker, call);
	pthread_mutex_unlock(&plugin->work.lock);
}

void
plugp_work_execute(struct worker *worker, struct plug_call *call, struct worker *next)
{
	struct plug_plugin *plugin = worker->plugin;
	struct work *work = &plugin->work;

	call->stage = CALL_RUNNING;
	call->worker = worker;
	call->led = 0;
	pthread_mutex_unlock(&work->lock);
	plugp_work_wake(next);

	call->began_ns = clock_ns();
	plugp_page_executing(&plugin->page, (unsigned)call->slot,
			     plugp_call_number(call->channel, call->id), call->began_ns,
			     call->deadline_ns);
	plugp_reply_finish(call, call->method->handler(call, plugin->config.user));
	plugp_page_idle(&plugin->page, (unsigned)call->slot);
	measure(plugin, call);

	pthread_mutex_lock(&work->lock);
	finish(worker, call);
}

static void
enqueue(struct work *work, struct plug_call *call)
{
	call->stage = CALL_QUEUED;
	call->queue_next = NULL;
	*work->queue_tail = call;
	work->queue_tail = &call->queue_next;
	plugp_calls_list(work, call);
}

struct plug_call *
plugp_work_dequeue(struct plug_plugin *plugin)
{
	struct work *work = &plugin->work;
	struct plug_call *call = work->queue;

	if (!call || atomic_load_explicit(&plugin->stopping, memory_order_relaxed) ||
	    (call->slot = take_slot(work)) < 0)
		return NULL;
	work->queue = call->queue_next;
	if (!work->queue)
		work->queue_tail = &work->queue;
	return call;
}

static void
run_holding(struct worker *worker, struct role *role, struct plug_call *call)
{
	struct plug_plugin *plugin = worker->plugin;
	uint32_t average = plugp_methods_average(&plugin->methods, call->method);
	struct worker *next = NULL;
	bool watched = atomic_load(&plugin->work.watched);
	uint64_t alarm = 0;

	if (!watched && average <= WORK_QUICK_NS)
		alarm = plugp_work_set_alarm(plugin, role);
	if (!alarm && (!watched || average == 0 || average > WORK_QUICK_NS))
		next = plugp_work_hand_over(plugin, role);
	if (role->holder == worker) {
		role->current = call;
		atomic_fetch_add(&role->beat, 1);
	}
	plugp_work_execute(worker, call, next);
	plugp_work_clear_alarm(plugin, alarm);
	if (role->holder == worker)
		atomic_fetch_add(&role->beat, 1);
}

bool
plugp_work_run(struct worker *worker, enum duty duty, struct plug_call *call)
{
	struct plug_plugin *plugin = worker->plugin;
	struct work *work = &plugin->work;
	struct role *role = &work->roles[duty];
	bool held;

	pthread_mutex_lock(&work->lock);
	give_slot(work, role->slot);
	role->slot = -1;
	if (call)
		enqueue(work, call);
	while (role->holder == worker && (call = plugp_work_dequeue(plugin)) != NULL)
		run_holding(worker, role, call);
	if (work->queue && work->roles[DUTY_PLANE].slot >= 0 &&
	    !atomic_load_explicit(&plugin->stopping, memory_order_relaxed))
		plugp_plane_notify(&plugin->plane, PLANE_QUEUE);
	held = role->holder == worker && !work->closing;
	pthread_mutex_unlock(&work->lock);
	return held;
}
