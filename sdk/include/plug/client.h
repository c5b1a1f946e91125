/*
 * libplug, the client half: calling plugins.  Needs no nng.
 *
 * Two ways to use one handle, not both at once:
 *  - blocking: plug_client_call(), from any number of threads at the same time;
 *  - in the caller's own event loop: plug_client_send() starts a call, plug_client_fd() and
 * plug_client_events() go into poll/epoll/libev, and plug_client_dispatch() runs the callbacks, all
 * on one thread.
 *
 * Every call ends exactly once with one outcome (plug/error.h).  A handle whose connection is lost
 * ends the calls that were sent with PLUG_EGONE, and connects again with the next call.
 */
#ifndef PLUG_CLIENT_H
#define PLUG_CLIENT_H

#include <plug/error.h>
#include <plug/export.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct plug_client;

struct plug_client_config {
	size_t size;             /* sizeof(struct plug_client_config) */
	const char *runtime_dir; /* NULL: $PLUGD_SOCKET's folder, else $XDG_RUNTIME_DIR/plugd, else
				    /run/plugd */
	const char *name;        /* of this program, for plugd's logs; NULL: its file name */
	uint32_t connect_timeout_ms; /* of connecting and the handshake; 0: 5000 */
};

/*
 * Connect to plugd and say hello.  Blocks for connect_timeout_ms at most.  config may be NULL.
 * On success *ret is the caller's, released with plug_client_close(); untouched on failure.
 *
 * PLUG_EUNREACHABLE  no plugd there: *ret untouched, plug_client_error_text() of NULL says which
 * path was tried and why PLUG_EVERSION      no protocol version in common PLUG_EDENIED       this
 * user may not PLUG_EOVERLOADED   plugd has as many clients as it takes PLUG_ETIMEOUT PLUG_ENOMEM
 * PLUG_ESYS
 */
PLUG_API plug_err plug_client_open(const struct plug_client_config *config,
				   struct plug_client **ret);

/* Ends calls in flight with PLUG_ECANCELLED, their callbacks included, and frees the handle.  NULL
 * is allowed. No other thread may be inside the handle. */
PLUG_API void plug_client_close(struct plug_client *client);

/* Bytes with a type.  Who owns them is said where they appear. */
struct plug_payload {
	const void *data;
	size_t size;
	const char *content_type; /* "application/json", "application/x-protobuf", "text/plain", …;
				     never NULL when received */
};

struct plug_request {
	size_t size; /* sizeof(struct plug_request) */
	const char *plugin;
	const char *method;
	struct plug_payload
		payload; /* copied before the call returns; content_type NULL: application/json */
	uint64_t timeout_ms; /* 0: the method's own deadline */
};

/*
 * A piece of a stream.  `piece` is valid during the callback only.  Return false to cancel the
 * call. Blocking calls run it on the thread that called; others run it from plug_client_dispatch().
 */
typedef bool (*plug_on_piece)(const struct plug_payload *piece, void *user);

/* The outcome of a call; owned by the caller of plug_client_call() until plug_reply_free(), or
 * valid during plug_on_done. */
struct plug_reply {
	plug_err outcome;
	struct plug_payload payload; /* of PLUG_OK; size 0 otherwise */
	const char *
		message; /* of a failure: what was found, expected, and what to do; "" on success */
};

typedef void (*plug_on_done)(const struct plug_reply *reply, void *user);

/*
 * Call and wait.  Returns the outcome (also in (*ret)->outcome); *ret is set whenever plugd or the
 * plugin answered or the call ended with a message, and is the caller's, freed with
 * plug_reply_free(); NULL otherwise.  ret may be NULL. on_piece may be NULL: pieces of a stream are
 * then joined in front of the reply's payload. Blocks until the deadline at the latest, plus one
 * second for a plugd that does not answer.
 */
PLUG_API plug_err plug_client_call(struct plug_client *client, const struct plug_request *request,
				   plug_on_piece on_piece, void *user, struct plug_reply **ret);

PLUG_API void plug_reply_free(struct plug_reply *reply); /* NULL is allowed */

/*
 * Start a call; on_done runs exactly once, from plug_client_dispatch() or plug_client_close(),
 * unless this returns an error.  *ret_id (may be NULL) names the call for plug_client_cancel().
 * Does not block.
 *
 * PLUG_EINVAL PLUG_ETOOLARGE PLUG_ENOMEM PLUG_EUNREACHABLE
 * PLUG_EOVERLOADED  more than 4 MiB wait to be sent: dispatch first
 */
PLUG_API plug_err plug_client_send(struct plug_client *client, const struct plug_request *request,
				   plug_on_piece on_piece, plug_on_done on_done, void *user,
				   uint64_t *ret_id);

/* Ask that a call end early.  Its on_done still runs, with whatever came first.  PLUG_ENOTFOUND:
 * ended already. */
PLUG_API plug_err plug_client_cancel(struct plug_client *client, uint64_t id);

/* The descriptor to watch: it changes only when the handle reconnects; -1 while it is not
 * connected. */
PLUG_API int plug_client_fd(const struct plug_client *client);

/* POLLIN and, when something waits to be sent, POLLOUT (poll.h). */
PLUG_API short plug_client_events(const struct plug_client *client);

/* When plug_client_dispatch() must run at the latest, in milliseconds from now; -1: no deadline is
 * pending. */
PLUG_API int plug_client_timeout_ms(const struct plug_client *client);

/*
 * Send and receive what is possible without blocking and run the callbacks due.
 * PLUG_OK; PLUG_EUNREACHABLE when the connection was lost (the callbacks of its calls have run).
 */
PLUG_API plug_err plug_client_dispatch(struct plug_client *client);

/* The last failure of this handle, or of plug_client_open() on this thread when client is NULL, in
 * words: what was found, what was expected, what to do.  Valid until the next call on the same
 * handle by the same thread.  Never NULL. */
PLUG_API const char *plug_client_error_text(const struct plug_client *client);

/* Version of the plugd at the other end.  Valid while connected. */
PLUG_API const char *plug_client_server_version(const struct plug_client *client);

#ifdef __cplusplus
}
#endif

#endif
