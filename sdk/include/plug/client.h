/*
 * libplug, the client half: calling plugins.  Needs no nng.
 *
 * Two ways to use one handle:
 *  - blocking: plug_client_call(), from any number of threads at the same time.  One of the waiting
 *    threads receives for all of them; no thread is ever created;
 *  - in the caller's own event loop, on one thread: plug_client_send() starts a call,
 *    plug_client_fd() and plug_client_events() go into poll/epoll/libev, plug_client_dispatch()
 *    runs the callbacks.  A blocking call from a callback is allowed; it holds the others up.
 *
 * Every call ends exactly once with one outcome (plug/error.h).  When the connection is lost, calls
 * that plugd may have received end with PLUG_EGONE; one that was never sent is sent once more on a
 * new connection.  A handle that is not connected connects again with the next call.
 *
 * In a process that plugd started, the handle finds plugd and says who it is by itself
 * ($PLUGD_SOCKET, $PLUG_CLIENT_TOKEN).  Handles are not for use after a fork() in the child.
 * Nothing here raises SIGPIPE.
 */
#ifndef PLUG_CLIENT_H
#define PLUG_CLIENT_H

#include <plug/error.h>
#include <plug/export.h>
#include <plug/tensor.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct plug_client;

enum plug_data_plane {
	PLUG_DATA_PLANE_AUTO = 0, /* where it serves; $PLUG_DATA_PLANE=off overrides it */
	PLUG_DATA_PLANE_OFF = 1   /* every call goes over plugd */
};

#define PLUG_SPIN_NEVER UINT32_MAX

struct plug_client_config {
	size_t size; /* sizeof(struct plug_client_config) */
	/* Holds plugd.sock.  NULL: $PLUGD_SOCKET (the socket itself) if set, else
	 * $XDG_RUNTIME_DIR/plugd if that is set, else /run/plugd. */
	const char *runtime_dir;
	const char *name;            /* of this program, for plugd's logs; NULL: its file name */
	uint32_t connect_timeout_ms; /* of connecting and the handshake; 0: 5000 */
	uint32_t data_plane;         /* enum plug_data_plane */
	/* Longest time that a thread which waits for an answer looks for it before it sleeps, in
	 * microseconds up to 10,000.  0: 50; PLUG_SPIN_NEVER: sleep at once.  $PLUG_SPIN_US
	 * overrides it, and with a single processor nothing is spun. */
	uint32_t spin_us;
};

/*
 * Connect to plugd and say hello.  Blocks for connect_timeout_ms at most.  config may be NULL; its
 * strings are copied.  On success *ret is the caller's, released with plug_client_close().  On
 * failure *ret is untouched and plug_client_error_text(NULL) says which path was tried, what went
 * wrong and what to do.
 *
 * PLUG_EUNREACHABLE  no plugd there, or it closed the connection
 * PLUG_EVERSION      no protocol version in common
 * PLUG_EDENIED       this user may not
 * PLUG_EOVERLOADED   plugd has as many clients as it takes
 * PLUG_ETIMEOUT      plugd did not answer in time
 * PLUG_EINVAL        config->size is wrong, or the socket's path is longer than 107 bytes
 * PLUG_EPROTO        what answered is not plugd
 * PLUG_ENOMEM PLUG_ESYS
 */
PLUG_API plug_err plug_client_open(const struct plug_client_config *config,
				   struct plug_client **ret);

/* Ends calls in flight with PLUG_ECANCELLED, their on_done included, and frees the handle.  NULL is
 * allowed.  No other thread may be inside the handle; not from a callback of it. */
PLUG_API void plug_client_close(struct plug_client *client);

/* Bytes with a type.  Who owns them is said where they appear. */
struct plug_payload {
	const void *data; /* never NULL when received */
	size_t size;
	const char *content_type; /* "application/json", "application/x-protobuf", "text/plain", …;
				     never NULL when received */
};

enum plug_request_flags {
	/* Over a channel or not at all, as a request with tensors is: its reply has tensors.  Waits
	 * for a channel to be opened, also while the plugin is restarted; where there can be none
	 * the call ends with PLUG_EUNAVAILABLE before it was started, and with PLUG_EDENIED where
	 * plugd permits none. */
	PLUG_REQUEST_CHANNEL = 1 << 0
};

struct plug_request {
	size_t size; /* sizeof(struct plug_request) */
	const char *plugin;
	const char *method;
	/* content_type NULL: application/json.  plug_client_call() reads it until it returns,
	 * plug_client_send() copies it. */
	struct plug_payload payload;
	uint64_t timeout_ms; /* 0: the method's own deadline, kept by plugd alone */
	/* At most PLUG_TENSORS, in arenas of any process; their contents must stay until the call
	 * has ended, the library keeps the references that it needs.  They need the data plane:
	 * without one the call ends with PLUG_EUNAVAILABLE.  Both are read like payload.data. */
	const struct plug_tensor *tensors;
	size_t tensor_count;
	uint32_t flags; /* enum plug_request_flags */
};

/*
 * A piece of a stream.  `piece` is valid during the callback only.  Return false to cancel the
 * call, which then ends with PLUG_ECANCELLED.  Blocking calls run it on the thread that called;
 * others run it from plug_client_dispatch().  No lock is held.
 */
typedef bool (*plug_on_piece)(const struct plug_payload *piece, void *user);

/* The outcome of a call; owned by the caller of plug_client_call() until plug_reply_free(), or
 * valid during plug_on_done. */
struct plug_reply {
	plug_err outcome;
	struct plug_payload payload; /* of PLUG_OK; size 0 otherwise */
	const char *message; /* of a failure: what was found, expected, and what to do; "" on
				success */
	/* Of PLUG_OK; they belong to the reply, see plug/tensor.h. */
	const struct plug_tensor *tensors;
	size_t tensor_count;
};

typedef void (*plug_on_done)(const struct plug_reply *reply, void *user);

/*
 * Call and wait.  Returns the outcome, which is also (*ret)->outcome.  *ret is the caller's, freed
 * with plug_reply_free(), and set whatever the outcome, except that it is NULL when the request was
 * refused here (PLUG_EINVAL, PLUG_ETOOLARGE before sending) or memory ran out.  ret may be NULL.
 * on_piece may be NULL: pieces of a stream are then joined in front of the reply's payload, up to
 * the limit of a payload.
 *
 * Blocks until the deadline at the latest, plus one second for a plugd that does not answer; with
 * timeout_ms 0 for as long as plugd takes.  A thread that is so slow in on_piece that more than the
 * limit of a payload waits for it ends its call with PLUG_EOVERLOADED.
 */
PLUG_API plug_err plug_client_call(struct plug_client *client, const struct plug_request *request,
				   plug_on_piece on_piece, void *user, struct plug_reply **ret);

PLUG_API void plug_reply_free(struct plug_reply *reply); /* NULL is allowed */

/*
 * Start a call; on_done runs exactly once, from plug_client_dispatch() or plug_client_close(),
 * unless this returns an error.  *ret_id (may be NULL) names the call for plug_client_cancel().
 * Does not block.  on_piece may be NULL, as above.
 *
 * PLUG_EINVAL PLUG_ETOOLARGE PLUG_ENOMEM PLUG_EUNREACHABLE
 * PLUG_EOVERLOADED  more than 4 MiB wait to be sent: dispatch first
 * PLUG_ESTATE       from an on_done that plug_client_close() runs
 */
PLUG_API plug_err plug_client_send(struct plug_client *client, const struct plug_request *request,
				   plug_on_piece on_piece, plug_on_done on_done, void *user,
				   uint64_t *ret_id);

/* Ask that a call end early.  Its on_done still runs, with whatever came first, at the latest one
 * second later.  PLUG_ENOTFOUND: ended already. */
PLUG_API plug_err plug_client_cancel(struct plug_client *client, uint64_t id);

/* The descriptor to watch: it changes only when the handle reconnects; -1 while it is not
 * connected.  It belongs to the handle. */
PLUG_API int plug_client_fd(const struct plug_client *client);

/* POLLIN and, when something waits to be sent, POLLOUT (poll.h); 0 while not connected. */
PLUG_API short plug_client_events(const struct plug_client *client);

/* When plug_client_dispatch() must run at the latest, in milliseconds from now; -1: no deadline is
 * pending. */
PLUG_API int plug_client_timeout_ms(const struct plug_client *client);

/*
 * Send and receive what is possible without blocking and run the callbacks due.
 * PLUG_OK; PLUG_EUNREACHABLE when the connection was lost, PLUG_EPROTO when what came was not the
 * protocol: the callbacks of the calls that ended by it have run, and the handle can be used on.
 */
PLUG_API plug_err plug_client_dispatch(struct plug_client *client);

/* Counts since the handle was opened. */
struct plug_client_stats {
	size_t size;            /* sizeof(struct plug_client_stats), set by the caller */
	uint64_t calls_control; /* calls that went over plugd */
	uint64_t calls_data;    /* … over a channel, straight to the plugin; a call that was moved
				   counts on both */
	uint64_t channels_open; /* now */
	uint64_t channels_opened, channels_closed;
	uint64_t channels_refused; /* requests for one that ended without */
	uint64_t violations;       /* channels closed because the plugin broke their rules */
	uint64_t moves;            /* channels that ended because the plugin was replaced */
	uint64_t resends;          /* calls sent once more, another way */
	uint64_t copies,
		bytes_copied; /* of payloads, between memory of this process and channels */
	uint64_t wakes_sent, wakes_received; /* each a system call */
	uint64_t spin_hits, spin_misses; /* waits that ended before the thread went to sleep, and
					    after */
};

/* Writes ret->size bytes at most.  Any thread.  PLUG_EINVAL: ret->size. */
PLUG_API plug_err plug_client_stats(const struct plug_client *client,
				    struct plug_client_stats *ret);

/* The last failure of this handle, or of plug_client_open() on this thread when client is NULL, in
 * words: what was found, what was expected, what to do.  "" when there was none.  Valid until this
 * thread's next call on any handle.  Never NULL. */
PLUG_API const char *plug_client_error_text(const struct plug_client *client);

/* Version of the plugd at the other end, "" before the first welcome.  Changes when the handle
 * reconnects. */
PLUG_API const char *plug_client_server_version(const struct plug_client *client);

#ifdef __cplusplus
}
#endif

#endif
