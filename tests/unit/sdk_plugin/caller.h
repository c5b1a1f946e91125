/*
 * A caller's side of a channel, and plugd's part in opening it, in the test's own process: its own
 * region, its own ring.  One thread; every wait has a limit; what goes wrong ends the test.
 */
#ifndef CALLER_H
#define CALLER_H

#include "channel.h"
#include "message.h"
#include "peer.h"
#include "region.h"
#include "ring.h"

struct caller_message {
	struct caller_message *next;
	struct plugs_message msg; /* points into bytes */
	uint8_t bytes[];
};

struct caller {
	struct peer *peer;
	uint64_t number;
	struct plugs_region own, other;
	int wake_fd;
	struct plugs_poster poster;
	struct plugs_taker taker;
	uint64_t last_id;
	struct caller_message *inbox, **in_tail;
	unsigned wakes; /* sent */
	bool no_credit; /* do not open the window again */
	bool deaf;      /* do not take anything */
};

/* Open a channel with regions of `bytes` (0: the default).  The caller is released by
 * caller_close(). */
void caller_open(struct peer *peer, struct caller *caller, uint64_t bytes);

/* Only offer it, with these descriptors, which are closed: the plugin's answer, to be freed; its
 * region, or -1, in *ret_fd. */
Plug__Envelope *caller_offer(struct peer *peer, uint64_t number, uint64_t bytes, const int *fds,
			     size_t count, int *ret_fd);

/* Unmap everything and close the wake socket, which the plugin sees.  Twice does no harm. */
void caller_close(struct caller *caller);

/* Post one message, waking the plugin if it sleeps.  The ring must have room. */
void caller_post(struct caller *caller, const struct plugs_message *msg);

/* Post bytes as they are. */
void caller_post_raw(struct caller *caller, const void *bytes, size_t size);

/* Post a call; a long payload goes in chunks.  timeout_us 0: none.  Returns its id. */
uint64_t caller_call(struct caller *caller, const char *method, const void *data, size_t size,
		     uint64_t timeout_us);
uint64_t caller_call_text(struct caller *caller, const char *method, const char *text);
void caller_cancel(struct caller *caller, uint64_t id);
void caller_credit(struct caller *caller, uint64_t id, uint64_t bytes);

/* Until the plugin has taken so many calls over channels, of all callers together. */
void caller_await_taken(struct peer *peer, uint64_t calls);

/* The next message of this kind and id (0: any), waited for at most `timeout_ms`; NULL when none
 * came.  To be freed. */
struct caller_message *caller_poll(struct caller *caller, enum plugs_kind kind, uint64_t id,
				   int timeout_ms);

/* A whole answer, or with pieces each of them; chunks joined, credit given. */
bool caller_answered(struct caller *caller, uint64_t id, int timeout_ms, struct peer_answer *ret);
struct peer_answer caller_answer(struct caller *caller, uint64_t id);

/* The next answer to call `id` is the last one and says `text`. */
void caller_expect(struct caller *caller, uint64_t id, uint32_t outcome, const char *text);

/* The plugin closes its end within `timeout_ms`. */
bool caller_sees_end(struct caller *caller, int timeout_ms);

/* What the plugin says of a closed channel on the broker socket; to be freed. */
Plug__Envelope *caller_closed(struct peer *peer, int timeout_ms);

#endif
