/*
 * The threads that run calls.
 *
 * There are two duties: to receive what plugd says on the session, and, once there is a channel, to
 * take what callers post there (the plane).  Each is held by one thread at a time, which runs the
 * call it finds itself: when the method has been quick so far (as long as there is one caller only,
 * half a millisecond is quick) it keeps the duty meanwhile, under the eyes of a watcher that gives
 * it to another thread if the handler is not as quick as expected; otherwise it first hands the
 * duty over.  So there is always a thread that hears plugd and one that hears the callers, and no
 * hand-over on the short path.  Nor is there one for a session's call after a while without any,
 * unless the method is known to be slow: then there is no watcher yet, and an alarm does what it
 * would do.
 */
#ifndef PLUG_SDK_WORK_H
#define PLUG_SDK_WORK_H

#include <plug/plugin.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "call.h"

#define WORK_LIMIT    64 /* handlers at once, at most */
#define WORK_DEFAULT  8
#define WORK_BUCKETS  64 /* of calls by id; a power of two */

#define WORK_QUICK_NS 50000u          /* a handler this short is run by the holder of a duty */
#define WORK_ALARM_NS 100000u         /* what a session's first call may take without a hand-over */
#define WORK_LOOK_NS  (1 * NS_PER_MS) /* how often the watcher looks */
#define WORK_HOT_NS   (10 * NS_PER_MS) /* traffic so recent keeps the watcher looking */

enum duty { DUTY_SESSION, DUTY_PLANE, DUTIES };

struct role {
	struct worker *holder; /* under lock; NULL: nobody has it yet */
	/* Odd: its holder runs a handler, and who makes it even has the role.  Grows with every
	 * handler. */
	_Atomic uint64_t beat;
	struct plug_call *current; /* whose handler; of the holder until the role is taken */
	int slot; /* a place among the running that the holder keeps between two handlers, to be
		     spared the lock; -1: none.  Changed under lock */
	uint64_t seen; /* under lock: `beat` when somebody last looked */
};

struct worker {
	struct plug_plugin *plugin;
	pthread_t thread;
	pthread_cond_t wake;
	struct worker *parked_next;
};

struct work {
	pthread_mutex_t lock;
	pthread_cond_t settled; /* a handler or a thread ended */
	struct plug_call *buckets[WORK_BUCKETS];
	_Atomic unsigned listed;               /* calls in the buckets */
	struct plug_call *queue, **queue_tail; /* whole, waiting for a worker */
	atomic_bool open;                      /* READY was said: calls are taken */
	bool drained;                          /* no handler is started any more */
	bool closing;                          /* threads end */

	unsigned limit, running, duties, threads, ended;
	uint64_t slots; /* in use */
	struct role roles[DUTIES];
	struct worker *parked, *watcher;
	atomic_bool watched;   /* a handler that keeps its thread's role will be noticed */
	uint64_t last_beat_ns; /* when a beat was last seen to have changed */
	/* Under lock, of the session's role: its beat in the handler for which the alarm is set
	 * (0: none), and when it was last set. */
	uint64_t alarm_beat, alarm_ns;
	struct worker workers[WORK_LIMIT + DUTIES];
};

plug_err plugp_work_init(struct plug_plugin *plugin);
void plugp_work_fini(struct plug_plugin *plugin);

/* Start the thread that receives from now on.  PLUG_ESYS. */
plug_err plugp_work_start(struct plug_plugin *plugin);

/* Have a thread for the plane, if there is none yet.  PLUG_ESYS. */
plug_err plugp_work_start_plane(struct plug_plugin *plugin);

/* Make the thread that the first call needs while nobody waits for that call: half of the time that
 * a spare takes for its first one would go into it.  Without it the call makes it. */
void plugp_work_prepare(struct plug_plugin *plugin);

/* Calls are taken from now on. */
void plugp_work_open(struct plug_plugin *plugin);

/* plugin->stopping was set: tell every handler, answer what waits for one. */
void plugp_work_cancel_all(struct plug_plugin *plugin);

/* Wait until no handler runs; from then on none is started. */
void plugp_work_drain(struct plug_plugin *plugin);

/* End the threads; no handler runs. */
void plugp_work_stop(struct plug_plugin *plugin);

/* Handlers that run now. */
unsigned plugp_work_running(struct plug_plugin *plugin);

/* Before a handler waits in a function of ours: let somebody else have the duty of its thread. */
void plugp_work_will_block(struct plug_call *call);

/* The alarm's time is over: give the session's duty to another thread, if its holder is still in
 * the handler for which it was set.  The tick's thread. */
void plugp_work_alarm(struct plug_plugin *plugin);

/* Wake the handlers of the channel's calls that wait for something. */
void plugp_work_stir(struct plug_plugin *plugin, const struct channel *channel);

/* ---- for the holder of a duty ---- */

/* Run `call`, unless it is NULL, and what waits for a worker, for as long as that may be: it
 * becomes its turn in the queue.  False: the duty was given away. */
bool plugp_work_run(struct worker *worker, enum duty duty, struct plug_call *call);

/* Keep a place among the running, or give it back.  False: there is none left. */
bool plugp_work_keep_slot(struct plug_plugin *plugin, struct role *role);
void plugp_work_drop_slot(struct plug_plugin *plugin, struct role *role);

/* After a handler that the plane's holder began to run without the lock (plane_run.c) and that
 * lost the role meanwhile: end the call as others end. */
void plugp_work_end(struct worker *worker, struct plug_call *call);

#endif
