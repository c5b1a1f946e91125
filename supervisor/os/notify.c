#include "os/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"

plug_err
notify_send_to(const char *address, const char *state)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	AUTO_CLOSE int fd = -1;
	size_t length;
	ssize_t sent;

	if (!address || !*address)
		return PLUG_ENOTFOUND;
	length = strlen(address);
	if ((*address != '/' && *address != '@') || length >= sizeof(to.sun_path))
		return PLUG_EINVAL;
	memcpy(to.sun_path, address, length);
	if (*address == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return PLUG_ESYS;
	sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
		      (const struct sockaddr *)&to,
		      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
	return sent < 0 ? PLUG_ESYS : PLUG_OK;
}

plug_err
notify_send(const char *state)
{
	return notify_send_to(getenv("NOTIFY_SOCKET"), state);
}
