/*
 * The only way from nng's threads into the loop: a flag and one ev_async.
 *
 * A source raises its own bits with wakeup_raise() from any thread; the loop's thread then calls
 * every source that has bits.  Raised twice before the loop looks, it is called once: on_raised()
 * looks at the state, not at a count.
 */
#ifndef PLUGD_WAKEUP_H
#define PLUGD_WAKEUP_H

#include <ev.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/list.h"

struct wakeup {
	struct ev_loop *loop;
	ev_async async;
	struct list sources;
};

struct wakeup_source {
	struct wakeup *wakeup;
	struct list node;
	atomic_uint bits;
	void (*on_raised)(struct wakeup_source *source, unsigned bits); /* loop's thread */
};

void wakeup_init(struct wakeup *wakeup, struct ev_loop *loop);
void wakeup_fini(struct wakeup *wakeup);

/* Loop's thread.  After wakeup_remove() returns on_raised() is not called again; the caller has
 * made sure that no other thread can still raise it. */
void wakeup_add(struct wakeup *wakeup, struct wakeup_source *source);
void wakeup_remove(struct wakeup_source *source);

/* Any thread; never blocks. */
void wakeup_raise(struct wakeup_source *source, unsigned bits);

#endif
