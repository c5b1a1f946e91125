/* Shared by the instance's own files: instance.c, instance_start.c, instance_session.c,
 * instance_broker.c, instance_hang.c, instance_health.c. */
#ifndef PLUGD_INSTANCE_PRIVATE_H
#define PLUGD_INSTANCE_PRIVATE_H

#include "plugin/instance.h"

extern const struct session_ops instance_session_ops;
extern const struct broker_ops instance_broker_ops;

/* On its status page: after a step, whether it left READY; and once, with its exit status known,
 * how it ended.  That also counts what it did. */
void instance_mark_left(struct instance *in, enum process_state before);
void instance_mark_exited(struct instance *in);

/* In DRAINING: on with DRAINED if no call is in flight, not on channels either; else look again. */
void instance_look_drained(struct instance *in);
void instance_look_drained_later(struct instance *in);

/* Soon: look at the memory of the process that said that it dies, and let it. */
void instance_init_dying(struct instance *in);
void instance_let_go_later(struct instance *in);

/* One of this slot without a process, on its plugin's list. */
struct instance *instance_alloc(struct slot *slot, struct version *version);

void instance_init_watchers(struct instance *in);
/* The process exists: watch its end, and the deadline of its start. */
void instance_watch(struct instance *in);

void instance_on_hello(struct instance *in, const Plug__Hello *hello);
void instance_on_message(struct instance *in, const Plug__Envelope *env);

void instance_saw_memory(struct instance *in, uint64_t rss_bytes);

/* Has it to be probed before it takes calls? */
bool instance_wants_test(const struct instance *in);
/* In TESTING: look whether it is well.  In READY: the first look comes after probe.interval. */
void instance_probe(struct instance *in);
void instance_probe_later(struct instance *in);
void instance_on_probe_time(struct ev_loop *loop, ev_timer *w, int revents);
void instance_ponged(struct instance *in);

/* It did something that only a process that is well does: a tick, a message. */
void instance_sign_of_life(struct instance *in);
/* Once a second while it is READY or DRAINING: look for a sign of life, and act if there is none.
 */
void instance_look_for_life(struct instance *in);
void instance_ping(struct instance *in, uint64_t now);
/* A debugger or valgrind has it, and its manifest lets that take as long as it takes. */
bool instance_waits_for_tracer(const struct instance *in);

/* Watchers: the pidfd says that it has ended; nothing more of it comes. */
void instance_on_process_end(struct ev_loop *loop, ev_io *w, int revents);
/* Its memory has been given back. */
void instance_on_keeper_end(void *user);
void instance_on_last_words(struct ev_loop *loop, ev_timer *w, int revents);

/* The process is dead: kill what it has left behind, and reap it if it was asked to end.  Once. */
void instance_collect(struct instance *in);

/* Its process has ended: what it wrote last is read once. */
void instance_keep_vitals(struct instance *in);

/* Everything it holds, in any stage of being built; frees it. */
void instance_free(struct instance *in);

/* The process is dead: tell everybody, free it. */
void instance_release(struct instance *in);

/* The process is dead: its calls go to others where that is allowed.  Once. */
void instance_end_calls(struct instance *in);

#endif
