#include "plugin/keeper.h"

#include <sys/socket.h>

#include "base/cleanup.h"

static void
let_go(struct keeper *keeper)
{
	if (keeper->fd < 0)
		return;
	ev_io_stop(keeper->loop, &keeper->end_w);
	close_fd(&keeper->fd);
}

/* Nothing is to be read: who writes has no keeper. */
static void
on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct keeper *keeper = w->data;

	(void)loop;
	(void)revents;
	let_go(keeper);
	keeper->on_end(keeper->user);
}

void
keeper_init(struct keeper *keeper, struct ev_loop *loop, void (*on_end)(void *user), void *user)
{
	keeper->loop = loop;
	keeper->fd = keeper->child_fd = -1;
	keeper->on_end = on_end;
	keeper->user = user;
	ev_io_init(&keeper->end_w, on_readable, -1, EV_READ);
	ev_set_priority(&keeper->end_w, EV_MINPRI); /* nobody's answer waits for it */
	keeper->end_w.data = keeper;
}

void
keeper_watch(struct keeper *keeper, int fd)
{
	keeper->fd = fd;
	if (fd < 0)
		return;
	ev_io_set(&keeper->end_w, fd, EV_READ);
	ev_io_start(keeper->loop, &keeper->end_w);
}

plug_err
keeper_open(struct keeper *keeper)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return PLUG_ESYS;
	keeper->child_fd = ends[1];
	keeper_watch(keeper, ends[0]);
	return PLUG_OK;
}

void
keeper_close_child(struct keeper *keeper)
{
	close_fd(&keeper->child_fd);
}

void
keeper_fini(struct keeper *keeper)
{
	let_go(keeper);
	keeper_close_child(keeper);
}
