/*
 * Invariants
 *  - `fd` is the one peer, greeted or not; while it is there everybody else is turned away.
 *  - `held` has the beginning of a frame that has not come whole, and `out` the rest of one that
 * has not left whole.  Both are empty most of the time, and hold no memory then.
 *  - The peer is forgotten in lose() only; callbacks that run below it see link_connection() 0.
 */
#include "ipc/link.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "ipc/link_private.h"

#define GREETING_BYTES 8
#define HEAD_BYTES     9 /* of a frame: 1, length */
#define HOPS_BYTES     4
#define HOPS_MAX       255
#define READ_BYTES     (256u * 1024)
#define BACKLOG        4
#define ACCEPT_PAUSE   0.1

/* 0 S P 0, then the protocol (pair, version 1), then 0. */
static const uint8_t greeting[GREETING_BYTES] = {0, 'S', 'P', 0, 0, 0x11, 0, 0};

static void
buffer_clear(struct link_buffer *buffer)
{
	free(buffer->bytes);
	*buffer = (struct link_buffer){0};
}

bool
link_buffer_append(struct link_buffer *buffer, const void *bytes, size_t size)
{
	uint8_t *grown = realloc(buffer->bytes, buffer->used + size);

	if (!grown)
		return false;
	memcpy(grown + buffer->used, bytes, size);
	buffer->bytes = grown;
	buffer->used += size;
	return true;
}

/* ---- the end of a connection ---- */

/* The peer sees the end at once; our descriptor goes with the next peer or the link.  close() takes
 * longer than all that there is to do for a process that has died, and a call may wait for that. */
static void
lose(struct link *link)
{
	struct ev_loop *loop = link->config.loop;

	if (link->fd < 0)
		return;
	ev_io_stop(loop, &link->read_w);
	ev_io_stop(loop, &link->write_w);
	link->ended_fd = steal_fd(&link->fd);
	shutdown(link->ended_fd, SHUT_RDWR);
	buffer_clear(&link->held);
	buffer_clear(&link->out);
	link->connection = 0;
	link->config.ops->on_lost(link->config.user);
}

static void
refuse(struct link *link, const char *what)
{
	link->config.ops->on_garbage(link->config.user, what);
	lose(link);
}

/* ---- receiving ---- */

static uint64_t
get_64(const uint8_t *at)
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value = value << 8 | at[i];
	return value;
}

static uint32_t
get_32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* What is wrong with a frame's first bytes, or NULL. */
static const char *
fault_of(const struct link *link, const uint8_t *head)
{
	uint64_t length = get_64(head + 1);

	if (head[0] != 1)
		return "bytes that are no nng frame";
	if (length < HOPS_BYTES)
		return "an nng frame without the pair1 header";
	if (length - HOPS_BYTES > link->config.max_bytes)
		return "a frame above the limit";
	return NULL;
}

/*
 * Hand on the frames that are whole.  Returns how many bytes are done with; `*ret_alive` is false
 * when the connection was given up meanwhile.
 */
static size_t
take_frames(struct link *link, const uint8_t *bytes, size_t size, bool *ret_alive)
{
	uint64_t connection = link->connection;
	size_t at = 0;

	while (size - at >= HEAD_BYTES && !link->muted) {
		const uint8_t *head = bytes + at, *body = head + HEAD_BYTES;
		const char *fault = fault_of(link, head);
		size_t length;

		if (fault) {
			refuse(link, fault);
			*ret_alive = false;
			return at;
		}
		length = (size_t)get_64(head + 1);
		if (size - at - HEAD_BYTES < length)
			break;
		if (get_32(body) > HOPS_MAX) {
			refuse(link, "an nng frame with an impossible hop count");
			*ret_alive = false;
			return at;
		}
		at += HEAD_BYTES + length;
		if (!link->config.ops->on_frame(link->config.user, body + HOPS_BYTES,
						length - HOPS_BYTES)) {
			lose(link);
			break;
		}
	}
	*ret_alive = link->connection == connection;
	return at;
}

/* The greeting must be the first bytes; what follows them are frames. */
static bool
take_greeting(struct link *link, const uint8_t *bytes)
{
	if (memcmp(bytes, greeting, GREETING_BYTES)) {
		refuse(link, "a peer that is not an nng pair1 socket");
		return false;
	}
	link->greeted = true;
	return true;
}

static void
take(struct link *link, const uint8_t *bytes, size_t size)
{
	size_t at = 0;
	bool alive = true;

	if (!link->greeted && size >= GREETING_BYTES) {
		if (!take_greeting(link, bytes))
			return;
		at = GREETING_BYTES;
	}
	if (link->greeted)
		at += take_frames(link, bytes + at, size - at, &alive);
	if (!alive)
		return;
	if (bytes == link->held.bytes) {
		memmove(link->held.bytes, bytes + at, size - at);
		link->held.used = size - at;
		if (!link->held.used)
			buffer_clear(&link->held);
	} else if (at < size && !link_buffer_append(&link->held, bytes + at, size - at)) {
		lose(link); /* no memory: the peer comes back and sends it again */
	}
}

/* False when there is no more for now, or for ever. */
static bool
read_some(struct link *link)
{
	static uint8_t buffer[READ_BYTES]; /* one loop, one thread */
	ssize_t size = recv(link->fd, buffer, sizeof(buffer), MSG_DONTWAIT);

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (size <= 0) {
		lose(link);
		return false;
	}
	if (!link->held.used)
		take(link, buffer, (size_t)size);
	else if (link_buffer_append(&link->held, buffer, (size_t)size))
		take(link, link->held.bytes, link->held.used);
	else
		lose(link);
	return !link->muted;
}

static void
on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	(void)revents;
	read_some(w->data);
}

/* ---- sending ---- */

static void
on_writable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct link *link = w->data;
	struct link_buffer *out = &link->out;
	ssize_t size = 0;

	(void)revents;
	if (out->used)
		size = send(link->fd, out->bytes + out->at, out->used - out->at,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
	if (size < 0) {
		if (errno != EAGAIN && errno != EINTR)
			ev_io_stop(loop, w); /* reading says so, after all that was sent to us */
		return;
	}
	out->at += (size_t)size;
	if (out->at < out->used)
		return;
	buffer_clear(out);
	ev_io_stop(loop, w);
	if (link->greeted)
		link->config.ops->on_writable(link->config.user);
}

/* Write as much as goes; keep the rest. */
static plug_err
write_or_keep(struct link *link, struct iovec *parts, size_t count)
{
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
	ssize_t sent = sendmsg(link->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	size_t done = sent > 0 ? (size_t)sent : 0;

	if (sent < 0 && errno != EAGAIN && errno != EINTR)
		return PLUG_EGONE; /* reading says so, too */
	if (sent < 0)
		return ev_io_start(link->config.loop, &link->write_w), PLUG_EAGAIN;
	for (size_t i = 0; i < count; i++) {
		size_t skip = done < parts[i].iov_len ? done : parts[i].iov_len;

		done -= skip;
		if (skip < parts[i].iov_len &&
		    !link_buffer_append(&link->out, (uint8_t *)parts[i].iov_base + skip,
					parts[i].iov_len - skip)) {
			shutdown(link->fd,
				 SHUT_RDWR); /* half a frame is out: the connection is of no use */
			return PLUG_ENOMEM;
		}
	}
	if (link->out.used)
		ev_io_start(link->config.loop, &link->write_w);
	return PLUG_OK;
}

plug_err
link_send(struct link *link, const void *body, size_t size)
{
	uint8_t head[HEAD_BYTES + HOPS_BYTES] = {1};
	struct iovec parts[] = {{head, sizeof(head)}, {(void *)(uintptr_t)body, size}};
	uint64_t length = size + HOPS_BYTES;

	if (link->fd < 0 || !link->greeted)
		return PLUG_EGONE;
	if (link->out.used)
		return PLUG_EAGAIN;
	for (int i = 0; i < 8; i++)
		head[1 + i] = (uint8_t)(length >> (56 - 8 * i));
	head[sizeof(head) - 1] = 1; /* one hop */
	return write_or_keep(link, parts, ARRAY_SIZE(parts));
}

/* ---- the door ---- */

static void
adopt(struct link *link, int fd)
{
	struct ev_loop *loop = link->config.loop;
	struct iovec hello = {(void *)(uintptr_t)greeting, sizeof(greeting)};

	close_fd(&link->ended_fd);
	link->fd = fd;
	link->greeted = false;
	link->connection = ++link->last_connection;
	ev_io_set(&link->read_w, fd, EV_READ);
	ev_io_set(&link->write_w, fd, EV_WRITE);
	ev_io_start(loop, &link->read_w);
	write_or_keep(link, &hello, 1);
}

/* A peer that comes back may be at the door before its old connection's end was read.  What is left
 * of that one is no more than the socket holds; of a live one it could be without end. */
static bool
still_connected(struct link *link)
{
	struct pollfd pfd = {.fd = link->fd, .events = POLLRDHUP};

	if (link->fd >= 0 && poll(&pfd, 1, 0) == 0)
		return true;
	while (link->fd >= 0 && read_some(link))
		;
	return link->fd >= 0;
}

static void
forget_turned(struct link *link)
{
	ev_io_stop(link->config.loop, &link->turned_w);
	close_fd(&link->turned_fd);
}

/* Its greeting has come, or its end. */
static void
on_turned_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct link *link = w->data;
	uint8_t bytes[GREETING_BYTES];

	(void)loop;
	(void)revents;
	recv(link->turned_fd, bytes, sizeof(bytes), MSG_DONTWAIT); /* unread, it is a reset */
	forget_turned(link);
}

/*
 * Greeted and turned away, as pair1 does: its dialer tries again.  It must be able to greet us
 * first: nng 1.5 takes EPIPE there for its dialer having been closed, and never dials again.
 */
static void
turn_away(struct link *link, int fd)
{
	forget_turned(link);
	send(fd, greeting, sizeof(greeting), MSG_DONTWAIT | MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	link->turned_fd = fd;
	ev_io_set(&link->turned_w, fd, EV_READ);
	ev_io_start(link->config.loop, &link->turned_w);
}

static void
on_acceptable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct link *link = w->data;
	int fd = accept4(link->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)revents;
	if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		ev_io_stop(loop, w); /* it would come at once, and again and again */
		ev_timer_again(loop, &link->accept_pause);
	}
	if (fd < 0)
		return;
	if (link->fd >= 0 && !link->greeted)
		lose(link); /* it has had its time to say what it is */
	if (!still_connected(link) && !link->muted) {
		adopt(link, fd);
		return;
	}
	turn_away(link, fd);
}

static void
on_accept_pause(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct link *link = w->data;

	(void)revents;
	ev_timer_stop(loop, w);
	if (!link->muted)
		ev_io_start(loop, &link->accept_w);
}

static plug_err
listen_at(struct link *link, const char *path)
{
	if (strlen(path) >= sizeof(link->address.sun_path))
		return PLUG_ETOOLARGE;
	link->address.sun_family = AF_UNIX;
	strcpy(link->address.sun_path, path);
	link->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (link->listen_fd < 0 ||
	    bind(link->listen_fd, (struct sockaddr *)&link->address, sizeof(link->address)) < 0 ||
	    listen(link->listen_fd, BACKLOG) < 0)
		return PLUG_ESYS;
	return PLUG_OK;
}

struct link *
link_new(const struct link_config *config)
{
	struct link *link = calloc(1, sizeof(*link));

	if (!link)
		return NULL;
	link->config = *config;
	link->config.path = NULL; /* the caller's; a copy is in `address` */
	link->listen_fd = link->fd = link->turned_fd = link->ended_fd = -1;
	return link;
}

void
link_init_watchers(struct link *link)
{
	ev_io_init(&link->accept_w, on_acceptable, link->listen_fd, EV_READ);
	ev_io_init(&link->read_w, on_readable, link->fd, EV_READ);
	ev_io_init(&link->write_w, on_writable, link->fd, EV_WRITE);
	ev_io_init(&link->turned_w, on_turned_readable, link->turned_fd, EV_READ);
	ev_timer_init(&link->accept_pause, on_accept_pause, 0., ACCEPT_PAUSE);
	link->accept_w.data = link->read_w.data = link->write_w.data = link;
	link->accept_pause.data = link->turned_w.data = link;
}

plug_err
link_open(const struct link_config *config, struct link **ret)
{
	struct link *link = link_new(config);
	plug_err err;

	if (!link)
		return PLUG_ENOMEM;
	err = listen_at(link, config->path);
	if (err) {
		close_fd(&link->listen_fd);
		free(link);
		return err;
	}
	link_init_watchers(link);
	ev_io_start(config->loop, &link->accept_w);
	*ret = link;
	return PLUG_OK;
}

void
link_close(struct link *link)
{
	struct ev_loop *loop;

	if (!link)
		return;
	loop = link->config.loop;
	ev_io_stop(loop, &link->accept_w);
	ev_io_stop(loop, &link->read_w);
	ev_io_stop(loop, &link->write_w);
	ev_timer_stop(loop, &link->accept_pause);
	forget_turned(link);
	close_fd(&link->ended_fd);
	close_fd(&link->fd);
	close_fd(&link->listen_fd);
	unlink(link->address.sun_path);
	buffer_clear(&link->held);
	buffer_clear(&link->out);
	free(link);
}

void
link_mute(struct link *link)
{
	link->muted = true;
	ev_io_stop(link->config.loop, &link->read_w);
	ev_io_stop(link->config.loop, &link->accept_w);
}

uint64_t
link_connection(const struct link *link)
{
	return link->connection;
}
