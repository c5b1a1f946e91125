/*
 * What a client may ask for.  Loop's thread only.
 *
 * An operator may everything.  A client that showed an instance's token may what `permissions` says
 * in the manifest that its process was started from, and plugd.yaml over it:
 *
 *   (nothing)    call every plugin, and open channels to it
 *   call: NAME   call, and open channels to, those named only
 *   observe      also ask what changes nothing
 *   admin        everything
 *
 * It ends with the process: a connection that outlives it may nothing.
 *
 * A refusal is counted for the instance, and an event for the first of its kind.
 */
#ifndef PLUGD_PERMIT_H
#define PLUGD_PERMIT_H

#include "ipc/doorman.h"
#include "plugin/registry.h"

#define PERMIT_TEXT_BYTES 640

/* For instance.denied_kinds: 1 << kind. */
enum permit_kind { PERMIT_CALL, PERMIT_OBSERVE, PERMIT_ADMIN };

/* False: `text` says for people which permission is missing, and where it is given; the caller
 * answers PLUG_EDENIED with it. */
bool permit_call(const struct registry *registry, const struct client *client, const char *plugin,
		 char text[PERMIT_TEXT_BYTES]);
bool permit_request(const struct registry *registry, const struct client *client,
		    const Plug__Request *request, char text[PERMIT_TEXT_BYTES]);

#endif
