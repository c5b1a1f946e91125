/*
 * Invariants
 *
 * - nng's pipe events run on nng's threads and only tell the outbox and this struct.  ADD_PRE comes
 *   before the connection is used; it is refused on a socket that had one already.
 * - `socket` changes only in maintain(), which then cancels what is received on the old one until
 *   `receiving` shows that the receiver has moved.
 */
#include "link.h"

#include <dirent.h>
#include <fcntl.h>
#include <nng/protocol/pair1/pair.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "state.h"
#include "wire.h"

#define RETRY_MIN_MS 10 /* between two attempts to connect */
#define RETRY_MAX_MS 100
#define PAUSE_NS     (2 * NS_PER_MS)  /* plugd's side has to notice the end, too */
#define RETRY_NS     (20 * NS_PER_MS) /* between two connections that were lost */
#define MOVE_MS      2                /* while the receiver has to move to the new socket */

/* So many that it is never full, because a receiver is always there.  When it is full, and with the
 * default of 0 at any time, nng 1.5 can crash in the receive that follows the end of a connection.
 */
#define RECEIVE_MESSAGES 1024

static bool
first_on_socket(struct link *link, nng_pipe pipe)
{
	bool first;

	pthread_mutex_lock(&link->lock);
	first = (uint32_t)nng_socket_id(nng_pipe_socket(pipe)) == atomic_load(&link->socket) &&
		link->pipe == 0;
	if (first)
		link->pipe = (uint32_t)nng_pipe_id(pipe);
	pthread_mutex_unlock(&link->lock);
	return first;
}

static void
set_down(struct plug_plugin *plugin, uint32_t pipe)
{
	struct link *link = &plugin->link;

	pthread_mutex_lock(&link->lock);
	if (link->pipe == pipe)
		link->down = true;
	pthread_mutex_unlock(&link->lock);
	plugp_outbox_lost(&plugin->outbox, pipe);
}

static void
on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
	struct plug_plugin *plugin = arg;
	uint32_t id = (uint32_t)nng_pipe_id(pipe);

	switch (event) {
	case NNG_PIPE_EV_ADD_PRE:
		if (first_on_socket(&plugin->link, pipe))
			plugp_outbox_replace(&plugin->outbox, nng_pipe_socket(pipe), id);
		else
			nng_pipe_close(pipe);
		break;
	case NNG_PIPE_EV_ADD_POST:
		plugp_session_hello(plugin, id);
		plugp_tick_wake(&plugin->tick);
		break;
	case NNG_PIPE_EV_REM_POST:
		/* Now, before nng dials again: to end a connection in its first moments would stop
		 * plugd's listener (nng 1.5). */
		nng_dialer_close(nng_pipe_dialer(pipe));
		set_down(plugin, id);
		plugp_tick_wake(&plugin->tick);
		break;
	default:
		break;
	}
}

/* Everything that must be set before the first byte. */
static int
configure(struct plug_plugin *plugin, nng_socket socket)
{
	int rv = 0;

	for (int event = NNG_PIPE_EV_ADD_PRE; event < NNG_PIPE_EV_NUM && rv == 0; event++)
		rv = nng_pipe_notify(socket, (nng_pipe_ev)event, on_pipe, plugin);
	if (rv == 0)
		rv = nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, PLUG_RECV_BYTES);
	if (rv == 0)
		rv = nng_socket_set_int(socket, NNG_OPT_SENDBUF, 0);
	if (rv == 0)
		rv = nng_socket_set_int(socket, NNG_OPT_RECVBUF, RECEIVE_MESSAGES);
	if (rv == 0)
		rv = nng_socket_set_ms(socket, NNG_OPT_RECONNMINT, RETRY_MIN_MS);
	if (rv == 0)
		rv = nng_socket_set_ms(socket, NNG_OPT_RECONNMAXT, RETRY_MAX_MS);
	return rv;
}

/* A new socket takes the place of the one before. */
static int
dial(struct plug_plugin *plugin)
{
	struct link *link = &plugin->link;
	nng_socket socket;
	nng_dialer dialer;
	int rv = nng_pair1_open(&socket);

	if (rv == 0)
		rv = configure(plugin, socket);
	if (rv == 0)
		rv = nng_dialer_create(&dialer, socket, link->address);
	if (rv != 0)
		return rv;
	pthread_mutex_lock(&link->lock);
	link->pipe = 0;
	link->down = false;
	atomic_store(&link->socket, (uint32_t)nng_socket_id(socket));
	pthread_mutex_unlock(&link->lock);
	return nng_dialer_start(dialer, NNG_FLAG_NONBLOCK);
}

plug_err
plugp_link_open(struct plug_plugin *plugin, const char *address)
{
	int rv;

	plugin->link.address = address;
	plugin->link.fd = -1;
	pthread_mutex_init(&plugin->link.lock, NULL);
	rv = dial(plugin);
	if (rv == 0)
		return PLUG_OK;
	plugp_complain(plugin, "cannot open a session at %s: %s", address, nng_strerror(rv));
	return PLUG_ESYS;
}

void
plugp_link_fini(struct plug_plugin *plugin)
{
	nng_socket socket = {.id = atomic_load(&plugin->link.socket)};

	for (int event = NNG_PIPE_EV_ADD_PRE; event < NNG_PIPE_EV_NUM; event++)
		nng_pipe_notify(socket, (nng_pipe_ev)event, NULL, NULL);
	if (plugin->link.fd >= 0)
		close(plugin->link.fd);
	plugin->link.fd = -1;
}

/* ---- our own descriptor ---- */

static bool
leads_to(int fd, const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNSPEC};
	socklen_t size = sizeof(name) - 1;

	return getpeername(fd, (struct sockaddr *)&name, &size) == 0 &&
	       name.sun_family == AF_UNIX && strcmp(name.sun_path, path) == 0;
}

static bool
hung_up(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLRDHUP};

	return poll(&pfd, 1, 0) > 0 && (pfd.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

/* A duplicate of `fd` when it is a connection to `path`, else -1.  nng may close it meanwhile. */
static int
duplicate(int fd, const char *path)
{
	int copy;

	if (!leads_to(fd, path))
		return -1;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy >= 0 && leads_to(copy, path))
		return copy;
	if (copy >= 0)
		close(copy);
	return -1;
}

/* Find nng's descriptor of the connection and keep a duplicate.  Connections that ended before may
 * still be open there.  False when there are only such. */
static bool
adopt_descriptor(struct link *link)
{
	const char *path = strstr(link->address, "://") ? strstr(link->address, "://") + 3 : "";
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	bool ended = false;

	while (dir && link->fd < 0 && (entry = readdir(dir)) != NULL) {
		int copy = duplicate(atoi(entry->d_name), path);

		if (copy >= 0 && hung_up(copy)) {
			ended = true;
			close(copy);
		} else if (copy >= 0) {
			link->fd = copy;
		}
	}
	if (dir)
		closedir(dir);
	return link->fd >= 0 || !ended;
}

/* ---- keeping the connection ---- */

static bool
is_down(struct plug_plugin *plugin)
{
	struct link *link = &plugin->link;
	uint32_t pipe;
	bool down;

	pthread_mutex_lock(&link->lock);
	pipe = link->pipe;
	down = link->down;
	pthread_mutex_unlock(&link->lock);
	if (!pipe || down)
		return down;
	down = link->fd >= 0 ? hung_up(link->fd) : !adopt_descriptor(link);
	if (down)
		set_down(plugin, pipe);
	return down;
}

/* Without HELLO both sides would wait for each other until the one is killed. */
static void
heed_hello(struct plug_plugin *plugin)
{
	plug_err err = (plug_err)atomic_exchange(&plugin->session.hello_err, PLUG_OK);

	if (err == PLUG_ETOOLARGE)
		plugp_fault(plugin, "HELLO does not fit into one message of 64 KiB: it names too "
				    "many methods, or describes them at too great length");
	else if (err != PLUG_OK)
		plugp_fault(plugin, "HELLO cannot be said: %s", plug_err_text(err));
}

int
plugp_link_maintain(struct plug_plugin *plugin)
{
	struct link *link = &plugin->link;
	uint64_t now = clock_ns();
	uint32_t receiving;

	heed_hello(plugin);
	if (is_down(plugin)) {
		if (link->fd >= 0)
			close(link->fd);
		link->fd = -1;
		if (!link->noticed_ns)
			link->noticed_ns = now;
		if (now < link->noticed_ns + PAUSE_NS)
			return MOVE_MS;
		if (now < link->retry_ns)
			return (int)((link->retry_ns - now) / NS_PER_MS) + 1;
		link->retry_ns = now + RETRY_NS;
		link->noticed_ns = 0;
		if (dial(plugin) != 0)
			return (int)(RETRY_NS / NS_PER_MS);
	}
	receiving = atomic_load(&link->receiving);
	if (receiving == 0 || receiving == atomic_load(&link->socket))
		return -1;
	plugp_session_interrupt(plugin);
	return MOVE_MS;
}

int
plugp_link_fd(const struct plug_plugin *plugin)
{
	return plugin->link.fd;
}

nng_socket
plugp_link_enter(struct plug_plugin *plugin)
{
	struct link *link = &plugin->link;
	nng_socket socket;

	do {
		socket.id = atomic_load(&link->socket);
		atomic_store(&link->receiving, socket.id);
	} while (atomic_load(&link->socket) != socket.id);
	return socket;
}

void
plugp_link_leave(struct plug_plugin *plugin)
{
	atomic_store(&plugin->link.receiving, 0);
}
