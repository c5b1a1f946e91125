#include "ipc/packet.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/cleanup.h"

#define MOST_FDS 253 /* SCM_MAX_FD of Linux */

ssize_t
packet_send(int sock, const void *bytes, size_t size, const int *fds, size_t fd_count)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(PACKET_FDS_SENT * sizeof(int))];
	struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	struct cmsghdr *head;

	if (fd_count > PACKET_FDS_SENT) {
		errno = EINVAL;
		return -1;
	}
	if (fd_count) {
		memset(control, 0, sizeof(control));
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(head), fds, fd_count * sizeof(int));
	}
	return sendmsg(sock, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void
packet_discard(int fd)
{
	const struct linger now = {.l_onoff = 1};
	struct stat st;

	if (!fstat(fd, &st) && S_ISSOCK(st.st_mode))
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

/* One descriptor is kept when it is the only one. */
static void
take_descriptors(struct msghdr *message, int *ret_fd, size_t *ret_count)
{
	for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head;
	     head = CMSG_NXTHDR(message, head)) {
		size_t count;

		if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
			continue;
		count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(head) + i * sizeof(fd), sizeof(fd));
			if (count == 1 && !*ret_count)
				*ret_fd = fd;
			else
				packet_discard(fd);
		}
		*ret_count += count;
	}
	/* plugd has no room for more descriptors; what did not fit is closed. */
	if (message->msg_flags & MSG_CTRUNC)
		*ret_count += 1;
	if (*ret_count > 1 && *ret_fd >= 0)
		packet_discard(steal_fd(ret_fd));
}

ssize_t
packet_receive(int sock, void *bytes, size_t size, int *ret_fd, size_t *ret_count)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(MOST_FDS * sizeof(int))];
	struct iovec part = {.iov_base = bytes, .iov_len = size};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	ssize_t got = recvmsg(sock, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*ret_fd = -1;
	*ret_count = 0;
	if (got >= 0 && (message.msg_controllen || message.msg_flags & MSG_CTRUNC))
		take_descriptors(&message, ret_fd, ret_count);
	return got;
}
