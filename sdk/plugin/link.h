/*
 * The connection below the session: one nng socket for each connection.
 *
 * nng 1.5 can hang for ever in its only cleaning thread when a connection ends while it is
 * receiving and a send fails; then the socket never connects again and says nothing more about
 * connections. So a socket is used for one connection and then left alone: its dialer is closed,
 * itself never. And a descriptor of our own on the connection tells when it ended, whatever nng
 * says.
 */
#ifndef PLUG_SDK_LINK_H
#define PLUG_SDK_LINK_H

#include <nng/nng.h>
#include <plug/error.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct plug_plugin;

struct link {
	const char *address;
	_Atomic uint32_t socket;    /* nng's id of the one in use */
	_Atomic uint32_t receiving; /* … of the one that is received on just now; 0: none */

	pthread_mutex_t lock;
	uint32_t pipe; /* nng's id of the connection; 0: none yet */
	bool down;     /* it ended */

	/* of the thread that maintains */
	int fd; /* ours, on the connection; -1: none */
	uint64_t noticed_ns, retry_ns;
};

/* Dial `address`, which must stay valid.  HELLO follows when the connection is there.  PLUG_ESYS
 * after a message to stderr. */
plug_err plugp_link_open(struct plug_plugin *plugin, const char *address);

/* Stop telling the plugin about connections. */
void plugp_link_fini(struct plug_plugin *plugin);

/*
 * Notice the end of the connection and make the next.  By one thread at a time: the one that shakes
 * hands, then the tick.  Returns in how many milliseconds it wants to be called again at the
 * latest; -1: no wish.
 */
int plugp_link_maintain(struct plug_plugin *plugin);

/* The descriptor that polls POLLRDHUP when the connection ends, -1: none.  Of the same thread. */
int plugp_link_fd(const struct plug_plugin *plugin);

/* Around a receive: the socket to receive on, and that it is over. */
nng_socket plugp_link_enter(struct plug_plugin *plugin);
void plugp_link_leave(struct plug_plugin *plugin);

#endif
