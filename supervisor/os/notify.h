/* The service manager's notification protocol (sd_notify(3)), without its library. */
#ifndef PLUGD_NOTIFY_H
#define PLUGD_NOTIFY_H

#include <plug/error.h>

/*
 * Send `state` to the socket at `address` (a path, or "@name" for an abstract one).  Never blocks.
 *
 * PLUG_ENOTFOUND  address is NULL or empty: nobody wants to know
 * PLUG_EINVAL     neither a path nor an abstract name, or too long
 * PLUG_ESYS       errno says why
 */
plug_err notify_send_to(const char *address, const char *state);

/* The same to $NOTIFY_SOCKET. */
plug_err notify_send(const char *state);

#endif
