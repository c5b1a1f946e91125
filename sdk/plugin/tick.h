/*
 * The SDK's own thread: it ticks the vitals page, acknowledges what nothing else did, answers
 * queued calls that are late, takes the channels that plugd offers, notices SIGTERM and that plugd
 * is gone, and that a handler is not as quick as was hoped.  Idle it wakes twice a second.
 */
#ifndef PLUG_SDK_TICK_H
#define PLUG_SDK_TICK_H

#include <plug/error.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct plug_plugin;

struct tick {
	pthread_t thread;
	bool running;
	int wake_fd;  /* eventfd; -1: none */
	int alarm_fd; /* timerfd; -1: none */
	atomic_bool end;
	_Atomic uint64_t exit_ns; /* the process ends then, whatever it does; 0: not */
};

/* PLUG_ENOMEM: no descriptor. */
plug_err plugp_tick_init(struct tick *tick);

/* Installs the SIGTERM handler, ignores SIGPIPE and starts the thread.  PLUG_ESYS. */
plug_err plugp_tick_start(struct plug_plugin *plugin);
void plugp_tick_stop(struct plug_plugin *plugin);

/* Make it look now.  Any thread. */
void plugp_tick_wake(struct tick *tick);

/* Have it call plugp_work_alarm() in `ns`; 0: not any more.  Wakes nobody now.  False: it will not,
 * for want of a descriptor or of permission.  Any thread. */
bool plugp_tick_alarm(struct tick *tick, uint64_t ns);

#endif
