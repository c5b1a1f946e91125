/*
 * The door: plugd.sock, and the clients that came through it.
 *
 * Loop's thread only.  Checks credentials and roles, does the handshake, keeps caps, frames and
 * unframes; what calls and requests mean is for the owner.  A client that breaks the protocol or
 * reads too slowly is disconnected; no other notices.
 */
#ifndef PLUGD_DOORMAN_H
#define PLUGD_DOORMAN_H

#include <ev.h>
#include <plug/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/idmap.h"
#include "base/list.h"
#include "codec.h"

struct doorman;

enum client_role { ROLE_ADMIN, ROLE_INSTANCE };

/* One connection.  `ids`, `owned` and what is about channels are the owner's; the rest is read-only
 * to it. */
struct client {
	struct list node;
	struct doorman *doorman;
	uint64_t number; /* never reused: for logs */
	uid_t uid;
	pid_t pid; /* of the peer when it connected; for logs only, never to be signalled */
	enum client_role role;
	char name[64];
	char plugin[64];     /* of an instance: whose token it showed, by has_token */
	uint32_t generation; /* likewise */

	struct idmap ids;  /* the client's own ids in use -> the owner's object */
	struct list owned; /* the same objects */

	struct list channels;
	unsigned channel_count, channel_violations;
	int given_fd;

	/* private */
	int fd;
	bool greeted, closing;
	ev_io read_w, write_w;
	ev_timer hello_timer;
	struct list queue;
	size_t queued_bytes, queued_fds;
};

/* Where the bytes of a queued reply came from, for flow control; id 0: nobody is to be told. */
struct client_origin {
	uint64_t id;
	size_t payload;
};

struct doorman_ops {
	/* A message after the handshake; valid during the callback.  client_close() is allowed in
	 * here.  client->given_fd is the descriptor that came with a ChannelRequest, or -1; it is
	 * closed afterwards. */
	void (*on_message)(void *user, struct client *client, const Plug__Envelope *env);
	/* A queued reply with an origin has been written to the socket. */
	void (*on_sent)(void *user, const struct client_origin *origin);
	/* The client is about to be freed: forget it. */
	void (*on_gone)(void *user, struct client *client);
	/* Is this the token of a live instance?  Then it says in the client whose. */
	bool (*has_token)(void *user, struct client *client, const uint8_t *token, size_t size);
};

struct doorman_limits {
	unsigned clients;         /* connections in all */
	unsigned clients_per_uid; /* of one user that is not ours and not root */
	size_t queue_bytes;       /* replies that may wait for one client, descriptors included */
	uint64_t call_bytes;      /* told in WELCOME */
};

struct doorman_config {
	struct ev_loop *loop;
	const char *path; /* of the socket; unlinked first if it is a socket */
	struct doorman_limits limits;
	const struct doorman_ops *ops;
	void *user;
};

/* Listen.  On success *ret is the caller's, released with doorman_close(). */
plug_err doorman_open(const struct doorman_config *config, struct doorman **ret);

/* Disconnects every client (on_gone runs) and removes the socket.  NULL is allowed. */
void doorman_close(struct doorman *doorman);

/* New limits for what comes from now on. */
void doorman_set_limits(struct doorman *doorman, const struct doorman_limits *limits);

unsigned doorman_client_count(const struct doorman *doorman);

/*
 * Send a message; never blocks.  When the socket is full it is queued; a client whose queue exceeds
 * queue_bytes is closed.  `origin` may be NULL.  on_sent may run from within.  After PLUG_EGONE or
 * PLUG_EOVERLOADED the client is being closed: on_gone comes from the loop, not from within.
 */
plug_err client_send(struct client *client, const Plug__Envelope *env,
		     const struct client_origin *origin);

/*
 * The same with descriptors, which stay the caller's: while the message has to wait, the queue
 * keeps copies.  PLUG_ESYS: it could not be sent with them (errno says why); the client stays.
 */
plug_err client_send_fds(struct client *client, const Plug__Envelope *env, const int *fds,
			 size_t fd_count);

/* Disconnect soon: nothing is received any more and on_gone comes from the loop. `reason` is
 * logged; NULL: quietly. */
void client_close(struct client *client, const char *reason);

size_t client_queued_bytes(const struct client *client);

#endif
