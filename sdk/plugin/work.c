/*
 * Invariants, all under work.lock
 *
 * - `receiver` is the only thread that receives; it is set by whoever gives the role away, to a
 *   thread that is not running a handler.  Once plugp_work_start() succeeded it is never NULL.
 * - running <= limit, and there are at most limit + 1 threads, so while a handler is about to run
 *   there is another thread, parked or not yet made, that can receive.  Only when making it fails
 *   (a limit on processes) does the receiver keep the role through a long handler.
 * - The queue is not empty only while running == limit; whoever ends a handler looks there first.
 * - A receiver that runs a handler without handing over first needs a watcher: a parked thread that
 *   looks every WORK_LOOK_NS while traffic is hot.  When nothing happens nobody looks.
 */
#include "work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "clock.h"
#include "state.h"

#define STACK_BYTES (1024u * 1024)

static void *worker_main(void *arg);

plug_err
plugp_work_init(struct plug_plugin *plugin)
{
	struct work *work = &plugin->work;

	pthread_mutex_init(&work->lock, NULL);
	clock_cond_init(&work->settled);
	work->queue_tail = &work->queue;
	work->limit = plugin->config.workers ? plugin->config.workers : WORK_DEFAULT;
	work->average_ns = calloc(plugin->method_count + 1, sizeof(*work->average_ns));
	return work->average_ns ? PLUG_OK : PLUG_ENOMEM;
}

void
plugp_work_fini(struct plug_plugin *plugin)
{
	for (size_t i = 0; i < WORK_BUCKETS; i++) {
		struct plug_call *call;

		while ((call = plugin->work.buckets[i]) != NULL) {
			plugin->work.buckets[i] = call->bucket_next;
			plugp_calls_free(call);
		}
	}
	free(plugin->work.average_ns);
	plugin->work.average_ns = NULL;
}

/* A new thread, not yet counted on; NULL when there can be none.  Called with the lock held. */
static struct worker *
add_worker(struct plug_plugin *plugin)
{
	struct work *work = &plugin->work;
	struct worker *worker = &work->workers[work->threads];
	pthread_attr_t attr;
	int failed;

	if (work->threads > work->limit)
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
			       "else is heard from plugd",
			       strerror(failed));
		return NULL;
	}
	work->threads++;
	return worker;
}

plug_err
plugp_work_start(struct plug_plugin *plugin)
{
	struct work *work = &plugin->work;
	struct worker *worker;

	pthread_mutex_lock(&work->lock);
	worker = add_worker(plugin);
	work->receiver = worker;
	pthread_mutex_unlock(&work->lock);
	return worker ? PLUG_OK : PLUG_ESYS;
}

void
plugp_work_open(struct plug_plugin *plugin)
{
	atomic_store(&plugin->work.open, true);
}

/* A parked thread, the watcher only when there is no other, taken off the list. */
static struct worker *
take_parked(struct work *work)
{
	struct worker **at = &work->parked, *worker;

	if (*at && *at == work->watcher && (*at)->parked_next)
		at = &(*at)->parked_next;
	worker = *at;
	if (worker)
		*at = worker->parked_next;
	return worker;
}

/* Let another thread receive.  Called with the lock held, by the receiver. */
static void
hand_over(struct plug_plugin *plugin)
{
	struct work *work = &plugin->work;
	struct worker *next = take_parked(work);

	if (next)
		pthread_cond_signal(&next->wake);
	else
		next = add_worker(plugin);
	if (!next)
		return;
	work->receiver = next;
	work->handling = false;
}

void
plugp_work_will_block(struct plug_call *call)
{
	struct work *work = &call->plugin->work;

	pthread_mutex_lock(&work->lock);
	if (work->receiver == call->worker)
		hand_over(call->plugin);
	pthread_mutex_unlock(&work->lock);
}

static void
learn(_Atomic uint32_t *average_ns, uint64_t took_ns)
{
	uint32_t took = took_ns > INT32_MAX ? INT32_MAX : (uint32_t)took_ns;
	uint32_t old = atomic_load_explicit(average_ns, memory_order_relaxed);
	uint32_t now = old ? old - old / 8 + took / 8 : took;

	atomic_store_explicit(average_ns, now ? now : 1, memory_order_relaxed);
}

/* Run a call's handler.  Called with the lock held, which is released meanwhile. */
static void
execute(struct worker *worker, struct plug_call *call, uint64_t began)
{
	struct plug_plugin *plugin = worker->plugin;
	struct work *work = &plugin->work;
	unsigned slot = (unsigned)__builtin_ctzll(~work->slots);

	call->stage = CALL_RUNNING;
	call->worker = worker;
	work->running++;
	work->slots |= 1ull << slot;
	work->last_call_ns = began;
	pthread_mutex_unlock(&work->lock);

	plugp_page_executing(&plugin->page, slot, call->id, began);
	plugp_reply_finish(call, call->method->handler(call, plugin->config.user));
	plugp_page_executing(&plugin->page, slot, 0, 0);
	learn(&work->average_ns[call->method - plugin->config.methods], clock_ns() - began);

	pthread_mutex_lock(&work->lock);
	plugp_calls_remove(work, call);
	work->slots &= ~(1ull << slot);
	work->running--;
	if (work->running == 0)
		pthread_cond_broadcast(&work->settled);
	plugp_calls_free(call);
}

static void
enqueue(struct work *work, struct plug_call *call)
{
	call->queue_next = NULL;
	*work->queue_tail = call;
	work->queue_tail = &call->queue_next;
}

/* The next call that may run now, or NULL. */
static struct plug_call *
dequeue(struct work *work)
{
	struct plug_call *call = work->queue;

	if (!call || work->running == work->limit || work->drained)
		return NULL;
	work->queue = call->queue_next;
	if (!work->queue)
		work->queue_tail = &work->queue;
	return call;
}

static void
run_as_receiver(struct worker *worker, struct plug_call *call)
{
	struct work *work = &worker->plugin->work;
	size_t method = (size_t)(call->method - worker->plugin->config.methods);
	uint32_t average = atomic_load_explicit(&work->average_ns[method], memory_order_relaxed);

	if (!work->watcher || average == 0 || average > WORK_QUICK_NS)
		hand_over(worker->plugin);
	if (work->receiver == worker) {
		work->handling = true;
		work->handled++;
	}
	execute(worker, call, clock_ns());
	if (work->receiver == worker)
		work->handling = false;
}

static void
receive(struct worker *worker)
{
	struct work *work = &worker->plugin->work;
	struct plug_call *call;

	while (work->receiver == worker && !work->closing) {
		pthread_mutex_unlock(&work->lock);
		call = plugp_session_receive(worker->plugin);
		pthread_mutex_lock(&work->lock);
		if (call)
			enqueue(work, call);
		while (work->receiver == worker && (call = dequeue(work)) != NULL)
			run_as_receiver(worker, call);
	}
}

/* One look of the watcher: has the receiver been in the same handler since the last one? */
static void
watch(struct worker *worker)
{
	struct work *work = &worker->plugin->work;
	uint64_t handled = work->handled;
	bool handling = work->handling;

	clock_cond_wait(&worker->wake, &work->lock, clock_ns() + WORK_LOOK_NS);
	if (work->receiver == worker)
		return;
	if (handling && work->handling && work->handled == handled) {
		work->receiver = worker;
		work->handling = false;
	} else if (!work->handling && clock_ns() - work->last_call_ns > WORK_HOT_NS) {
		work->watcher = NULL;
	}
}

static void
unpark(struct work *work, struct worker *worker)
{
	struct worker **at = &work->parked;

	while (*at && *at != worker)
		at = &(*at)->parked_next;
	if (*at)
		*at = worker->parked_next;
	if (work->watcher == worker)
		work->watcher = NULL;
}

static void
park(struct worker *worker)
{
	struct work *work = &worker->plugin->work;

	worker->parked_next = work->parked;
	work->parked = worker;
	if (!work->watcher && clock_ns() - work->last_call_ns < WORK_HOT_NS)
		work->watcher = worker;
	while (!work->closing && work->receiver != worker) {
		if (work->watcher == worker)
			watch(worker);
		else
			pthread_cond_wait(&worker->wake, &work->lock);
	}
	unpark(work, worker);
}

static void *
worker_main(void *arg)
{
	struct worker *worker = arg;
	struct work *work = &worker->plugin->work;
	struct plug_call *call;

	prctl(PR_SET_NAME, "plug-work");
	pthread_mutex_lock(&work->lock);
	while (!work->closing) {
		if (work->receiver == worker)
			receive(worker);
		else if ((call = dequeue(work)) != NULL)
			execute(worker, call, clock_ns());
		else
			park(worker);
	}
	work->ended++;
	pthread_cond_broadcast(&work->settled);
	pthread_mutex_unlock(&work->lock);
	return NULL;
}

void
plugp_work_drain(struct plug_plugin *plugin)
{
	struct work *work = &plugin->work;

	pthread_mutex_lock(&work->lock);
	while (work->running)
		pthread_cond_wait(&work->settled, &work->lock);
	work->drained = true;
	pthread_mutex_unlock(&work->lock);
	plugp_work_cancel_all(plugin); /* a call that was being taken when the stop came */
}

unsigned
plugp_work_running(struct plug_plugin *plugin)
{
	unsigned running;

	pthread_mutex_lock(&plugin->work.lock);
	running = plugin->work.running;
	pthread_mutex_unlock(&plugin->work.lock);
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
		/* Cancelling finds nothing when the receiver is between two receives. */
		plugp_session_interrupt(plugin);
		clock_cond_wait(&work->settled, &work->lock, clock_ns() + 2 * NS_PER_MS);
	}
	pthread_mutex_unlock(&work->lock);
	for (unsigned i = 0; i < work->threads; i++)
		pthread_join(work->workers[i].thread, NULL);
}
