/*
 * Invariants
 *
 * - `lock` is held only for bookkeeping and for system calls that return at once.  A frame that
 *   finds no room, or room for a part, waits in `rest`, without any thread; the thread that
 *   receives sends on.  So whoever takes the lock gets it soon, and plugd not reading can stop
 *   neither the receiver nor a handler.
 * - Nothing is sent before HELLO: `state` forbids everything else until WELCOME.
 * - Kept messages are packed without seq and ack; both are appended when the message is sent (a
 *   protobuf message is the concatenation of its fields), so a repeated one carries a fresh ack.
 * - kept is sorted by seq without gaps; unsent points into it or is NULL when all was sent.
 * - A connection that cannot be written to is shut down, for the thread that receives to see; that
 *   calls plugp_outbox_lost(), and until then what is sent is lost with it.
 */
#include "outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "clock.h"
#include "codec.h"
#include "link.h"
#include "wire.h"

#define TAG_SEQ       (3 << 3)
#define TAG_ACK       (4 << 3)
#define TRAILER_BYTES (2u * (1 + 10))
#define FLUSH_LOOK_NS (2 * NS_PER_MS)

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

/* Returns its size. */
static size_t
write_trailer(struct outbox *out, const struct entry *entry, uint8_t trailer[TRAILER_BYTES])
{
	uint64_t received = atomic_load(&out->received);
	uint8_t *at = trailer;

	if (entry->seq)
		at = put_field(at, TAG_SEQ, entry->seq);
	if (received)
		at = put_field(at, TAG_ACK, received);
	atomic_store(&out->told, received);
	atomic_store(&out->told_bytes, atomic_load(&out->received_bytes));
	return (size_t)(at - trailer);
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

/* ---- writing ---- */

static void
drop_rest(struct outbox *out)
{
	free(out->rest);
	out->rest = NULL;
	atomic_store(&out->waits, false);
}

/* What is left of the parts after `done` bytes waits.  Half a frame cannot be taken back: without
 * memory for the rest the connection is of no use. */
static void
keep_rest(struct outbox *out, const struct iovec *parts, int count, size_t done)
{
	size_t size = 0;
	uint8_t *at;

	for (int i = 0; i < count; i++)
		size += parts[i].iov_len;
	if (size == done)
		return;
	out->rest = at = malloc(size - done);
	if (!at) {
		shutdown(out->fd, SHUT_RDWR);
		return;
	}
	for (int i = 0; i < count; i++) {
		size_t skip = done < parts[i].iov_len ? done : parts[i].iov_len;

		memcpy(at, (const uint8_t *)parts[i].iov_base + skip, parts[i].iov_len - skip);
		at += parts[i].iov_len - skip;
		done -= skip;
	}
	out->rest_at = 0;
	out->rest_size = (size_t)(at - out->rest);
	atomic_store(&out->waits, true);
	out->on_wait(out->user);
}

static bool
has_no_room(int error)
{
	return error == EAGAIN || error == EINTR || error == ENOBUFS || error == ENOMEM;
}

static void
write_entry(struct outbox *out, const struct entry *entry)
{
	uint8_t head[LINK_HEAD_BYTES], trailer[TRAILER_BYTES];
	size_t more = write_trailer(out, entry, trailer);
	struct iovec parts[] = {{head, sizeof(head)},
				{(void *)(uintptr_t)entry->bytes, entry->size},
				{trailer, more}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 3};
	ssize_t sent;

	plugp_link_head(head, entry->size + more);
	sent = sendmsg(out->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent >= 0 || has_no_room(errno))
		keep_rest(out, parts, 3, sent > 0 ? (size_t)sent : 0);
	else
		shutdown(out->fd, SHUT_RDWR);
}

/* Send what can be sent.  Called with the lock held. */
static void
pump(struct outbox *out)
{
	struct entry *entry;

	while (!out->rest && (entry = next_entry(out)) != NULL) {
		write_entry(out, entry);
		advance(out, entry);
	}
}

static bool
is_idle(struct outbox *out)
{
	return out->state != OUTBOX_WELCOMED || (!out->rest && !next_entry(out));
}

/* Called with the lock held. */
static void
write_rest(struct outbox *out)
{
	ssize_t sent = send(out->fd, out->rest + out->rest_at, out->rest_size - out->rest_at,
			    MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent > 0)
		out->rest_at += (size_t)sent;
	else if (sent < 0 && !has_no_room(errno))
		shutdown(out->fd, SHUT_RDWR);
	if (out->rest_at < out->rest_size)
		return;
	drop_rest(out);
	pump(out);
	if (is_idle(out))
		pthread_cond_broadcast(&out->idle);
}

bool
plugp_outbox_waits(const struct outbox *out)
{
	return atomic_load(&out->waits);
}

void
plugp_outbox_room(struct outbox *out)
{
	pthread_mutex_lock(&out->lock);
	if (out->rest)
		write_rest(out);
	pthread_mutex_unlock(&out->lock);
}

/* ---- messages ---- */

void
plugp_outbox_init(struct outbox *out, uint32_t generation, void (*on_wait)(void *user), void *user)
{
	memset(out, 0, sizeof(*out));
	pthread_mutex_init(&out->lock, NULL);
	clock_cond_init(&out->idle);
	out->generation = generation;
	out->on_wait = on_wait;
	out->user = user;
	out->fd = -1;
	out->kept_tail = &out->kept;
	out->now_tail = &out->now;
	out->lost_ns = clock_ns();
}

/* Whoever held the lock is not here, so what it guards may be half changed: all is made anew. */
void
plugp_outbox_forked(struct outbox *out)
{
	int fd = out->fd;

	plugp_outbox_init(out, out->generation, out->on_wait, out->user);
	if (fd >= 0)
		close(fd);
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

/* ---- connections ---- */

void
plugp_outbox_connected(struct outbox *out, int fd)
{
	pthread_mutex_lock(&out->lock);
	out->fd = fd;
	pthread_mutex_unlock(&out->lock);
}

void
plugp_outbox_lost(struct outbox *out)
{
	pthread_mutex_lock(&out->lock);
	if (!out->lost_ns)
		out->lost_ns = clock_ns();
	out->state = OUTBOX_LOST;
	out->fd = -1;
	drop_now(out);
	drop_rest(out);
	pthread_cond_broadcast(&out->idle);
	pthread_mutex_unlock(&out->lock);
}

plug_err
plugp_outbox_hello(struct outbox *out, Plug__Envelope *env)
{
	struct entry *entry;
	plug_err err = make_entry(out, env, &entry);

	if (err != PLUG_OK)
		return err;
	pthread_mutex_lock(&out->lock);
	out->state = OUTBOX_OPEN;
	queue_now(out, entry);
	pthread_mutex_unlock(&out->lock);
	return PLUG_OK;
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
plugp_outbox_welcomed(struct outbox *out, uint64_t received)
{
	bool possible;

	pthread_mutex_lock(&out->lock);
	possible = received <= out->last_seq;
	if (possible && out->state == OUTBOX_OPEN) {
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
plugp_outbox_heard(struct outbox *out, uint64_t ack)
{
	enum outbox_origin origin = OUTBOX_FROM_WELCOMED;

	pthread_mutex_lock(&out->lock);
	if (out->state == OUTBOX_LOST)
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
	if (out->rest)
		write_rest(out); /* who receives may run a handler, and no other thread be there */
	else
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

	acknowledge(out);
	pthread_mutex_lock(&out->lock);
	while (!is_idle(out) && clock_ns() < until) {
		/* the thread that receives may have a handler to run, and no other to receive */
		clock_cond_wait(&out->idle, &out->lock, clock_ns() + FLUSH_LOOK_NS);
		if (out->rest)
			write_rest(out);
	}
	pthread_mutex_unlock(&out->lock);
}
