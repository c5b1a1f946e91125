/* Shared by link.c and link_state.c. */
#ifndef PLUGD_LINK_PRIVATE_H
#define PLUGD_LINK_PRIVATE_H

#include <sys/un.h>

#include "ipc/link.h"

struct link_buffer {
	uint8_t *bytes;
	size_t used, at; /* at: what of it is done with */
};

struct link {
	struct link_config config;
	struct sockaddr_un address;
	int listen_fd, fd;
	int turned_fd; /* was turned away last, and may still be greeting us; -1: nobody */
	int ended_fd; /* the last peer's, shut down; closed with the link or before the next peer */
	ev_io accept_w, read_w, write_w, turned_w;
	ev_timer accept_pause; /* out of descriptors: try again later */
	bool greeted, muted;
	uint64_t connection, last_connection;
	struct link_buffer held, out;
};

/* Nothing is open, nothing is watched. */
struct link *link_new(const struct link_config *config);

/* With the descriptors that it has. */
void link_init_watchers(struct link *link);

/* False when memory is short. */
bool link_buffer_append(struct link_buffer *buffer, const void *bytes, size_t size);

#endif
