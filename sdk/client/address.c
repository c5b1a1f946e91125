#include "address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"

static const char *
env_or_null(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

static void
take_token(struct plugc_address *address)
{
	const char *path = env_or_null(PLUG_ENV_SOCKET);
	const char *token = env_or_null(PLUG_ENV_CLIENT_TOKEN);

	address->have_token = path && token && strcmp(path, address->path) == 0 &&
			      plug_hex_decode(token, address->token, sizeof(address->token)) == 0;
}

plug_err
plugc_address_resolve(const char *runtime_dir, struct plugc_address *ret, char *why,
		      size_t why_size)
{
	struct plugc_address address = {.have_token = false};
	const char *socket = env_or_null(PLUG_ENV_SOCKET);
	const char *xdg = env_or_null("XDG_RUNTIME_DIR");
	int length;

	if (runtime_dir && *runtime_dir)
		length = snprintf(address.path, sizeof(address.path), "%s/%s", runtime_dir,
				  PLUG_SOCKET_NAME);
	else if (socket)
		length = snprintf(address.path, sizeof(address.path), "%s", socket);
	else if (xdg)
		length = snprintf(address.path, sizeof(address.path), "%s/plugd/%s", xdg,
				  PLUG_SOCKET_NAME);
	else
		length = snprintf(address.path, sizeof(address.path), "/run/plugd/%s",
				  PLUG_SOCKET_NAME);
	if (length < 0 || (size_t)length >= sizeof(address.path)) {
		snprintf(why, why_size,
			 "the socket's path is %d bytes long (%.60s…), a Unix socket's is at most "
			 "%d; use a shorter runtime directory",
			 length, address.path, PLUGC_PATH_BYTES);
		return PLUG_EINVAL;
	}
	take_token(&address);
	*ret = address;
	return PLUG_OK;
}
