/*
 * Invariants, all under work.lock
 *
 * - A role's holder is the only thread that has its duty; it is set by whoever gives the role away,
 *   to a thread that is not running a handler.  Once a duty was started it is never NULL.
 * - running <= limit, and there are at most as many threads more as there are duties, so while a
 *   handler is about to run there is another thread, parked or not yet made, that can have the
 *   role.  Only when making it fails (a limit on processes) does a holder keep its role through a
 *   long handler.
 * - The queue is not empty only while running == limit; whoever ends a handler looks there first.
 *   The plane's holder may be one of the running without a handler: it is told then.
 * - A holder that runs a handler without handing over first needs a watcher, a thread that looks
 *   every WORK_LOOK_NS while traffic is hot, or, the session's, an alarm (work_role.c).  When
 *   nothing happens nobody looks.
 */
#include "work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "clock.h"
#include "dying.h"
#include "state.h"
#include "work_private.h"

#define STACK_BYTES      (1024u * 1024)
#define WARM_STACK_BYTES (16u * 1024)
#define PAGE_BYTES       4096

static void *worker_main(void *arg);

plug_err
plugp_work_init(struct plug_plugin *plugin)
{
	struct work *work = &plugin->work;

	pthread_mutex_init(&work->lock, NULL);
	clock_cond_init(&work->settled);
	work->queue_tail = &work->queue;
	work->limit = plugin->config.workers ? plugin->config.workers : WORK_DEFAULT;
	page_set(&plugin->page.vitals->workers_most, work->limit);
	work->duties = 1;
	for (int duty = 0; duty < DUTIES; duty++)
		work->roles[duty].slot = -1;
	return PLUG_OK;
}

void
plugp_work_fini(struct plug_plugin *plugin)
{
	struct work *work = &plugin->work;

	for (size_t i = 0; i < WORK_BUCKETS; i++) {
		struct plug_call *call;

		while ((call = work->buckets[i]) != NULL) {
			plugp_calls_remove(work, call);
			plugp_calls_free(call);
		}
	}
}

/* ---- threads ---- */

/* A new thread, not yet counted on; NULL when there can be none.  Called with the lock held. */
static struct worker *
add_worker(struct plug_plugin *plugin)
{
	struct work *work = &plugin->work;
	struct worker *worker = &work->workers[work->threads];
	pthread_attr_t attr;
	int failed;

	if (work->threads >= work->limit + work->duties)
		return NULL;
	worker->plugin = plugin;
	clock_cond_init(&worker->wake);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	failed = pthread_create(&worker->thread, &attr, worker_main, worker);
	pthread_attr_destroy(&attr);
	if (failed) {
		plugp_complain(plugin,
			       "cannot start a worker thread: %s; while a handler runs, nothing "
			       "else is heard",
			       strerror(failed));
		return NULL;
	}
	work->threads++;
	return worker;
}

struct worker *
plugp_work_idle(struct plug_plugin *plugin)
{
	struct work *work = &plugin->work;
	struct worker **at = &work->parked, *worker;

	if (*at && *at == work->watcher)
		at = &(*at)->parked_next;
	worker = *at;
	if (!worker) {
		worker = add_worker(plugin);
		if (worker || !work->parked)
			return worker;
		at = &work->parked;
		worker = *at; /* the watcher */
		work->watcher = NULL;
		atomic_store(&work->watched, false);
	}
	*at = worker->parked_next;
	return worker;
}

static plug_err
start_duty(struct plug_plugin *plugin, enum duty duty)
{
	struct work *work = &plugin->work;
	struct role *role = &work->roles[duty];
	bool held;

	pthread_mutex_lock(&work->lock);
	if (!role->holder && !work->closing) {
		work->duties = (unsigned)duty + 1;
		role->holder = plugp_work_idle(plugin);
		if (role->holder)
			pthread_cond_signal(&role->holder->wake);
	}
	held = role->holder;
	pthread_mutex_unlock(&work->lock);
	return held ? PLUG_OK : PLUG_ESYS;
}

plug_err
plugp_work_start(struct plug_plugin *plugin)
{
	return start_duty(plugin, DUTY_SESSION);
}

plug_err
plugp_work_start_plane(struct plug_plugin *plugin)
{
	return start_duty(plugin, DUTY_PLANE);
}

void
plugp_work_prepare(struct plug_plugin *plugin)
{
	struct work *work = &plugin->work;

	pthread_mutex_lock(&work->lock);
	if (!work->parked && !work->closing)
		add_worker(plugin); /* it parks itself */
	pthread_mutex_unlock(&work->lock);
}

void
plugp_work_open(struct plug_plugin *plugin)
{
	atomic_store(&plugin->work.open, true);
}

static void
receive(struct worker *worker)
{
	struct plug_call *call;

	do
		call = plugp_session_receive(worker->plugin);
	while (plugp_work_run(worker, DUTY_SESSION, call));
}

static bool
has_role(const struct work *work, const struct worker *worker)
{
	return work->roles[DUTY_SESSION].holder == worker ||
	       work->roles[DUTY_PLANE].holder == worker;
}

static void
unpark(struct work *work, struct worker *worker)
{
	struct worker **at = &work->parked;

	while (*at && *at != worker)
		at = &(*at)->parked_next;
	if (*at)
		*at = worker->parked_next;
	if (work->watcher == worker) {
		work->watcher = NULL;
		atomic_store(&work->watched, false);
	}
}

static void
park(struct worker *worker)
{
	struct work *work = &worker->plugin->work;

	worker->parked_next = work->parked;
	work->parked = worker;
	if (!work->watcher && plugp_work_is_hot(work)) {
		work->watcher = worker;
		atomic_store(&work->watched, true);
	}
	while (!work->closing && !has_role(work, worker)) {
		if (work->watcher == worker)
			plugp_work_watch(worker);
		else
			pthread_cond_wait(&worker->wake, &work->lock);
	}
	unpark(work, worker);
}

/* Make this thread's part of the heap, which its first call would have to make. */
static void
warm_up_heap(void)
{
	void *volatile memory = malloc(1);

	free(memory);
}

/* And the pages of the stack that every call uses. */
static void __attribute__((noinline)) warm_up_stack(void)
{
	volatile char bytes[WARM_STACK_BYTES];

	for (size_t i = 0; i < sizeof(bytes); i += PAGE_BYTES)
		bytes[i] = 0;
}

static void *
worker_main(void *arg)
{
	struct worker *worker = arg;
	struct work *work = &worker->plugin->work;
	struct plug_call *call;

	prctl(PR_SET_NAME, "plug-work");
	plugp_dying_thread_init();
	warm_up_heap();
	warm_up_stack();
	pthread_mutex_lock(&work->lock);
	while (!work->closing) {
		if (has_role(work, worker)) {
			bool session = work->roles[DUTY_SESSION].holder == worker;

			pthread_mutex_unlock(&work->lock);
			if (session)
				receive(worker);
			else
				plugp_plane_lead(worker);
			pthread_mutex_lock(&work->lock);
		} else if ((call = plugp_work_dequeue(worker->plugin)) != NULL) {
			plugp_work_execute(worker, call, NULL);
		} else {
			park(worker);
		}
	}
	work->ended++;
	pthread_cond_broadcast(&work->settled);
	pthread_mutex_unlock(&work->lock);
	plugp_dying_thread_fini();
	return NULL;
}

/* ---- the end ---- */

void
plugp_work_drain(struct plug_plugin *plugin)
{
	struct work *work = &plugin->work;

	pthread_mutex_lock(&work->lock);
	while (work->running) {
		if (work->roles[DUTY_PLANE].slot >= 0)
			plugp_plane_notify(&plugin->plane, PLANE_QUEUE);
		pthread_cond_wait(&work->settled, &work->lock);
	}
	work->drained = true;
	pthread_mutex_unlock(&work->lock);
	plugp_work_cancel_all(plugin); /* a call that was being taken when the stop came */
}

unsigned
plugp_work_running(struct plug_plugin *plugin)
{
	struct work *work = &plugin->work;
	struct role *plane = &work->roles[DUTY_PLANE];
	unsigned running;

	pthread_mutex_lock(&work->lock);
	running = work->running - (plane->slot >= 0 && !(atomic_load(&plane->beat) & 1));
	pthread_mutex_unlock(&work->lock);
	return running;
}

void
plugp_work_stop(struct plug_plugin *plugin)
{
	struct work *work = &plugin->work;

	pthread_mutex_lock(&work->lock);
	work->closing = true;
	for (unsigned i = 0; i < work->threads; i++)
		pthread_cond_broadcast(&work->workers[i].wake);
	while (work->ended < work->threads) {
		plugp_link_wake(&plugin->link);
		plugp_plane_notify(&plugin->plane, PLANE_QUEUE);
		clock_cond_wait(&work->settled, &work->lock, clock_ns() + 2 * NS_PER_MS);
	}
	pthread_mutex_unlock(&work->lock);
	for (unsigned i = 0; i < work->threads; i++)
		pthread_join(work->workers[i].thread, NULL);
}
