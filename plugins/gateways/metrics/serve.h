/*
 * The HTTP side.  A thread of libmicrohttpd for each connection, of which there are few; they run
 * until serve_stop().
 */
#ifndef METRICS_SERVE_H
#define METRICS_SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gather.h"

#define SERVE_CONNECTIONS 16
#define SERVE_IDLE_S      10 /* without a byte, a connection is closed */

struct serve_ops {
	/* Of a connection's thread; as gather(). */
	bool (*gather)(void *user, struct gathered *ret, char why[GATHER_WHY_BYTES]);
	void *user;
};

struct server;

/* Takes `fd`, which listens.  NULL: there is no memory, or no thread; fd is then of no use. */
struct server *serve_start(int fd, const struct serve_ops *ops);

/* Waits for the requests that are being answered.  NULL is allowed. */
void serve_stop(struct server *server);

#endif
