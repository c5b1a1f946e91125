/*
 * Invariants
 *
 * - The outbox has the connection's descriptor from after our greeting until plugp_outbox_lost(),
 *   which comes before it is closed.
 * - `buffer` has room for the longest frame; what is in it belongs to the present connection.
 */
#include "link.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "state.h"
#include "wire.h"

#define SCHEME         "ipc://"
#define GREETING_BYTES 8
#define HOPS_BYTES     4
#define BUFFER_BYTES   (LINK_HEAD_BYTES + PLUG_RECV_BYTES)
#define PAUSE_NS       (2 * NS_PER_MS)  /* plugd's side has to notice the end, too */
#define RETRY_NS       (20 * NS_PER_MS) /* between two attempts to connect */

/* 0 S P 0, then the protocol (pair, version 1), then 0. */
static const uint8_t greeting[GREETING_BYTES] = {0, 'S', 'P', 0, 0, 0x11, 0, 0};

plug_err
plugp_link_open(struct plug_plugin *plugin, const char *address)
{
	struct link *link = &plugin->link;
	size_t scheme = strlen(SCHEME);
	const char *path = address + scheme;

	link->fd = link->wake_fd = -1;
	link->address.sun_family = AF_UNIX;
	if (strncmp(address, SCHEME, scheme) || strlen(path) >= sizeof(link->address.sun_path)) {
		plugp_complain(plugin,
			       "cannot open a session at %s: expected " SCHEME
			       " and a path of fewer than %zu bytes",
			       address, sizeof(link->address.sun_path));
		return PLUG_ESYS;
	}
	strcpy(link->address.sun_path, path);
	link->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	link->buffer = malloc(BUFFER_BYTES); /* untouched, most of it is no memory */
	return link->wake_fd >= 0 && link->buffer ? PLUG_OK : PLUG_ENOMEM;
}

static void
lose(struct plug_plugin *plugin)
{
	struct link *link = &plugin->link;
	uint64_t soon = clock_ns() + PAUSE_NS;

	plugp_outbox_lost(&plugin->outbox);
	close(link->fd);
	link->fd = -1;
	link->at = link->used = 0;
	if (link->retry_ns < soon)
		link->retry_ns = soon;
}

void
plugp_link_fini(struct plug_plugin *plugin)
{
	struct link *link = &plugin->link;

	if (link->fd >= 0)
		lose(plugin);
	free(link->buffer);
	link->buffer = NULL;
}

void
plugp_link_wake(const struct link *link)
{
	uint64_t one = 1;

	if (write(link->wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it wakes already */
}

void
plugp_link_head(uint8_t head[LINK_HEAD_BYTES], size_t size)
{
	uint64_t length = size + HOPS_BYTES;

	memset(head, 0, LINK_HEAD_BYTES);
	head[0] = 1;
	for (int i = 0; i < 8; i++)
		head[1 + i] = (uint8_t)(length >> (56 - 8 * i));
	head[LINK_HEAD_BYTES - 1] = 1; /* one hop */
}

/* ---- connecting ---- */

/* A descriptor that has greeted, or -1. */
static int
dial(const struct link *link)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&link->address, sizeof(link->address)) == 0 &&
	    send(fd, greeting, sizeof(greeting), MSG_NOSIGNAL) == sizeof(greeting))
		return fd;
	close(fd);
	return -1;
}

/* HELLO goes out at once, before plugd's greeting came. */
static void
come_up(struct plug_plugin *plugin)
{
	struct link *link = &plugin->link;

	link->retry_ns = clock_ns() + RETRY_NS;
	link->fd = dial(link);
	if (link->fd < 0)
		return;
	link->greeted = false;
	plugp_outbox_connected(&plugin->outbox, link->fd);
	plugp_session_hello(plugin);
}

/* ---- receiving ---- */

static size_t
length_of(const uint8_t *head)
{
	uint64_t length = 0;

	for (int i = 0; i < 8; i++)
		length = length << 8 | head[1 + i];
	if (head[0] != 1 || length < HOPS_BYTES || length > HOPS_BYTES + PLUG_RECV_BYTES)
		return 0;
	return (size_t)length;
}

/* The connection is given up when it brings what is no frame. */
static const uint8_t *
next_body(struct plug_plugin *plugin, size_t *ret_size)
{
	struct link *link = &plugin->link;
	const uint8_t *head = link->buffer + link->at;
	size_t size = link->used - link->at, length;

	if (!link->greeted && size >= GREETING_BYTES) {
		if (memcmp(head, greeting, GREETING_BYTES)) {
			lose(plugin);
			return NULL;
		}
		link->greeted = true;
		link->at += GREETING_BYTES;
		return next_body(plugin, ret_size);
	}
	if (!link->greeted || size < LINK_HEAD_BYTES)
		return NULL;
	length = length_of(head);
	if (!length) {
		lose(plugin);
		return NULL;
	}
	if (size < LINK_HEAD_BYTES - HOPS_BYTES + length)
		return NULL;
	link->at += LINK_HEAD_BYTES - HOPS_BYTES + length;
	*ret_size = length - HOPS_BYTES;
	return head + LINK_HEAD_BYTES;
}

static void
read_more(struct plug_plugin *plugin)
{
	struct link *link = &plugin->link;
	ssize_t size;

	memmove(link->buffer, link->buffer + link->at, link->used - link->at);
	link->used -= link->at;
	link->at = 0;
	size = recv(link->fd, link->buffer + link->used, BUFFER_BYTES - link->used, MSG_DONTWAIT);
	if (size > 0)
		link->used += (size_t)size;
	else if (size == 0 || (errno != EAGAIN && errno != EINTR))
		lose(plugin);
}

/* How long to wait: not beyond the next attempt to connect. */
static int
patience(const struct link *link, int timeout_ms)
{
	uint64_t now = clock_ns();
	int retry_ms = link->retry_ns > now ? (int)((link->retry_ns - now) / NS_PER_MS) + 1 : 0;

	if (link->fd >= 0)
		return timeout_ms;
	return timeout_ms < 0 || retry_ms < timeout_ms ? retry_ms : timeout_ms;
}

static void
wait(struct plug_plugin *plugin, int timeout_ms)
{
	struct link *link = &plugin->link;
	bool waits = plugp_outbox_waits(&plugin->outbox);
	struct pollfd pfds[] = {
		{.fd = link->fd, .events = (short)(waits ? POLLIN | POLLOUT : POLLIN)},
		{.fd = link->wake_fd, .events = POLLIN},
	};
	uint64_t count;

	if (poll(pfds, 2, patience(link, timeout_ms)) <= 0)
		return;
	if (pfds[1].revents && read(link->wake_fd, &count, sizeof(count)) < 0)
		return; /* somebody else's wake was read with it */
	if (pfds[0].revents & POLLOUT)
		plugp_outbox_room(&plugin->outbox);
	if (pfds[0].revents & ~POLLOUT)
		read_more(plugin);
}

const uint8_t *
plugp_link_receive(struct plug_plugin *plugin, int timeout_ms, size_t *ret_size)
{
	struct link *link = &plugin->link;
	const uint8_t *body = link->fd >= 0 ? next_body(plugin, ret_size) : NULL;

	if (body)
		return body;
	if (link->fd < 0 && clock_ns() >= link->retry_ns)
		come_up(plugin);
	wait(plugin, timeout_ms);
	return link->fd >= 0 ? next_body(plugin, ret_size) : NULL;
}
