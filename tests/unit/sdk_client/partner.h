/*
 * The plugin's side of a channel, and plugd's part in opening it, in the thread of a peer: its own
 * region, its own ring, a status page.  It says what the script says, right or wrong.  What does
 * not come within PEER_WAIT_MS fails the test.
 */
#ifndef PARTNER_H
#define PARTNER_H

#include "channel.h"
#include "message.h"
#include "peer.h"
#include "region.h"
#include "ring.h"

/* What to grant; zeros: the usual. */
struct partner_terms {
	uint64_t region_bytes, call_bytes, window_bytes;
	uint32_t generation;
	const char *instance;
	bool holds; /* a call of a channel that ended waits in plugd */
};

struct partner {
	struct peer *peer;
	struct partner_terms terms;
	uint64_t request; /* Envelope.id of the ChannelRequest */
	struct plugs_region own, other;
	struct plugs_poster poster;
	struct plugs_taker taker;
	struct plug_status_page *page;
	int own_fd, page_fd, wake_fd, their_wake_fd;
	unsigned channels;                  /* granted */
	unsigned over_plugd;                /* calls that came over plugd, each answered "plugd" */
	bool again;                         /* the last of them said so */
	uint64_t died_channel, died_number; /* … and named */
	unsigned wakes;                     /* sent */
	plug_err plugd_outcome;             /* of calls over plugd */
	plug_err refusal;                   /* of further requests for channels */
	bool ask_again;                     /* … which says so */
	uint64_t patience_ms;               /* … and its timeout_ms */
	unsigned requests;                  /* for channels */
	uint64_t asked_bytes;               /* the last of them */
	uint8_t bytes[PLUG_RECORD_BYTES_MAX];
	struct plugs_tensor tensors[PLUGS_TENSORS_MAX]; /* of the last record */
	struct plugs_buffer buffers[PLUGS_BUFFERS_MAX];
};

/* Methods in the grant: echo (idempotent, 20 s), once (20 s), brief (100 ms), stream. */

/* Welcome, answer calls over plugd until a channel is asked for, and grant it. */
void partner_open(struct peer *peer, struct partner *partner);
void partner_open_on(struct peer *peer, struct partner *partner, struct partner_terms terms);

/* The parts of it. */
void partner_welcome(struct peer *peer, struct partner *partner);
void partner_await_request(struct peer *peer, struct partner *partner);
void partner_make(struct partner *partner); /* regions, page and socket pair */
void partner_grant(struct partner *partner);
void partner_grant_fds(struct partner *partner, const int *fds, size_t count);
void partner_refuse(struct partner *partner, plug_err outcome, uint64_t region_bytes);

/* One message of the connection: a call is answered "plugd".  A request for a channel is noted, or
 * refused when there is one or none is to be.  False: the client closed. */
bool partner_serve_plugd(struct partner *partner);

/* Another one on the same connection, after partner_end(). */
void partner_reopen(struct partner *partner);

/* The next record; false when the client closed the channel or the connection. */
bool partner_take(struct partner *partner, struct plugs_message *ret);

/* The next record, which must be of this kind; Credit that is not wanted is passed over. */
struct plugs_message partner_expect(struct partner *partner, enum plugs_kind kind);

/* A whole call, chunks joined; *ret_data (may be NULL) is the caller's. */
uint64_t partner_take_call(struct partner *partner, uint8_t **ret_data, size_t *ret_size);

void partner_post(struct partner *partner, const struct plugs_message *message);
void partner_post_raw(struct partner *partner, const void *bytes, size_t size);
void partner_reply(struct partner *partner, uint64_t id, const char *text);
void partner_fail(struct partner *partner, uint64_t id, plug_err outcome, const char *text);
void partner_wake(struct partner *partner);

/* Answer calls of one record with their payload until the client closes the channel or the
 * connection. */
void partner_echo(struct partner *partner);

void partner_set_status(struct partner *partner, enum plug_status status);
void partner_set_closed_at(struct partner *partner, uint64_t id);

static inline struct plugs_bytes
partner_bytes(const char *text)
{
	return (struct plugs_bytes){(const uint8_t *)text, strlen(text)};
}

/* Answer calls over plugd until the client closes its end of the channel. */
void partner_await_close(struct partner *partner);

/* Until the client has seen that a channel is to be left: `moves` of its statistics. */
void partner_await_moves(struct plug_client *client, uint64_t moves);

/* Answer calls over plugd until the client closes its connection. */
void partner_await_end(struct partner *partner);

/* Let go of the channel: close the wake socket and unmap everything.  Twice does no harm. */
void partner_end(struct partner *partner);

/* ---- for tests ---- */

/* Call echo twice and wait for the channel; nothing has been sent over that. */
void partner_warm_up(struct plug_client *client);

struct plug_client_stats partner_stats(struct plug_client *client);

/* Descriptors of this process. */
unsigned partner_count_fds(void);

#endif
