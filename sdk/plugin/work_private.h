/* What the files of work.h share.  Unless said otherwise, called with work.lock held. */
#ifndef PLUG_SDK_WORK_PRIVATE_H
#define PLUG_SDK_WORK_PRIVATE_H

#include "work.h"

struct plug_plugin;

/* A thread that has nothing to do: a parked one, a new one, the watcher; NULL: none. */
struct worker *plugp_work_idle(struct plug_plugin *plugin);

/* ---- roles (work_role.c) ---- */

/* By the holder: let another thread have the role, if there is one.  That is returned, and to be
 * woken when the lock is released. */
struct worker *plugp_work_hand_over(struct plug_plugin *plugin, struct role *role);

/* By the holder, whose handler is about to run: keep the role, and have an alarm give it away
 * should the handler take long.  Returns what ends it; 0: the role has to be handed over. */
uint64_t plugp_work_set_alarm(struct plug_plugin *plugin, const struct role *role);
void plugp_work_clear_alarm(struct plug_plugin *plugin, uint64_t alarm);

/* Best without the lock.  NULL: nobody. */
void plugp_work_wake(struct worker *worker);

/* Was a handler begun or ended lately? */
bool plugp_work_is_hot(struct work *work);

/* By the watcher: one look, after waiting for its time. */
void plugp_work_watch(struct worker *worker);

/* ---- calls (work_run.c) ---- */

/* The next call that may run now, with its place among the running, or NULL: also once the plugin
 * is being stopped, because what was not started then is answered as such. */
struct plug_call *plugp_work_dequeue(struct plug_plugin *plugin);

/* Run its handler, after waking `next` unless that is NULL; the lock is released meanwhile. */
void plugp_work_execute(struct worker *worker, struct plug_call *call, struct worker *next);

#endif
