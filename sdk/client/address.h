/* Where plugd listens, and who this process is to it. */
#ifndef PLUGC_ADDRESS_H
#define PLUGC_ADDRESS_H

#include <plug/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire.h"

#define PLUGC_PATH_BYTES 107 /* what sockaddr_un holds besides the NUL */

struct plugc_address {
	char path[PLUGC_PATH_BYTES + 1];
	bool have_token;
	uint8_t token[PLUG_TOKEN_BYTES];
};

/*
 * Resolve as plug/client.h documents it.  The token of the environment is taken only for the socket
 * that the environment names, so that no other plugd ever sees it.
 *
 * PLUG_EINVAL  the path is too long; `why` of `why_size` bytes says which and how long
 */
plug_err plugc_address_resolve(const char *runtime_dir, struct plugc_address *ret, char *why,
			       size_t why_size);

#endif
