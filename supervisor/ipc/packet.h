/*
 * Packets of a SOCK_SEQPACKET socket, with descriptors.  Any thread; nothing here blocks or logs.
 *
 * Whoever sends a descriptor keeps his own; whoever receives one owns it, close-on-exec, and closes
 * it on every path.
 */
#ifndef PLUGD_PACKET_H
#define PLUGD_PACKET_H

#include <stddef.h>
#include <sys/types.h>

#define PACKET_FDS_SENT 3 /* at most with one packet */

/* As send(): the size, or -1 with errno. */
ssize_t packet_send(int sock, const void *bytes, size_t size, const int *fds, size_t fd_count);

/*
 * As recv(): the size, 0 at the end, or -1 with errno.
 *
 * *ret_fd is the descriptor that came with it, or -1.  *ret_count says how many were sent: 0; 1,
 * and *ret_fd is -1 all the same when this process has no room for one more; or more, all closed.
 */
ssize_t packet_receive(int sock, void *bytes, size_t size, int *ret_fd, size_t *ret_count);

/* Close what a stranger sent: a socket of his that is set to linger must not make plugd wait. */
void packet_discard(int fd);

#endif
