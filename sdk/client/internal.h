/*
 * The client handle from inside.  Private to sdk/client.
 *
 * Everything in struct plug_client is under `lock`, except `in`, which belongs to the thread that
 * has set `reading`.  The lock is not held while that thread waits on the socket, while a thread is
 * in connect(), or in a callback.  All sends happen under the lock and never block, so that packets
 * leave in the order in which they were packed.
 *
 * The connection is DOWN, then CONNECTING (one thread is in connect()), GREETING (hello sent, calls
 * wait in the queue) and READY; it is closed only by plugc_lose(), and that runs only when nobody
 * else is reading.  A sender that finds the other end gone sets `broken` and leaves the rest to
 * whoever reads, so that replies which came before the end are not lost.
 *
 * Functions named here expect the lock held unless they say otherwise.
 */
#ifndef PLUGC_INTERNAL_H
#define PLUGC_INTERNAL_H

#include <plug/client.h>
#include <pthread.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "address.h"
#include "admin.h"
#include "codec.h"
#include "wire.h"

#define PLUGC_QUEUE_BYTES \
	(4u * 1024 * 1024)       /* waiting to be sent before plug_client_send refuses */
#define PLUGC_GRACE_MS      1000 /* for plugd to tell us of a deadline, or of a cancel */
#define PLUGC_CONNECT_MS    5000
#define PLUGC_FIELD_BYTES   1024 /* longest plugin, method or content type sent */
#define PLUGC_TEXT_BYTES    1024 /* longest message made here */
#define PLUGC_DISPATCH_MAX  64   /* packets in one plug_client_dispatch() */
#define PLUGC_FLUSH_MAX     64   /* messages sent in a row before input gets its turn */
#define PLUGC_NEVER         UINT64_MAX
#define PLUGC_FDS_MAX       3  /* with one message of plugd's */
#define PLUGC_ROUTE_BUCKETS 64 /* a power of two */

enum plugc_state { PLUGC_DOWN, PLUGC_CONNECTING, PLUGC_GREETING, PLUGC_READY };

/* ---- by number ---- */

struct plugc_entry {
	uint64_t id;
	LIST_ENTRY(plugc_entry) bucket;
};

LIST_HEAD(plugc_bucket, plugc_entry);

struct plugc_table {
	struct plugc_bucket *buckets;
	size_t bucket_count, count;
};

/* ---- what is to be sent ---- */

/* One call, request or cancel until the kernel has all of it. */
struct plugc_out {
	TAILQ_ENTRY(plugc_out) link;
	uint64_t id;
	struct plugc_call *call;      /* NULL: a cancel, on the heap */
	const Plug__Request *request; /* NULL: not a request */
	plug_err cancel_reason;
	const char *plugin, *method, *content_type;
	size_t method_length, type_length;
	const uint8_t *payload;
	size_t size, sent; /* payload bytes */
	const struct plug_tensor *tensors;
	size_t tensor_count;
	bool copied; /* all that is pointed at is ours, and the payload counts in
			client->out_bytes */
	bool queued, started;
};

/* ---- what came ---- */

/* A Reply or a Response with all its payload, and what its pointers point into.  Of the last one
 * the user gets `pub`; of a piece on_piece gets pub.payload. */
struct plugc_message {
	struct plug_reply pub; /* first: plug_reply_free() gets this address */
	STAILQ_ENTRY(plugc_message) link;
	Plug__Envelope *env; /* NULL: `bytes` */
	uint8_t *joined;     /* payload of several messages */
	size_t capacity;     /* of joined */
	char *text;
	struct plug_tensor *tensors; /* pub.tensors */
	bool more, partial;
	uint8_t bytes[]; /* a record of a channel */
};

TAILQ_HEAD(plugc_call_list, plugc_call);

struct plugc_call {
	struct plugc_entry entry; /* in client->calls */
	bool is_request, blocking, tabled;
	bool sent;       /* all of it was handed to the kernel */
	bool retried;    /* has survived one lost connection unsent */
	bool elsewhere;  /* its channel does not take it: to be sent another way */
	bool replayed;   /* it is sent for the second time, which its method allows */
	bool refused;    /* before anything of it was sent */
	bool plane_only; /* over a channel or not at all */
	bool parked;     /* in route->parked */
	bool patient;    /* its deadline is that of waiting for a channel */
	bool done, listed;
	struct plugc_flight *flight; /* its place on a channel; NULL: none, or done */
	struct plugc_route *route;   /* not a call, but the route's request for a channel */
	struct plugc_wary *wary;     /* it goes over plugd for that; else NULL */
	uint64_t wary_hash;
	uint64_t died_channel, died_number; /* a process died while it was there; 0: none */
	struct plugc_route *awaits;         /* it waits until there is a channel */
	uint64_t asked_ms;                  /* deadline in the request; 0: the method's own */
	uint64_t deadline_ns;               /* of this side: the caller's plus the grace */
	uint64_t call_deadline_ns;          /* the caller's */
	plug_err expire_as;                 /* outcome when deadline_ns passes */
	uint64_t timeout_ms;                /* in force; 0: none */
	uint64_t idle_ms;     /* requests: every response moves the deadline this far; 0: none */
	uint64_t limit_bytes; /* of the payload of a reply */
	struct plugc_out out;

	struct plugc_message *assembling;
	STAILQ_HEAD(, plugc_message) inbox; /* complete, for the owner to see */
	size_t inbox_bytes;
	uint8_t *joined; /* pieces, when nobody wants them one by one */
	size_t joined_size, joined_capacity;
	char *joined_type;
	struct plugc_message *reply; /* of a done call; NULL when memory ran out */
	plug_err outcome;

	plug_on_piece on_piece;
	plug_on_done on_done;
	void *user;
	struct plugc_call_list *ready; /* where it is listed when there is something to deliver */

	pthread_cond_t wake; /* made with the first wait */
	bool can_wait, waiting;
	/* In a list of waiters, in `ready`, in route->moving or in route->parked. */
	TAILQ_ENTRY(plugc_call) link;
};

struct plug_client {
	pthread_mutex_t lock;
	uint64_t serial;
	struct plugc_address address;
	char *name;
	uint32_t connect_timeout_ms;

	enum plugc_state state;
	int fd;
	bool broken, reset, reading, flushing, closing, more_input;
	uint64_t greeting_deadline_ns;
	_Atomic uint64_t call_bytes; /* changed under the lock */
	char server_version[64];
	plug_err lost; /* why the connection was lost; set to PLUG_OK by whoever looks */

	_Atomic uint64_t last_id;
	struct plugc_table calls;
	uint64_t next_deadline_ns;      /* no call of the event loop ends before */
	struct plugc_call_list waiters; /* threads asleep in plugc_wait() */
	struct plugc_call_list ready;   /* calls of the event loop with something to deliver */

	TAILQ_HEAD(, plugc_out) out;
	size_t out_bytes;

	/* The data plane and the event loop (plane.h). */
	bool plane_off, polls_out;
	_Atomic int epoll_fd, kick_fd; /* -1: nobody asked for it yet */
	_Atomic bool kicked;           /* the eventfd is readable, or about to be */
	_Atomic bool awake;            /* the loop is to dispatch again soon, told or not */
	_Atomic bool polled;           /* it has asked what to wait for since it dispatched */
	_Atomic bool wakes;            /* something came on a wake socket */
	unsigned unlooked;             /* dispatches without a look at the sockets */
	uint64_t region_bytes, spin_ns;
	_Atomic(struct plugc_route *) routes[PLUGC_ROUTE_BUCKETS];
	_Atomic(struct plugc_route *) last_route; /* all of them, the youngest first */
	_Atomic(struct plugc_route *) recent_route;
	size_t route_count;
	_Atomic size_t channel_count; /* not finished */
	_Atomic uint64_t last_serial; /* of channels */
	uint64_t calls_control;

	pthread_mutex_t text_lock;
	char text[PLUGC_TEXT_BYTES]; /* of the last failure; under text_lock */
	int in_fds[PLUGC_FDS_MAX];   /* came with `in`; -1: none, or taken */
	bool in_fds_lost;            /* … and this process had no room for some */
	uint8_t scratch[PLUG_MESSAGE_BYTES];
	uint8_t in[PLUG_MESSAGE_BYTES + 1]; /* one more, to notice a longer packet */
};

/* ---- failure.c ---- */

/* Note a failure for plug_client_error_text() and return err.  client NULL: of plug_client_open().
 * No lock needed. */
plug_err plugc_fail(struct plug_client *client, plug_err err, const char *format, ...)
	PLUG_PRINTF(3, 4);

/* The last text that this thread noted. */
const char *plugc_failed(void);

/* ---- text.c ---- */

/* Make text of `size` bytes and end it with a NUL, for which there is room: what is no UTF-8, and
 * NUL, becomes '?'.  Returns it. */
const char *plugc_text(uint8_t *text, size_t size);

/* ---- fds.c ---- */

/* As send() and recv(), never raising SIGPIPE.  ret_fds has PLUGC_FDS_MAX places, all -1 before. */
ssize_t plugc_send_fd(int socket, const void *data, size_t size, int fd);
ssize_t plugc_receive_fds(int socket, void *data, size_t capacity, int flags, int *ret_fds,
			  bool *ret_lost); /* some had no place in this process */
void plugc_fds_close(int *fds);

/* ---- table.c ---- */

plug_err plugc_table_init(struct plugc_table *table); /* PLUG_ENOMEM */
void plugc_table_fini(struct plugc_table *table);
struct plugc_entry *plugc_table_find(struct plugc_table *table, uint64_t id); /* or NULL */
void plugc_table_add(struct plugc_table *table, struct plugc_entry *entry);
void plugc_table_remove(struct plugc_table *table, struct plugc_entry *entry);

/* Run fn for every entry; fn may remove the entry it is given. */
void plugc_table_each(struct plugc_table *table, void (*fn)(struct plugc_entry *, void *),
		      void *arg);

/* ---- message.c ---- */

/* Empty, with room for `bytes` bytes of a record; NULL: no memory. */
struct plugc_message *plugc_message_new(size_t bytes);

/* Of a Reply or Response.  Takes env, unless memory is out (NULL). */
struct plugc_message *plugc_message_of(Plug__Envelope *env);

/* Of a failure of ours.  Takes text; NULL: that of the outcome.  NULL: no memory. */
struct plugc_message *plugc_message_failure(plug_err outcome, char *text);

void plugc_message_free(struct plugc_message *message); /* NULL is allowed */

/* More payload behind what is there. */
plug_err plugc_message_append(struct plugc_message *message, const void *data, size_t more);

/* The same for a buffer. */
plug_err plugc_append(uint8_t **buf, size_t *size, size_t *capacity, const void *data, size_t more);

/* ---- call.c: what happens to one call ---- */

void plugc_call_init(struct plugc_call *call, bool blocking);

/* Take it out of the table and the queue to plugd.  Nothing happens when it is in neither, and no
 * lock is needed then. */
void plugc_call_withdraw(struct plug_client *client, struct plugc_call *call);

/* Withdraw it and release what it holds; not the call itself. */
void plugc_call_fini(struct plug_client *client, struct plugc_call *call);

/* A Reply, Chunk or Response from plugd for it.  Takes env.  PLUG_EPROTO: it does not fit what came
 * before. */
plug_err plugc_call_receive(struct plug_client *client, struct plugc_call *call,
			    Plug__Envelope *env);

/* End it here, with a message of ours; nothing when it is done already. */
void plugc_call_end(struct plug_client *client, struct plugc_call *call, plug_err outcome,
		    const char *format, ...) PLUG_PRINTF(4, 5);

/* The same, and tell plugd that nobody waits. */
void plugc_call_abandon(struct plug_client *client, struct plugc_call *call, plug_err reason,
			const char *format, ...) PLUG_PRINTF(4, 5);

/* Ends it with PLUG_ETIMEOUT when its time is over. */
void plugc_call_expire(struct plug_client *client, struct plugc_call *call, uint64_t now_ns);

/* The message of a Reply, complete or to be continued; NULL: there was no memory for it.  Takes
 * message. */
void plugc_call_message(struct plug_client *client, struct plugc_call *call,
			struct plugc_message *message);

/* Continue the payload of the message that was not complete. */
void plugc_call_more(struct plug_client *client, struct plugc_call *call, const void *data,
		     size_t size, bool last);

/* The condition is waited on: make it. */
void plugc_call_can_wait(struct plugc_call *call);

/* ---- out.c: the queue to plugd ---- */

/* Fill call->out from a request, which is checked, all but the size of its payload.  Refusals set
 * the error text.  No lock needed. */
plug_err plugc_out_prepare(struct plug_client *client, struct plugc_call *call,
			   const struct plug_request *request);

void plugc_out_add(struct plug_client *client, struct plugc_out *out);
void plugc_out_remove(struct plug_client *client, struct plugc_out *out);

/* What is queued is to be sent from its beginning. */
void plugc_out_rewind(struct plug_client *client, struct plugc_out *out);

/* Tell plugd that nobody waits for id.  Lost quietly when memory is out: plugd's own deadline
 * remains. */
void plugc_out_cancel(struct plug_client *client, uint64_t id, plug_err reason);

/* Send what the kernel takes now, up to PLUGC_FLUSH_MAX messages.  Sets client->broken when the
 * other end is gone. */
void plugc_flush(struct plug_client *client);

/* ---- connection.c: the socket ---- */

/*
 * From DOWN to GREETING.  With `block` it may wait for room in plugd's backlog, the lock released.
 * On failure the error text is set, and every call has ended.
 */
plug_err plugc_connect(struct plug_client *client, bool block);

/* Close the connection.  Calls that were sent end with err; others too when it is the second
 * connection they saw or it never was READY, and wait for the next otherwise. */
void plugc_lose(struct plug_client *client, plug_err err, const char *format, ...)
	PLUG_PRINTF(3, 4);

/*
 * Wait until until_ns at the latest for one packet and deal with it; flush as well.  until_ns 0:
 * do not wait.  Releases the lock while waiting.  The caller has set client->reading.
 * True when there may be more.
 */
bool plugc_read(struct plug_client *client, uint64_t until_ns);

/* ---- session.c ---- */

plug_err plugc_greet(struct plug_client *client); /* sends CLIENT_HELLO */

/* One packet.  Loses the connection when it is not what the protocol allows. */
void plugc_packet(struct plug_client *client, const uint8_t *data, size_t size);

/* ---- client.c, dispatch.c ---- */

/* Give a prepared call its id and deadline, and send it to plugd as far as possible now. */
void plugc_start(struct plug_client *client, struct plugc_call *call);

/* Does the payload keep to plugd's limit?  Ends the call when not. */
bool plugc_fits(struct plug_client *client, struct plugc_call *call);

/* Run the callbacks of the event loop's calls in `ready`, which is protected by `lock`, held but
 * while they run. */
void plugc_run_ready(struct plug_client *client, pthread_mutex_t *lock,
		     struct plugc_call_list *ready);

/* Does this thread dispatch the handle? */
bool plugc_dispatching(const struct plug_client *client);

/* ---- wait.c: blocking calls ---- */

/* Called with every complete message of a call, without the lock.  False: cancel. */
typedef bool (*plugc_on_message)(struct plugc_call *call, struct plugc_message *message);

/* What plugd has sent already, if nobody else reads. */
void plugc_read_now(struct plug_client *client);

/* Wait until the call, which is in the table, is done. */
void plugc_wait(struct plug_client *client, struct plugc_call *call, plugc_on_message on_message);

/* Wait until something happens on the connection, or until_ns; for a blocking call that is not yet
 * sent.  Connects when it is DOWN: then the error of that. */
plug_err plugc_wait_once(struct plug_client *client, struct plugc_call *call, uint64_t until_ns);

/* Wait until the connection is READY or DOWN again. */
void plugc_wait_ready(struct plug_client *client);

/* Let another waiting thread read when nobody does. */
void plugc_promote(struct plug_client *client);

/* ---- clock ---- */

uint64_t plugc_now_ns(void);
uint64_t plugc_after_ms(uint64_t now_ns, uint64_t ms); /* saturating */
int plugc_poll_ms(uint64_t now_ns, uint64_t until_ns); /* for poll(), rounded up; -1: PLUGC_NEVER */

#endif
