/* An event loop of one handle, and callbacks that note what they were told. */
#ifndef LOOP_H
#define LOOP_H

#include "peer.h"

struct outcome {
	int done, pieces;
	uint64_t done_at_ms;
	plug_err err;
	char text[64], message[256];
	size_t size;
};

bool loop_on_piece(const struct plug_payload *piece, void *outcome);
void loop_on_done(const struct plug_reply *reply, void *outcome);

/* Start a call with these callbacks; must be taken. */
void loop_send_call(struct plug_client *client, const struct plug_request *request,
		    struct outcome *outcome);

/* As an event loop would, until *flag is `wanted`; fails when nothing happens for long.  What the
 * last plug_client_dispatch() returned. */
plug_err loop_until(struct plug_client *client, const int *flag, int wanted);

#endif
