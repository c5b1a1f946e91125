/* Shared by doorman.c (the door) and client.c (who came through it). */
#ifndef PLUGD_DOORMAN_PRIVATE_H
#define PLUGD_DOORMAN_PRIVATE_H

#include <sys/socket.h>
#include <sys/un.h>

#include "ipc/doorman.h"

struct doorman {
	struct doorman_config config;
	struct sockaddr_un address;
	int fd;
	ev_io accept_w;
	ev_timer accept_pause; /* out of descriptors: try again later */
	ev_check reap_w;       /* frees closed clients when no callback of theirs is running */
	struct list clients, closing;
	unsigned count;
	uint64_t last_number;
};

/* A client behind `fd`, which it takes, that has not greeted yet; NULL when memory is short. */
struct client *client_new(struct doorman *doorman, int fd, uint64_t number);

/* Say why, then disconnect. */
void client_refuse(struct client *client, plug_err code, const char *message);

/* Only from a watcher of the loop that is not the client's. */
void client_free(struct client *client);

/* Nothing is open, nothing is watched. */
struct doorman *doorman_new(const struct doorman_config *config);

/* With the descriptor that it has. */
void doorman_init_watchers(struct doorman *doorman);

#endif
