/* Shared by session.c and session_state.c. */
#ifndef PLUGD_SESSION_PRIVATE_H
#define PLUGD_SESSION_PRIVATE_H

#include "base/list.h"
#include "ipc/link.h"
#include "ipc/session.h"
#include "wire.h"

struct kept {
	struct list node;
	uint64_t seq;
	size_t size;
	uint8_t bytes[];
};

struct session {
	struct session_config config;
	struct link *link;

	bool live, welcomed, broken;
	uint32_t protocol;
	uint8_t nonce[PLUG_NONCE_BYTES];

	uint64_t sent, peer_acked; /* our stream */
	struct list unacked;
	struct kept
		*unsent; /* first of `unacked` not handed to the link on this connection, or NULL */
	size_t unacked_size;

	uint64_t received;     /* the peer's stream */
	uint64_t acked;        /* what we have told the peer */
	size_t unacked_theirs; /* payload bytes received since then */

	bool ping_waits; /* until the link takes it: nobody may be called hung for a PING that was
			    not sent */
	uint64_t ping_stamp;
};

extern const struct link_ops session_link_ops;

#endif
