/*
 * The tensors of one channel, on one side of it: which arenas this side has shown and been shown,
 * which buffers it has lent and which it is to return.
 *
 *  - A memfd goes over the wake socket once, before the first record that names it.  Its place is
 *    given up (PLUG_WAKE_FORGET) or given to another when nothing of it is lent any more; another
 *    gets another number, because a record overtakes what lies in the socket.
 *  - A buffer that is sent is lent: by a caller until the final Reply of the call, by a plugin
 * until the caller's Release, and until the channel ends.  Lending holds a reference to the buffer,
 *    wherever it came from, so what is passed on stays where it is.
 *  - A buffer that came over this channel goes back over it as `yours`: nothing is shown.
 *
 * Nothing here blocks: a wake socket that is full is PLUG_EAGAIN.  All functions are safe in any
 * thread and may be called with locks of the channel held; they take none of them.  But what comes
 * is received by one thread at a time: plugs_exchange_on_arena(), _receive() and _close() exclude
 * each other.  After the close what is left of the channel's tensors stays valid, and returns to
 * nobody.
 */
#ifndef PLUGS_EXCHANGE_H
#define PLUGS_EXCHANGE_H

#include "buffer.h"
#include "channel.h"
#include "message.h"

#define PLUGS_LENT_BUCKETS 64
#define PLUGS_RETURNS_DUE  16 /* buffers to be returned ... */
#define PLUGS_RETURNS_BYTES                                                  \
	(4ull * 1024 * 1024) /* ... or bytes of them: do not wait for a call \
			      */

/* A buffer that the other side may use. */
struct plugs_lent {
	struct plugs_lent *next;
	struct plug_buffer *buffer; /* NULL: the channel has ended */
	uint64_t generation;
	uint32_t number;
	uint32_t count; /* times lent */
};

struct plugs_shown {
	struct plug_arena *arena; /* NULL: the place is not in use */
	uint32_t number;          /* of the last arena here; 0: there was none */
	uint32_t in_use;          /* times that buffers of it are lent */
	uint64_t used;            /* when last, in sends */
};

struct plugs_seen {
	struct plug_arena *arena;
	uint32_t number; /* of the last that was shown or taken back here; 0: none */
	const char *why; /* there is no arena; static text */
};

/* Where an arena's number stands. */
static inline uint32_t
plugs_arena_place(uint32_t number)
{
	return (number - 1) % PLUG_ARENAS_MAX;
}

struct plugs_exchange {
	_Atomic uint32_t refs;
	enum plug_region_side side;
	LIST_ENTRY(plugs_exchange) link; /* of all */

	struct plugs_seen seen[PLUG_ARENAS_MAX]; /* by place; of the thread that receives */

	pthread_mutex_t lock; /* of all that follows */
	int wake_fd;          /* -1: the channel has ended */
	uint64_t sends;
	struct plugs_shown shown[PLUG_ARENAS_MAX]; /* by place */
	struct plugs_lent *lent[PLUGS_LENT_BUCKETS];
	struct plug_buffer *returns, **returns_tail;
	uint64_t returns_bytes;
	_Atomic uint32_t returns_count; /* read without the lock */
	_Atomic bool returns_due;

	pthread_mutex_t due_lock; /* of these, and held while on_due runs */
	void (*on_due)(void *user);
	void *due_user;
};

/* The wake socket stays the channel's and is not used after the close.  NULL: no memory. */
struct plugs_exchange *plugs_exchange_new(enum plug_region_side side, int wake_fd);

/* The channel ends: gives up the reference of plugs_exchange_new().  NULL is allowed. */
void plugs_exchange_close(struct plugs_exchange *exchange);

/* A plugin's process ends, and the other side may come later: nothing is sent any more, and what is
 * lent is not taken back, as little as if the process had been killed.  Instead of the close;
 * nothing of it is freed.  NULL is allowed. */
void plugs_exchange_leave(struct plugs_exchange *exchange);

void plugs_exchange_ref(struct plugs_exchange *exchange);
void plugs_exchange_unref(struct plugs_exchange *exchange);

/* ---- arenas ---- */

/* For plugs_drain(): `exchange` is the user pointer.  Takes fd.  What is wrong with the arena is
 * told to whoever names it. */
void plugs_exchange_on_arena(const struct plug_wake_arena *message, int fd, void *exchange);

/* Nothing new comes from this arena: take it off every channel where nothing of it is lent. */
void plugs_exchange_forget_arena(struct plug_arena *arena);

/* ---- sending ---- */

struct plugs_pins; /* what one message lent */

/*
 * Lend the tensors' buffers and describe them; ret has room for `count` (at most
 * PLUGS_TENSORS_MAX) and its names point into the tensors.  *ret_pins is to be given to exactly one
 * of the functions below, NULL when nothing was lent.  On failure nothing is lent; the text is in
 * plug_tensor_error_text().
 *
 * PLUG_EINVAL      a tensor is wrong, is in no arena, or there are too many
 * PLUG_EAGAIN      the wake socket is full: wait for POLLOUT and try again
 * PLUG_EGONE       the other side, or the channel, is gone
 * PLUG_EOVERLOADED tensors of PLUG_ARENAS_MAX other arenas are lent
 * PLUG_ENOMEM PLUG_ESYS
 */
plug_err plugs_exchange_send(struct plugs_exchange *exchange, const struct plug_tensor *tensors,
			     size_t count, struct plugs_tensor *ret, struct plugs_pins **ret_pins);

/* The same, waiting for the socket until `until_ns` (CLOCK_MONOTONIC).  PLUG_ETIMEOUT. */
plug_err plugs_exchange_send_until(struct plugs_exchange *exchange,
				   const struct plug_tensor *tensors, size_t count,
				   uint64_t until_ns, struct plugs_tensor *ret,
				   struct plugs_pins **ret_pins);

/* What was lent comes back: the message was not posted, or its call has been answered. */
void plugs_pins_end(struct plugs_pins *pins); /* NULL is allowed */

/* The message was posted: what was lent comes back with Release. */
void plugs_pins_leave(struct plugs_pins *pins); /* NULL is allowed */

/* A plugin: the caller releases these.  Returns how many of them were not lent. */
size_t plugs_exchange_released(struct plugs_exchange *exchange, const struct plugs_buffer *buffers,
			       size_t count);

/* ---- receiving ---- */

/*
 * Make tensors of what came, `count` at most PLUGS_TENSORS_MAX; their buffers are the caller's
 * references (plug_tensor_unref).  Everything is checked.  On failure nothing is kept, and what a
 * plugin lent with them is returned.
 *
 * PLUG_EAGAIN  not `drained`, and one names an arena that has not been seen: it lies in the wake
 *              socket.  Drain that and call again with drained true
 * PLUG_EINVAL  a tensor is wrong; plug_tensor_error_text() says which, what was found and expected
 * PLUG_ENOMEM
 */
plug_err plugs_exchange_receive(struct plugs_exchange *exchange, const struct plugs_tensor *tensors,
				size_t count, bool drained, struct plug_tensor *ret);

/* A caller: the tensors of a reply that nobody waits for are returned as they are. */
void plugs_exchange_discard(struct plugs_exchange *exchange, const struct plugs_tensor *tensors,
			    size_t count);

/* A caller: is there something to be returned, so much that it should not wait for the next call?
 */
static inline bool
plugs_exchange_has_returns(const struct plugs_exchange *exchange)
{
	return atomic_load_explicit(&exchange->returns_count, memory_order_relaxed) != 0;
}

static inline bool
plugs_exchange_returns_due(const struct plugs_exchange *exchange)
{
	return atomic_load_explicit(&exchange->returns_due, memory_order_relaxed);
}

/*
 * Run on_due whenever something is returned while so much waits, on the thread that gave up the
 * last reference, with whatever locks that holds: it may try a lock, but not wait for one.  It does
 * not run any more when plugs_exchange_close() has returned.
 */
void plugs_exchange_on_due(struct plugs_exchange *exchange, void (*on_due)(void *user), void *user);

/* Take up to `max` of them for a Release, which must then be posted. */
size_t plugs_exchange_take_returns(struct plugs_exchange *exchange, struct plugs_buffer *ret,
				   size_t max);

/* ---- for buffer.c ---- */

/* The last reference to a loan is gone.  Takes the buffer. */
void plugs_exchange_give_back(struct plugs_exchange *exchange, struct plug_buffer *buffer);

#endif
