/* The plugin's end of a session: nng's wire, byte by byte, without waiting for anything. */
#ifndef PEER_H
#define PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec.h"
#include "wire.h"

#define PEER_GREETING_BYTES 8
#define PEER_HEAD_BYTES     13 /* of a frame: 1, length, hops */

extern const uint8_t peer_greeting[PEER_GREETING_BYTES];

struct peer {
	int fd;       /* -1: none */
	bool greeted; /* by plugd */
	uint8_t heard[4 * PLUG_MESSAGE_BYTES];
	size_t heard_size;
};

void peer_init(struct peer *peer);

/* Connect, or stay unconnected when nobody takes it.  Nothing is sent. */
void peer_dial(struct peer *peer, const char *path);
void peer_hang_up(struct peer *peer);

/* Send as much as the socket takes. */
void peer_put(struct peer *peer, const void *bytes, size_t size);
void peer_put_frame(struct peer *peer, const void *body, size_t size);
void peer_put_envelope(struct peer *peer, const Plug__Envelope *env);

/* Hand on every whole message that plugd has sent; it has to be right. */
void peer_listen(struct peer *peer, void (*on_message)(void *user, const Plug__Envelope *env),
		 void *user);

/* The lowest number that is free: it grows when a descriptor is left. */
int peer_free_descriptor(void);

#endif
