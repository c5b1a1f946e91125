/*
 * Operators' requests over a client session.  Private to this repository (plugctl, tests): messages
 * are protobuf-c's.
 */
#ifndef PLUG_ADMIN_H
#define PLUG_ADMIN_H

#include <plug/client.h>

#include "plug.pb-c.h"

/* One Response; valid during the callback.  Return false to stop following. */
typedef bool (*plug_on_response)(const Plug__Response *response, void *user);

/*
 * Send a request and run on_response for every Response to it, the last included.  Blocks until the
 * last one, until on_response returns false, or until timeout_ms passed since the last Response (0:
 * no limit, for `-f` and long waits). Returns the last Response's outcome; plug_client_error_text()
 * has its message.
 */
plug_err plug_client_request(struct plug_client *client, const Plug__Request *request,
			     uint64_t timeout_ms, plug_on_response on_response, void *user);

#endif
