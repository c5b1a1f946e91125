/*
 * Invariants
 *
 * - `lock` is held only for bookkeeping and for nng calls that return at once.  A message that
 * finds no room waits in wait_aio, without any thread; nng's callback then sends on.  So whoever
 * takes the lock gets it soon, and plugd not reading can stop neither the receiver nor a handler.
 * - Nothing is sent before HELLO: a socket has one connection only (link.h), it is known here only
 *   from NNG_PIPE_EV_ADD_PRE on, and `state` forbids everything but HELLO until WELCOME.
 * - Kept messages are packed without seq and ack; both are appended when the message is sent (a
 *   protobuf message is the concatenation of its fields), so a repeated one carries a fresh ack.
 * - kept is sorted by seq without gaps; unsent points into it or is NULL when all was sent.
 * - No nng callback takes this lock while nng holds one of its own that these functions need.
 */
#include "outbox.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "codec.h"
#include "wire.h"

#define TAG_SEQ       (3 << 3)
#define TAG_ACK       (4 << 3)
#define TRAILER_BYTES (2u * (1 + 10))

struct entry {
	struct entry *next;
	uint64_t seq; /* 0: of one connection only */
	size_t log_bytes;
	size_t size;
	uint8_t bytes[];
};

static uint8_t *
put_field(uint8_t *at, uint8_t tag, uint64_t value)
{
	*at++ = tag;
	while (value >= 0x80) {
		*at++ = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	*at++ = (uint8_t)value;
	return at;
}

static nng_msg *
render(struct outbox *out, const struct entry *entry)
{
	uint64_t received = atomic_load(&out->received);
	nng_msg *msg;
	uint8_t *body, *at;

	if (nng_msg_alloc(&msg, entry->size + TRAILER_BYTES) != 0)
		return NULL;
	body = nng_msg_body(msg);
	memcpy(body, entry->bytes, entry->size);
	at = body + entry->size;
	if (entry->seq)
		at = put_field(at, TAG_SEQ, entry->seq);
	if (received)
		at = put_field(at, TAG_ACK, received);
	nng_msg_chop(msg, entry->size + TRAILER_BYTES - (size_t)(at - body));
	atomic_store(&out->told, received);
	atomic_store(&out->told_bytes, atomic_load(&out->received_bytes));
	return msg;
}

static struct entry *
next_entry(struct outbox *out)
{
	if (out->state == OUTBOX_LOST)
		return NULL;
	if (out->now)
		return out->now;
	return out->state == OUTBOX_WELCOMED ? out->unsent : NULL;
}

static void
drop_now(struct outbox *out)
{
	struct entry *entry;

	while ((entry = out->now) != NULL) {
		out->now = entry->next;
		free(entry);
	}
	out->now_tail = &out->now;
}

static void
advance(struct outbox *out, struct entry *entry)
{
	if (entry->seq) {
		out->unsent = entry->next;
		return;
	}
	out->now = entry->next;
	if (!out->now)
		out->now_tail = &out->now;
	free(entry);
}

/* Send what can be sent.  Called with the lock held. */
static void
pump(struct outbox *out)
{
	struct entry *entry;

	while (!out->waiting && (entry = next_entry(out)) != NULL) {
		nng_msg *msg = render(out, entry);

		if (!msg)
			return; /* the tick tries again */
		nng_aio_set_msg(out->try_aio, msg);
		nng_send_aio(out->socket, out->try_aio);
		nng_aio_wait(out->try_aio); /* has ended: its timeout is zero */
		if (nng_aio_result(out->try_aio) != 0) {
			out->waiting = true;
			nng_aio_set_msg(out->wait_aio, msg);
			nng_send_aio(out->socket, out->wait_aio);
		}
		advance(out, entry);
	}
}

static bool
is_idle(struct outbox *out)
{
	return out->state != OUTBOX_WELCOMED || (!out->waiting && !next_entry(out));
}

/* wait_aio ended, on a thread of nng's. */
static void
on_room(void *arg)
{
	struct outbox *out = arg;

	pthread_mutex_lock(&out->lock);
	out->waiting = false;
	if (nng_aio_result(out->wait_aio) != 0) {
		nng_msg_free(nng_aio_get_msg(out->wait_aio));
		nng_aio_set_msg(out->wait_aio, NULL);
	}
	pump(out);
	if (is_idle(out))
		pthread_cond_broadcast(&out->idle);
	pthread_mutex_unlock(&out->lock);
}

plug_err
plugp_outbox_init(struct outbox *out, uint32_t generation)
{
	memset(out, 0, sizeof(*out));
	pthread_mutex_init(&out->lock, NULL);
	clock_cond_init(&out->idle);
	out->generation = generation;
	out->kept_tail = &out->kept;
	out->now_tail = &out->now;
	out->lost_ns = clock_ns();
	if (nng_aio_alloc(&out->try_aio, NULL, NULL) != 0 ||
	    nng_aio_alloc(&out->wait_aio, on_room, out) != 0)
		return PLUG_ENOMEM;
	nng_aio_set_timeout(out->try_aio, NNG_DURATION_ZERO);
	nng_aio_set_timeout(out->wait_aio, NNG_DURATION_INFINITE);
	return PLUG_OK;
}

static plug_err
make_entry(struct outbox *out, Plug__Envelope *env, struct entry **ret)
{
	struct entry *entry;
	size_t size;

	env->generation = out->generation;
	env->seq = 0;
	env->ack = 0;
	size = plug_envelope_size(env);
	if (size > PLUG_MESSAGE_BYTES - TRAILER_BYTES)
		return PLUG_ETOOLARGE;
	entry = malloc(sizeof(*entry) + size);
	if (!entry)
		return PLUG_ENOMEM;
	entry->next = NULL;
	entry->seq = 0;
	entry->log_bytes = 0;
	entry->size = plug__envelope__pack(env, entry->bytes);
	*ret = entry;
	return PLUG_OK;
}

static void
keep(struct outbox *out, struct entry *entry)
{
	pthread_mutex_lock(&out->lock);
	entry->seq = ++out->last_seq;
	*out->kept_tail = entry;
	out->kept_tail = &entry->next;
	if (!out->unsent)
		out->unsent = entry;
	pump(out);
	pthread_mutex_unlock(&out->lock);
}

plug_err
plugp_outbox_push(struct outbox *out, Plug__Envelope *env)
{
	struct entry *entry;
	plug_err err = make_entry(out, env, &entry);

	if (err == PLUG_OK)
		keep(out, entry);
	return err;
}

plug_err
plugp_outbox_push_log(struct outbox *out, Plug__Envelope *env)
{
	struct entry *entry;
	plug_err err;

	if (atomic_load(&out->log_bytes) >= OUTBOX_LOG_BYTES)
		return PLUG_EOVERLOADED;
	err = make_entry(out, env, &entry);
	if (err == PLUG_OK) {
		entry->log_bytes = entry->size;
		atomic_fetch_add(&out->log_bytes, entry->log_bytes);
		keep(out, entry);
	}
	return err;
}

static void
queue_now(struct outbox *out, struct entry *entry)
{
	*out->now_tail = entry;
	out->now_tail = &entry->next;
	pump(out);
}

void
plugp_outbox_now(struct outbox *out, Plug__Envelope *env)
{
	struct entry *entry;

	if (make_entry(out, env, &entry) != PLUG_OK)
		return;
	pthread_mutex_lock(&out->lock);
	if (out->state == OUTBOX_WELCOMED)
		queue_now(out, entry);
	else
		free(entry);
	pthread_mutex_unlock(&out->lock);
}

/* Forget the connection.  Called with the lock held. */
static void
disconnect(struct outbox *out)
{
	if (!out->lost_ns)
		out->lost_ns = clock_ns();
	out->state = OUTBOX_LOST;
	out->pipe = 0;
	drop_now(out);
	nng_aio_cancel(out->wait_aio);
	pthread_cond_broadcast(&out->idle);
}

void
plugp_outbox_replace(struct outbox *out, nng_socket socket, uint32_t pipe)
{
	pthread_mutex_lock(&out->lock);
	disconnect(out);
	out->socket = socket;
	out->pipe = pipe;
	pthread_mutex_unlock(&out->lock);
}

plug_err
plugp_outbox_hello(struct outbox *out, uint32_t pipe, Plug__Envelope *env)
{
	struct entry *entry;
	plug_err err = make_entry(out, env, &entry);

	if (err != PLUG_OK)
		return err;
	pthread_mutex_lock(&out->lock);
	if (out->pipe == pipe && out->state == OUTBOX_LOST) {
		out->state = OUTBOX_OPEN;
		queue_now(out, entry);
	} else {
		free(entry);
	}
	pthread_mutex_unlock(&out->lock);
	return PLUG_OK;
}

void
plugp_outbox_lost(struct outbox *out, uint32_t pipe)
{
	pthread_mutex_lock(&out->lock);
	if (out->pipe == pipe)
		disconnect(out);
	pthread_mutex_unlock(&out->lock);
}

/* Called with the lock held. */
static void
forget(struct outbox *out, uint64_t ack)
{
	struct entry *entry;

	while ((entry = out->kept) != NULL && entry->seq <= ack) {
		out->kept = entry->next;
		if (out->unsent == entry)
			out->unsent = entry->next;
		atomic_fetch_sub(&out->log_bytes, entry->log_bytes);
		free(entry);
	}
	if (!out->kept)
		out->kept_tail = &out->kept;
}

bool
plugp_outbox_welcomed(struct outbox *out, uint32_t pipe, uint64_t received)
{
	bool possible;

	pthread_mutex_lock(&out->lock);
	possible = received <= out->last_seq;
	if (possible && out->pipe == pipe && out->state == OUTBOX_OPEN) {
		forget(out, received);
		out->unsent = out->kept;
		out->state = OUTBOX_WELCOMED;
		out->lost_ns = 0;
		pump(out);
	}
	pthread_mutex_unlock(&out->lock);
	return possible;
}

enum outbox_origin
plugp_outbox_heard(struct outbox *out, uint32_t pipe, uint64_t ack)
{
	enum outbox_origin origin = OUTBOX_FROM_WELCOMED;

	pthread_mutex_lock(&out->lock);
	if (out->pipe != pipe || out->state == OUTBOX_LOST)
		origin = OUTBOX_FROM_OLD;
	else if (out->state == OUTBOX_OPEN)
		origin = OUTBOX_FROM_UNWELCOMED;
	else if (ack > out->last_seq)
		origin = OUTBOX_FROM_LIAR;
	else
		forget(out, ack);
	pthread_mutex_unlock(&out->lock);
	return origin;
}

static void
acknowledge(struct outbox *out)
{
	Plug__Ack ack = PLUG__ACK__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	env.body_case = PLUG__ENVELOPE__BODY_ONLY_ACK;
	env.only_ack = &ack;
	plugp_outbox_now(out, &env);
}

void
plugp_outbox_took(struct outbox *out, uint64_t seq, size_t size)
{
	uint64_t bytes = atomic_fetch_add(&out->received_bytes, size) + size;

	atomic_store(&out->received, seq);
	if (seq - atomic_load(&out->told) >= PLUG_ACK_MESSAGES ||
	    bytes - atomic_load(&out->told_bytes) >= PLUG_ACK_BYTES)
		acknowledge(out);
}

void
plugp_outbox_tick(struct outbox *out)
{
	if (atomic_load(&out->received) != atomic_load(&out->told))
		acknowledge(out);
	pthread_mutex_lock(&out->lock);
	pump(out);
	pthread_mutex_unlock(&out->lock);
}

uint64_t
plugp_outbox_lost_since(struct outbox *out)
{
	uint64_t since;

	pthread_mutex_lock(&out->lock);
	since = out->lost_ns;
	pthread_mutex_unlock(&out->lock);
	return since;
}

void
plugp_outbox_flush(struct outbox *out, unsigned timeout_ms)
{
	uint64_t until = clock_ns() + timeout_ms * NS_PER_MS;

	/* nng takes a message only after the one before it went to the kernel: this last one is the
	 * sign that all before it did. */
	acknowledge(out);
	pthread_mutex_lock(&out->lock);
	while (!is_idle(out) && clock_cond_wait(&out->idle, &out->lock, until) == 0)
		;
	pthread_mutex_unlock(&out->lock);
}
