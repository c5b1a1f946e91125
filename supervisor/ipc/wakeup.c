#include "ipc/wakeup.h"

static void
on_async(struct ev_loop *loop, ev_async *w, int revents)
{
	struct wakeup *wakeup = w->data;

	(void)loop;
	(void)revents;
	LIST_FOREACH_SAFE (source, &wakeup->sources, struct wakeup_source, node) {
		unsigned bits = atomic_exchange(&source->bits, 0);

		if (bits)
			source->on_raised(source, bits);
	}
}

void
wakeup_init(struct wakeup *wakeup, struct ev_loop *loop)
{
	wakeup->loop = loop;
	list_init(&wakeup->sources);
	ev_async_init(&wakeup->async, on_async);
	wakeup->async.data = wakeup;
	ev_async_start(loop, &wakeup->async);
}

void
wakeup_fini(struct wakeup *wakeup)
{
	ev_async_stop(wakeup->loop, &wakeup->async);
}

void
wakeup_add(struct wakeup *wakeup, struct wakeup_source *source)
{
	source->wakeup = wakeup;
	atomic_init(&source->bits, 0);
	list_append(&wakeup->sources, &source->node);
}

void
wakeup_remove(struct wakeup_source *source)
{
	list_remove(&source->node);
}

void
wakeup_raise(struct wakeup_source *source, unsigned bits)
{
	atomic_fetch_or(&source->bits, bits);
	ev_async_send(source->wakeup->loop, &source->wakeup->async);
}
