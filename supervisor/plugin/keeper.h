/*
 * plugd's end of the connection to one process's keeper (proto/channel.h), which ends when the
 * memory of the process has been given back.  Loop's thread only; nothing here blocks.
 */
#ifndef PLUGD_KEEPER_H
#define PLUGD_KEEPER_H

#include <ev.h>

#include <plug/error.h>

struct keeper {
	int fd;       /* -1: there is none, or it has ended */
	int child_fd; /* to be inherited; -1 once it was, or when there is none */

	/* private */
	struct ev_loop *loop;
	ev_io end_w;
	void (*on_end)(void *user);
	void *user;
};

/* There is none: what keeper_fini() accepts.  `on_end` is called at most once. */
void keeper_init(struct keeper *keeper, struct ev_loop *loop, void (*on_end)(void *user),
		 void *user);

/* PLUG_ESYS: errno says why. */
plug_err keeper_open(struct keeper *keeper);

/* plugd's end; after an upgrade.  -1: there is none. */
void keeper_watch(struct keeper *keeper, int fd);

/* The process exists, or will not: its end is its own. */
void keeper_close_child(struct keeper *keeper);

void keeper_fini(struct keeper *keeper);

#endif
