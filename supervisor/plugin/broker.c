#include "plugin/broker.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "ipc/packet.h"
#include "os/memfd.h"
#include "plugin/backtrace.h"
#include "plugin/saved.h"
#include "wire.h"

#define RECEIVE_AT_A_TIME 16
#define RECEIVE_LAST      16 /* times that: more than its socket holds of messages that it sends */

/* The process sees the end at once; the descriptor goes with the broker.  close() takes its time,
 * and a call may be waiting that is to go to another process. */
static void
close_socket(struct broker *broker)
{
	if (broker->fd < 0)
		return;
	ev_io_stop(broker->loop, &broker->read_w);
	broker->ended_fd = steal_fd(&broker->fd);
	shutdown(broker->ended_fd, SHUT_RDWR);
	broker->closed_ms = clock_mono_ms();
}

/* ---- receiving ---- */

static void
violation(struct broker *broker, plug_err err, const char *reason)
{
	close_socket(broker);
	close_fd(&broker->ended_fd); /* with what waits in it */
	broker->ops->on_violation(broker->user, err, reason);
}

static bool
brings_region(const Plug__Envelope *env)
{
	return env->body_case == PLUG__ENVELOPE__BODY_CHANNEL_ANSWER &&
	       env->channel_answer->outcome == PLUG_OK;
}

static void
take(struct broker *broker, const Plug__Envelope *env, int fd, size_t fd_count)
{
	if (env->body_case != PLUG__ENVELOPE__BODY_CHANNEL_ANSWER &&
	    env->body_case != PLUG__ENVELOPE__BODY_CHANNEL_CLOSED)
		violation(broker, PLUG_EPROTO,
			  "a message on the broker socket that a plugin does not send");
	else if (env->generation != broker->generation)
		violation(broker, PLUG_EPROTO,
			  "a message of another generation on the broker socket");
	else if (fd_count > brings_region(env))
		violation(broker, PLUG_EPROTO,
			  "a message on the broker socket with descriptors that do not belong to "
			  "it");
	else
		broker->ops->on_message(broker->user, env, fd);
}

static void
receive(struct broker *broker, const void *bytes, size_t size, int fd, size_t fd_count)
{
	Plug__Envelope *env;
	plug_err err;

	if (size == PLUG_DYING_BYTES && !fd_count) {
		broker->ops->on_dying(broker->user, *(const uint8_t *)bytes);
		return;
	}
	if (backtrace_is_meant(bytes, size) && !fd_count) {
		broker->ops->on_trace(broker->user, bytes, size);
		return;
	}
	err = plug_envelope_unpack(bytes, size, &env);
	if (err) {
		violation(broker, PLUG_EPROTO,
			  err == PLUG_ETOOLARGE
				  ? "a message on the broker socket above the limit of 64 KiB"
				  : "a message on the broker socket is not an Envelope");
		return;
	}
	take(broker, env, fd, fd_count);
	plug_envelope_free(env);
}

/* False: nothing more is there. */
static bool
receive_some(struct broker *broker)
{
	static uint8_t buffer[PLUG_MESSAGE_BYTES + 1]; /* a byte more, to see what is too long */

	for (int i = 0; i < RECEIVE_AT_A_TIME && broker->fd >= 0; i++) {
		int given;
		size_t fd_count;
		ssize_t size =
			packet_receive(broker->fd, buffer, sizeof(buffer), &given, &fd_count);

		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			return false;
		if (size < 0 && errno == ECONNRESET)
			continue; /* said once, before what it sent while it was there */
		if (size <= 0)
			close_socket(broker);
		else
			receive(broker, buffer, (size_t)size, given, fd_count);
		if (given >= 0)
			packet_discard(given);
	}
	return broker->fd >= 0;
}

static void
on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	(void)revents;
	receive_some(w->data);
}

void
broker_take_last(struct broker *broker)
{
	for (int i = 0; i < RECEIVE_LAST && receive_some(broker); i++)
		;
}

/* ---- sending ---- */

bool
broker_connected(const struct broker *broker)
{
	return broker->fd >= 0;
}

uint64_t
broker_closed_for_ms(const struct broker *broker)
{
	return clock_mono_ms() - broker->closed_ms;
}

plug_err
broker_send(struct broker *broker, Plug__Envelope *env, const int *fds, size_t fd_count)
{
	uint8_t bytes[1024];
	size_t size;
	plug_err err;

	if (broker->fd < 0)
		return PLUG_EGONE;
	env->generation = broker->generation;
	err = plug_envelope_pack(env, bytes, sizeof(bytes), &size);
	if (err)
		return err;
	if (packet_send(broker->fd, bytes, size, fds, fd_count) >= 0)
		return PLUG_OK;
	if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS || errno == ETOOMANYREFS)
		return PLUG_EOVERLOADED;
	return errno == EPIPE || errno == ECONNRESET ? PLUG_EGONE : PLUG_ESYS;
}

void
broker_heard(const struct broker *broker)
{
	if (broker->fd >= 0)
		shutdown(broker->fd, SHUT_WR);
}

/* ---- the status page ---- */

static void
write_status(struct plug_status_page *page, enum plug_status status)
{
	__atomic_store_n(&page->status, status, __ATOMIC_RELEASE);
	memfd_page_wake(&page->status); /* callers of one that ended wait for our word */
}

plug_err
broker_status_page(struct broker *broker, int *ret_fd)
{
	void *page;

	if (!broker->page) {
		if (memfd_page_new("plug-status", PLUG_STATUS_BYTES, &broker->page_fd, &page))
			return PLUG_ESYS;
		broker->page = page;
		broker->page->generation = broker->generation;
		broker->page->magic = PLUG_STATUS_MAGIC;
		write_status(broker->page, broker->status);
	}
	*ret_fd = broker->page_fd;
	return PLUG_OK;
}

void
broker_set_status(struct broker *broker, enum plug_status status)
{
	if (status <= broker->status)
		return;
	broker->status = status;
	if (broker->page)
		write_status(broker->page, status);
	for (size_t i = 0; i < broker->old_count; i++)
		write_status(broker->old[i], status);
}

void
broker_set_away(struct broker *broker)
{
	if (broker->old_count < BROKER_OLD_PAGES)
		broker_set_status(broker, PLUG_STATUS_MOVED);
}

void
broker_set_back(struct broker *broker)
{
	if (broker->status != PLUG_STATUS_MOVED)
		return;
	broker->status = PLUG_STATUS_LIVE;
	if (!broker->page)
		return;
	broker->old_fds[broker->old_count] = steal_fd(&broker->page_fd);
	broker->old[broker->old_count++] = broker->page;
	broker->page = NULL;
}

/* ---- beginning and end ---- */

void
broker_init(struct broker *broker, uint32_t generation, const struct broker_ops *ops, void *user)
{
	*broker = (struct broker){.ops = ops,
				  .user = user,
				  .generation = generation,
				  .child_fd = -1,
				  .fd = -1,
				  .ended_fd = -1,
				  .page_fd = -1,
				  .status = PLUG_STATUS_LIVE};
}

static void
watch(struct broker *broker, struct ev_loop *loop, int fd)
{
	broker->loop = loop;
	broker->fd = fd;
	ev_io_init(&broker->read_w, on_readable, fd, EV_READ);
	broker->read_w.data = broker;
	ev_io_start(loop, &broker->read_w);
}

plug_err
broker_open(struct broker *broker, struct ev_loop *loop)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return PLUG_ESYS;
	broker->child_fd = ends[1];
	watch(broker, loop, ends[0]);
	return PLUG_OK;
}

void
broker_close_child(struct broker *broker)
{
	close_fd(&broker->child_fd);
}

void
broker_fini(struct broker *broker)
{
	close_socket(broker);
	close_fd(&broker->ended_fd);
	close_fd(&broker->child_fd);
	memfd_page_free(broker->page, PLUG_STATUS_BYTES);
	while (broker->old_count) {
		memfd_page_free(broker->old[--broker->old_count], PLUG_STATUS_BYTES);
		close_fd(&broker->old_fds[broker->old_count]);
	}
	broker->page = NULL;
	close_fd(&broker->page_fd);
}

/* ---- over an upgrade of plugd ---- */

Plugd__SavedBroker *
broker_save(struct broker *broker, struct state_out *out)
{
	Plugd__SavedBroker *saved = state_out_message(out, &plugd__saved_broker__descriptor);

	saved->fd = state_out_fd(out, broker->fd);
	saved->closed_ms = broker->closed_ms;
	saved->page_fd = state_out_fd(out, broker->page_fd);
	saved->status = broker->status;
	saved->old_page_fds = state_out_array(out, broker->old_count, sizeof(uint32_t));
	for (size_t i = 0; saved->old_page_fds && i < broker->old_count; i++)
		saved->old_page_fds[saved->n_old_page_fds++] =
			state_out_fd(out, broker->old_fds[i]);
	return saved;
}

static struct plug_status_page *
map_again(int fd, struct state_in *in)
{
	void *page = NULL;

	if (fd >= 0 && memfd_page_map(fd, PLUG_STATUS_BYTES, &page))
		state_in_fail(in, "a status page cannot be mapped: %s", strerror(errno));
	return page;
}

void
broker_restore(struct broker *broker, struct ev_loop *loop, const Plugd__SavedBroker *saved,
	       struct state_in *in)
{
	int fd = saved ? state_in_fd(in, saved->fd) : -1;

	if (!saved)
		return;
	broker->loop = loop;
	if (fd >= 0)
		watch(broker, loop, fd);
	broker->closed_ms = saved->closed_ms;
	broker->status = (enum plug_status)saved->status;
	broker->page_fd = state_in_fd(in, saved->page_fd);
	broker->page = map_again(broker->page_fd, in);
	for (size_t i = 0; i < saved->n_old_page_fds && i < BROKER_OLD_PAGES; i++) {
		broker->old_fds[i] = state_in_fd(in, saved->old_page_fds[i]);
		broker->old[broker->old_count++] = map_again(broker->old_fds[i], in);
	}
}
