/* Descriptors that travel with messages. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "internal.h"

union ancillary {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(PLUGC_FDS_MAX * sizeof(int))];
};

ssize_t
plugc_send_fd(int socket, const void *data, size_t size, int fd)
{
	union ancillary ancillary = {.header = {.cmsg_level = SOL_SOCKET,
						.cmsg_type = SCM_RIGHTS,
						.cmsg_len = CMSG_LEN(sizeof(int))}};
	struct iovec iov = {(void *)data, size};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &ancillary,
			     .msg_controllen = CMSG_SPACE(sizeof(int))};

	memcpy(CMSG_DATA(&ancillary.header), &fd, sizeof(fd));
	return sendmsg(socket, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* What does not fit into ret_fds is closed. */
static void
take_fds(struct msghdr *msg, int *ret_fds)
{
	size_t count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t bytes = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
			if (count < PLUGC_FDS_MAX)
				ret_fds[count++] = fd;
			else
				close(fd);
		}
	}
}

void
plugc_fds_close(int *fds)
{
	for (size_t i = 0; i < PLUGC_FDS_MAX; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

ssize_t
plugc_receive_fds(int socket, void *data, size_t capacity, int flags, int *ret_fds, bool *ret_lost)
{
	union ancillary ancillary;
	struct iovec iov = {data, capacity};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &ancillary,
			     .msg_controllen = sizeof(ancillary)};
	ssize_t size;

	size = recvmsg(socket, &msg, flags | MSG_CMSG_CLOEXEC);
	if (size >= 0)
		take_fds(&msg, ret_fds);
	*ret_lost = size >= 0 && msg.msg_flags & MSG_CTRUNC;
	return size;
}
