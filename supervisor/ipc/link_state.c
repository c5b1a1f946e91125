/* A link over an upgrade: the sockets stay as they are, and neither side notices. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "ipc/link_private.h"
#include "ipc/link_saved.h"
#include "state/timer.h"

static ProtobufCBinaryData
left_of(const struct link_buffer *buffer)
{
	size_t left = buffer->used - buffer->at;

	return left ? state_out_bytes(buffer->bytes + buffer->at, left) : state_out_bytes(NULL, 0);
}

Plugd__SavedLink *
link_save(struct link *link, struct state_out *out)
{
	Plugd__SavedLink *saved = state_out_message(out, &plugd__saved_link__descriptor);

	saved->path = link->address.sun_path;
	saved->listen_fd = state_out_fd(out, link->listen_fd);
	saved->fd = state_out_fd(out, link->fd);
	saved->turned_fd = state_out_fd(out, link->turned_fd);
	saved->greeted = link->greeted;
	saved->muted = link->muted;
	saved->last_connection = link->last_connection;
	saved->held = state_out_bytes(link->held.bytes, link->held.used);
	saved->out = left_of(&link->out);
	saved->pause_at_ns = state_timer_at(link->config.loop, &link->accept_pause);
	return saved;
}

static bool
refill(struct link_buffer *buffer, const ProtobufCBinaryData *saved)
{
	return !saved->len || link_buffer_append(buffer, saved->data, saved->len);
}

static void
start_watchers(struct link *link, const Plugd__SavedLink *saved)
{
	struct ev_loop *loop = link->config.loop;

	link_init_watchers(link);
	if (saved->pause_at_ns)
		state_timer_set(loop, &link->accept_pause, saved->pause_at_ns);
	else if (!link->muted)
		ev_io_start(loop, &link->accept_w);
	if (link->fd >= 0 && !link->muted)
		ev_io_start(loop, &link->read_w);
	if (link->fd >= 0)
		ev_io_start(loop, &link->write_w); /* once: somebody may wait for on_writable */
	if (link->turned_fd >= 0)
		ev_io_start(loop, &link->turned_w);
}

struct link *
link_restore(const struct link_config *config, const Plugd__SavedLink *saved, struct state_in *in)
{
	struct link *link = saved ? link_new(config) : NULL;

	if (!link || strlen(saved->path) >= sizeof(link->address.sun_path)) {
		state_in_fail(in, "a session without a socket, or out of memory");
		free(link);
		return NULL;
	}
	link->address.sun_family = AF_UNIX;
	strcpy(link->address.sun_path, saved->path);
	link->listen_fd = state_in_fd(in, saved->listen_fd);
	link->fd = state_in_fd(in, saved->fd);
	link->turned_fd = state_in_fd(in, saved->turned_fd);
	link->greeted = saved->greeted;
	link->muted = saved->muted;
	link->last_connection = saved->last_connection;
	link->connection = link->fd >= 0 ? saved->last_connection : 0;
	if (link->listen_fd < 0 || !refill(&link->held, &saved->held) ||
	    !refill(&link->out, &saved->out)) {
		state_in_fail(in, "a session that does not listen, or out of memory");
		return link; /* half made, and not to be used */
	}
	start_watchers(link, saved);
	return link;
}
