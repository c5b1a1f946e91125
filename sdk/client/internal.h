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

#include "address.h"
#include "admin.h"
#include "codec.h"
#include "wire.h"

#define PLUGC_QUEUE_BYTES \
	(4u * 1024 * 1024)      /* waiting to be sent before plug_client_send refuses */
#define PLUGC_GRACE_MS     1000 /* for plugd to tell us of a deadline, or of a cancel */
#define PLUGC_CONNECT_MS   5000
#define PLUGC_FIELD_BYTES  1024 /* longest plugin, method or content type sent */
#define PLUGC_TEXT_BYTES   1024 /* longest message made here */
#define PLUGC_DISPATCH_MAX 64   /* packets in one plug_client_dispatch() */
#define PLUGC_FLUSH_MAX    64   /* messages sent in a row before input gets its turn */
#define PLUGC_NEVER        UINT64_MAX

enum plugc_state { PLUGC_DOWN, PLUGC_CONNECTING, PLUGC_GREETING, PLUGC_READY };

/* ---- what is to be sent ---- */

/* One call, request or cancel until the kernel has all of it. */
struct plugc_out {
	TAILQ_ENTRY(plugc_out) link;
	uint64_t id;
	struct plugc_call *call;      /* NULL: a cancel, on the heap */
	const Plug__Request *request; /* NULL: not a request */
	plug_err cancel_reason;
	const char *plugin, *method, *content_type;
	const uint8_t *payload;
	size_t size, sent; /* payload bytes */
	bool copied;       /* the payload is memory of ours, and counts in client->out_bytes */
	bool queued, started;
};

/* ---- what came ---- */

/* One complete Reply or Response. */
struct plugc_message {
	STAILQ_ENTRY(plugc_message) link;
	Plug__Envelope *env;
	uint8_t *joined; /* payload of a chunked one; NULL: it is in env */
	size_t size, capacity;
};

/* A reply and what its pointers point into. */
struct plugc_reply {
	struct plug_reply pub; /* first: plug_reply_free() gets this address */
	struct plugc_message *message;
	uint8_t *joined;
	char *text;
};

struct plugc_call {
	uint64_t id;
	LIST_ENTRY(plugc_call) bucket;
	bool is_request, blocking;
	bool sent;    /* all of it was handed to the kernel */
	bool retried; /* has survived one lost connection unsent */
	bool done, listed;
	uint64_t deadline_ns;      /* of this side: the caller's plus the grace */
	uint64_t call_deadline_ns; /* the caller's */
	plug_err expire_as;        /* outcome when deadline_ns passes */
	uint64_t timeout_ms;       /* as asked for; 0: none */
	uint64_t idle_ms; /* requests: every response moves the deadline this far; 0: none */
	struct plugc_out out;

	struct plugc_message *assembling;
	STAILQ_HEAD(, plugc_message) inbox; /* complete, for the owner to see */
	size_t inbox_bytes;
	uint8_t *joined; /* pieces, when nobody wants them one by one */
	size_t joined_size, joined_capacity;
	char *joined_type;
	struct plugc_reply *reply; /* of a done call; NULL when memory ran out */
	plug_err outcome;

	plug_on_piece on_piece;
	plug_on_done on_done;
	void *user;

	pthread_cond_t wake; /* blocking only */
	bool waiting;
	TAILQ_ENTRY(plugc_call) link; /* in client->waiters or client->ready */
};

TAILQ_HEAD(plugc_call_list, plugc_call);

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
	uint64_t call_bytes;
	char server_version[64];
	plug_err lost; /* why the connection was lost; set to PLUG_OK by whoever looks */

	uint64_t last_id;
	LIST_HEAD(plugc_bucket, plugc_call) * buckets;
	size_t bucket_count, call_count;
	uint64_t next_deadline_ns;      /* no call of the event loop ends before */
	struct plugc_call_list waiters; /* threads asleep in plugc_wait() */
	struct plugc_call_list ready;   /* calls of the event loop with something to deliver */

	TAILQ_HEAD(, plugc_out) out;
	size_t out_bytes;

	char text[PLUGC_TEXT_BYTES]; /* of the last failure */
	uint8_t scratch[PLUG_MESSAGE_BYTES];
	uint8_t in[PLUG_MESSAGE_BYTES + 1]; /* one more, to notice a longer packet */
};

/* ---- failure.c ---- */

/* Note a failure for plug_client_error_text() and return err.  client NULL: of
 * plug_client_open(), no lock needed. */
plug_err plugc_fail(struct plug_client *client, plug_err err, const char *format, ...)
	PLUG_PRINTF(3, 4);

/* ---- table.c: calls by id ---- */

plug_err plugc_table_init(struct plug_client *client);
void plugc_table_fini(struct plug_client *client);
struct plugc_call *plugc_table_find(struct plug_client *client, uint64_t id);
void plugc_table_add(struct plug_client *client, struct plugc_call *call);
void plugc_table_remove(struct plug_client *client, struct plugc_call *call);

/* Run fn for every call; fn may remove the call it is given. */
void plugc_table_each(struct plug_client *client, void (*fn)(struct plugc_call *, void *),
		      void *arg);

/* ---- call.c: what happens to one call ---- */

void plugc_call_init(struct plugc_call *call, bool blocking);

/* Release what a call holds, its place in the table and the queue included; not the call itself. */
void plugc_call_fini(struct plug_client *client, struct plugc_call *call);

/* A Reply, Chunk or Response for it.  Takes env.  PLUG_EPROTO: it does not fit what came before. */
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

struct plug_payload plugc_message_payload(const struct plugc_message *message);
void plugc_message_free(struct plugc_message *message);

/* ---- out.c: the queue to plugd ---- */

/* Fill call->out from a request, whose strings are checked.  Refusals set the error text. */
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

/* Give a prepared call its id and deadline, and send it as far as possible now. */
void plugc_start(struct plug_client *client, struct plugc_call *call, uint64_t timeout_ms);

/* Run the callbacks of the event loop's calls.  Releases the lock while they run. */
void plugc_run_ready(struct plug_client *client);

/* ---- wait.c: blocking calls ---- */

/* Called with every complete message of a call, without the lock.  False: cancel. */
typedef bool (*plugc_on_message)(struct plugc_call *call, struct plugc_message *message);

/* Wait until the call, which is in the table, is done. */
void plugc_wait(struct plug_client *client, struct plugc_call *call, plugc_on_message on_message);

/* Wait until the connection is READY or DOWN again. */
void plugc_wait_ready(struct plug_client *client);

/* Let another waiting thread read when nobody does. */
void plugc_promote(struct plug_client *client);

/* ---- clock ---- */

uint64_t plugc_now_ns(void);
uint64_t plugc_after_ms(uint64_t now_ns, uint64_t ms); /* saturating */
int plugc_poll_ms(uint64_t now_ns, uint64_t until_ns); /* for poll(), rounded up; -1: PLUGC_NEVER */

#endif
