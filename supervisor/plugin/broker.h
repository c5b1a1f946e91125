/*
 * plugd's end of one process's broker socket, on which channels are offered to it, and the status
 * page that its callers share.  Loop's thread only; nothing here blocks.
 *
 * The page is made when the first channel is granted.  It is written here only, and its word only
 * grows (channel.h).  So a process that was away for a while and is back gets a new page.
 */
#ifndef PLUGD_BROKER_H
#define PLUGD_BROKER_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel.h"
#include "codec.h"

#define BROKER_OLD_PAGES 8

struct broker_ops {
	/* ChannelAnswer or ChannelClosed, valid during the callback.  `fd` came with it, or is -1;
	 * it is closed afterwards. */
	void (*on_message)(void *user, const Plug__Envelope *env, int fd);
	/* The process says that a signal kills it. */
	void (*on_dying)(void *user, int signal); /* broker_heard() is due */
	/* And afterwards where it was: a packet that claims to be a backtrace, not looked at. */
	void (*on_trace)(void *user, const void *bytes, size_t size);
	/* The process broke the rules of the socket; nothing more is taken from it. */
	void (*on_violation)(void *user, plug_err err, const char *reason);
};

struct broker {
	struct ev_loop *loop;
	const struct broker_ops *ops;
	void *user;
	uint32_t generation;
	int child_fd; /* to be inherited; -1 once it was */

	/* private */
	int fd;       /* -1: closed, by whichever side */
	int ended_fd; /* what it was then; for broker_fini() */
	ev_io read_w;
	uint64_t closed_ms;
	int page_fd;
	struct plug_status_page *page;
	enum plug_status status;
	struct plug_status_page *old[BROKER_OLD_PAGES]; /* of channels before it was away */
	int old_fds[BROKER_OLD_PAGES];
	size_t old_count;
};

/* Nothing is open: what broker_fini() accepts. */
void broker_init(struct broker *broker, uint32_t generation, const struct broker_ops *ops,
		 void *user);

/* PLUG_ESYS: errno says why. */
plug_err broker_open(struct broker *broker, struct ev_loop *loop);

/* The process exists, or will not: its end is its own. */
void broker_close_child(struct broker *broker);

/* Take what is there, now: the process has ended, and says nothing more. */
void broker_take_last(struct broker *broker);

/* False when the process has closed its end. */
bool broker_connected(const struct broker *broker);

/* For how many milliseconds it has not been: at first it may be the process's own end that is seen
 * here before the kernel reports it. */
uint64_t broker_closed_for_ms(const struct broker *broker);

/*
 * Send a message with descriptors, which stay the caller's.
 *
 * PLUG_EOVERLOADED  the process has not taken what was sent before, or too many descriptors are on
 *                   their way
 * PLUG_EGONE        it has closed its end
 * PLUG_ESYS         errno says why
 */
plug_err broker_send(struct broker *broker, Plug__Envelope *env, const int *fds, size_t fd_count);

/* The dying byte was heard, and what had to be done before its end is done: nothing is sent any
 * more.
 */
void broker_heard(const struct broker *broker);

/* The status page, made now if there is none; the descriptor stays the broker's.  PLUG_ESYS */
plug_err broker_status_page(struct broker *broker, int *ret_fd);

/* Say so on the page, if there is one and it does not say more already. */
void broker_set_status(struct broker *broker, enum plug_status status);

/* The process takes no calls for now: its callers are told to look for another one.  And it does
 * again: those who ask for a channel from now on get one.  After BROKER_OLD_PAGES times its callers
 * stay, and wait. */
void broker_set_away(struct broker *broker);
void broker_set_back(struct broker *broker);

void broker_fini(struct broker *broker);

#endif
